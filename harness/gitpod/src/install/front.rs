//! Whether the site answers from outside, and as the release that was installed.

use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::failure::{Failure, chain};
use gsh_engine::wait::{self, Progress};
use gsh_model::outcome::Blame;
use http::StatusCode;

use crate::http::Front;

/// Waits until `/api/version` is the installer's version. Right after the pods are ready the front may still say sorry, so
/// everything but the right answer is waited for.
pub(crate) async fn version(cx: &Cx, front: &Front, version: &str, patience: Duration) -> Result<(), Failure> {
    let check = "GSH-INS-020";
    let what = format!("https://{}/api/version says `{version}`", front.domain());
    let blame = std::sync::atomic::AtomicBool::new(false);
    let unreachable = &blame;
    let seen = wait::until(cx, &what, patience, || async move {
        let answer = front.get("/api/version").await;
        let environment = matches!(&answer, Err(e) if e.blame() == Blame::Environment);
        unreachable.store(environment, std::sync::atomic::Ordering::Relaxed);
        Ok(match answer {
            Ok(reply) if reply.status == StatusCode::OK && reply.text().trim() == version => Progress::Ready(()),
            Ok(reply) if reply.is_sorry() => Progress::NotYet("a redirect to /sorry".to_owned()),
            Ok(reply) => {
                let text: String = reply.text().trim().chars().take(80).collect();
                Progress::NotYet(format!("{} `{text}`", reply.status))
            }
            Err(e) => Progress::NotYet(chain(&e)),
        })
    })
    .await;
    let late = if unreachable.load(std::sync::atomic::Ordering::Relaxed) { Blame::Environment } else { Blame::Product };
    seen.map_err(|e| e.blame(late, check))
}

/// The dashboard: any answer but an error or an apology.
pub(crate) async fn dashboard(front: &Front) -> Result<(), Failure> {
    let check = "GSH-INS-021";
    let expected = format!("https://{}/ shows the dashboard", front.domain());
    let reply = front.get("/").await.map_err(|e| e.failure(check, &expected))?;
    if reply.is_sorry() {
        return Err(Failure::product(check, expected, "a redirect to /sorry"));
    }
    if reply.status != StatusCode::OK {
        return Err(Failure::product(check, expected, reply.status.to_string()));
    }
    Ok(())
}
