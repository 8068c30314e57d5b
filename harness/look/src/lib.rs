//! Looks at an installed Gitpod and judges it. Has no way to change anything.
//!
//! [`Reader`] sends requests that read and has no method for others. [`Sight`] is what one look saw of a cluster: one list
//! of each kind, or why there is none. Checks are pure functions of a sight; what could not be seen is never judged, it is
//! unknown. `gsh-verify` and the scenarios `node-conformance` and `install-conformance` are two uses of the same checks.

pub mod checks;
pub mod evidence;
pub mod found;
pub mod live;
pub mod machine;
pub mod outside;
pub mod quantity;
pub mod rbac;
pub mod reader;
pub mod record;
pub mod redact;
pub mod sight;
pub mod standing;
pub mod tell;
pub mod tested;

pub use checks::{Case, Check, Seen, Severity, Verdict};
pub use found::{Found, Known};
pub use live::Live;
pub use reader::{Kind, Reader, Unseen};
pub use record::Record;
pub use sight::Sight;
pub use standing::{Standing, Standings};
