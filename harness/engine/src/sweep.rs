//! sweep.
