//! The gate: does the evidence say that this may be shipped?
//!
//! A policy is *deny unless proven*: a verdict is a pass only when every requirement is met by a fresh record of the very
//! subject. Everything here is a pure function of records, policy, waivers and a given time: no clock, no input or output.
//!
//! **Invariant:** worse or fewer facts never improve a verdict. Turning any outcome worse never raises it, and leaving any
//! fact out never makes it a pass.

pub mod coverage;
pub mod dsse;
mod facts;
pub mod fingerprint;
pub mod gate;
pub mod index;
pub mod key;
mod missing;
pub mod past;
mod place;
pub mod policy;
mod requirements;
pub mod schema;
pub mod scope;
pub mod statement;
pub mod support;
pub mod verdict;
pub mod waiver;

pub use place::FileError;

/// SHA-256 in lower-case hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
