//! Reports and the gate: pure functions of a folded run.
