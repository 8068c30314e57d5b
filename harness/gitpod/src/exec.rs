//! Commands inside a workspace, by Kubernetes exec: the second channel beside SSH.
//!
//! A plain exec lands next to the user, not with them: the container's first process is only a wrapper, and supervisor and
//! the user's processes live in namespaces of their own below it. `workspacekit lift` steps one ring in, `nsenter` the second.
//! Lift always ends with code 0 and prints a line of its own, so the script prints a marker with the real code.

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::Cluster;
use gsh_model::outcome::Blame;
use k8s_openapi::api::core::v1::Pod;
use kube::api::AttachParams;
use rand::Rng;

use crate::streams::Streams;
use gsh_kube::api;

/// Where the tools of a workspace are mounted.
const LIFT: [&str; 2] = ["/.supervisor/workspacekit", "lift"];
/// The script's own code when no supervisor was found.
const NO_SUPERVISOR: i32 = 254;

/// Finds the supervisor (first argument `supervisor`, second `run`), enters its namespaces, becomes the user, and tells the
/// command's exit code on a line of its own. `$1` is the marker, `$2` the command.
const SCRIPT: &str = r#"pid=
for d in /proc/[0-9]*; do
  line=$(tr '\000' ' ' 2>/dev/null < "$d/cmdline")
  case "$line" in
    "supervisor run"*) pid=${d#/proc/}; break ;;
  esac
done
if [ -z "$pid" ]; then
  rc=254
else
  nsenter -t "$pid" -m -p -n -S 33333 -G 33333 env HOME=/home/gitpod USER=gitpod sh -c "$2"
  rc=$?
fi
printf '\n%s rc=%s\n' "$1" "$rc"
"#;

/// What a command printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a shell command as the user of a workspace.
///
/// # Errors
/// When the API does not let us in (environment), when there is no supervisor to enter (product), or when the marker never
/// came, so that nobody knows how the command ended (environment).
pub async fn in_workspace(
    cx: &Cx,
    cluster: &Cluster,
    namespace: &str,
    pod: &str,
    command: &str,
    check: &'static str,
) -> Result<Done, Failure> {
    let marker = format!("gsh-{:016x}", rand::rng().random::<u64>());
    let what = format!("`{command}` runs in pod `{pod}`");
    let argv = [LIFT[0], LIFT[1], "sh", "-c", SCRIPT, "gsh", marker.as_str(), command];
    let work = exec(&cluster.kube, namespace, pod, &argv, check, &what);
    let (stdout, stderr) = tokio::select! {
        done = work => done?,
        () = cx.stopped() => return Err(Failure::stopped(what)),
        () = tokio::time::sleep_until(cx.deadline()) => {
            return Err(Failure::product(check, what, "it did not end in time"));
        }
    };
    judge(&stdout, &stderr, &marker, check, &what)
}

async fn exec(
    client: &kube::Client,
    namespace: &str,
    pod: &str,
    argv: &[&str],
    check: &'static str,
    what: &str,
) -> Result<(String, String), Failure> {
    let pods: kube::Api<Pod> = kube::Api::namespaced(client.clone(), namespace);
    let params = AttachParams::default().container("workspace").stdin(false).stdout(true).stderr(true);
    let process = pods
        .exec(pod, argv.iter().copied(), &params)
        .await
        .map_err(|e| api::failure(&e, Blame::Product, check, what))?;
    let streams = Streams::of(process).ok_or_else(|| Failure::harness(check, what, "the API gives no streams"))?;
    let (out, err, end) = streams.collect().await.map_err(|e| {
        Failure::environment(check, what, "the command was still running when the connection was over").because(&e)
    })?;
    // How the way in ended is no exit code of the command, but it tells when there was no way in.
    let refused = end.filter(|s| s.status.as_deref() == Some("Failure")).and_then(|s| s.message);
    let (out, mut err) = (String::from_utf8_lossy(&out).into_owned(), String::from_utf8_lossy(&err).into_owned());
    if let Some(text) = refused {
        err = format!("{err}{text}\n");
    }
    Ok((out, err))
}

/// Finds the marker; what follows it is lift's own.
pub(crate) fn judge(
    stdout: &str,
    stderr: &str,
    marker: &str,
    check: &'static str,
    what: &str,
) -> Result<Done, Failure> {
    let needle = format!("\n{marker} rc=");
    let found = stdout.rfind(&needle).and_then(|at| {
        let code = stdout[at + needle.len()..].lines().next()?.trim().parse::<i32>().ok()?;
        Some((code, &stdout[..at]))
    });
    match found {
        Some((NO_SUPERVISOR, "")) => {
            Err(Failure::product(check, what, "no process `supervisor run` is in the workspace").cause(stderr.trim()))
        }
        Some((code, output)) => Ok(Done { code, stdout: output.to_owned(), stderr: stderr.to_owned() }),
        None => {
            let last = stderr.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("no output");
            Err(Failure::environment(check, what, format!("the end marker never came; last: {last}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(stdout: &str) -> Result<Done, Failure> {
        judge(stdout, "err", "gsh-1", "GSH-TST-001", "`x` runs")
    }

    #[test]
    fn the_code_comes_from_the_marker_and_lifts_own_line_is_dropped() {
        let done = judged("hello\n\ngsh-1 rc=7\ndone\n").expect("a marker");
        assert_eq!(done, Done { code: 7, stdout: "hello\n".to_owned(), stderr: "err".to_owned() });
        // Output that looks like a marker is output.
        assert_eq!(judged("\ngsh-1 rc=0\n\ngsh-1 rc=3\n").expect("the last one").code, 3);
    }

    #[test]
    fn without_a_marker_nobody_knows_how_it_ended() {
        assert_eq!(judged("hello\ndone\n").expect_err("none").blame, Blame::Environment);
        assert_eq!(judged("\ngsh-1 rc=254\ndone\n").expect_err("no supervisor").blame, Blame::Product);
    }
}
