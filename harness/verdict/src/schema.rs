//! JSON Schemas of the files that people write for the gate, and of the one that it writes.

/// Of the policy file (as JSON; TOML has the same shape).
pub const POLICY: &str = include_str!("../schemas/policy.schema.json");
/// Of the waiver file.
pub const WAIVERS: &str = include_str!("../schemas/waivers.schema.json");
/// Of `gate.json`.
pub const GATE: &str = include_str!("../schemas/gate.schema.json");
