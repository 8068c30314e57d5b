//! Verdicts as checks of a scenario.

use gsh_engine::bench::Bench;
use gsh_engine::failure::Failure;

use crate::checks::{Severity, Verdict};

/// Records a verdict as a check and goes on whatever it is; the engine makes the outcome of all of them.
///
/// What was seen to be wrong is the product's. What could not be seen is the environment's: access, network, an API that
/// does not answer. What is only worth knowing is noted and fails nothing.
pub async fn tell(bench: &Bench, code: &'static str, title: &str, severity: Severity, verdict: Verdict) {
    let result = match (verdict, severity) {
        (Verdict::Good, _) => Ok(()),
        (Verdict::NotHere(reason), _) => return bench.skip(code, title, &reason).await,
        (Verdict::Bad { expected, observed }, Severity::Fail) => Err(Failure::product(code, expected, observed)),
        (Verdict::Unknown(why), Severity::Fail) => Err(Failure::environment(code, title, why)),
        (Verdict::Bad { expected, observed }, Severity::Warn) => {
            bench.note(&format!("worth knowing, {code}: expected {expected}, observed {observed}")).await;
            return bench.skip(code, title, &format!("only worth knowing: {observed}")).await;
        }
        (Verdict::Unknown(why), Severity::Warn) => return bench.skip(code, title, &why).await,
    };
    // Recorded; nothing more follows from it here.
    let _recorded = bench.check(code, title, async { result }).await;
}
