//! Verdicts as checks of a scenario.

use gsh_engine::bench::Bench;
use gsh_engine::failure::Failure;

use crate::checks::{Seen, Severity, Verdict};
use crate::standing::Standing;

/// Records a verdict as a check and goes on whatever it is; the engine makes the outcome of all of them.
///
/// What was seen to be wrong is the product's. What could not be seen is the environment's: access, network, an API that
/// does not answer. What is only worth knowing is noted and fails nothing.
pub async fn tell(bench: &Bench, seen: Seen) {
    let Seen { code, title, severity, verdict } = seen;
    if let (Verdict::Bad { expected, observed }, Severity::Warn) = (&verdict, severity) {
        bench.note(&format!("worth knowing, {code}: expected {expected}, observed {observed}")).await;
    }
    let result = match Standing::of(severity, verdict) {
        Standing::Good => Ok(()),
        Standing::Aside(why) => return bench.skip(code, title, &why).await,
        Standing::Bad { expected, observed } => Err(Failure::product(code, expected, observed)),
        Standing::Unknown(why) => Err(Failure::environment(code, title, why)),
    };
    // Recorded; nothing more follows from it here.
    let _recorded = bench.check(code, title, async { result }).await;
}
