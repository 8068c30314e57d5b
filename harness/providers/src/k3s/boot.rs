//! Watches a machine from its first sign of life until it is configured, and says what is wrong as soon as that is certain.
//!
//! "SSH answered" proves nothing: a machine may reboot in the middle, and cloud-init says `done` although nothing was
//! installed. What counts is the sentinel of the node script, in a boot that cloud-init finished, and the unit of k3s.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::Login;
use gsh_engine::reach::Reach;
use gsh_engine::wait::{self, Progress, WaitError};
use gsh_model::axis::Template;
use gsh_model::outcome::Blame;
use gsh_ssh::{Auth, HostKey, Session, SshError};
use tokio::time::Instant;

use super::classify::{JoinTrouble, classify};
use super::node::{DOWNLOADING, INSTALLING};
use super::report::{CloudInit, Seen, look, output_tail};

/// How long one look may take.
const LOOK: Duration = Duration::from_secs(10);

/// A machine that is to become something.
#[derive(Debug, Clone)]
pub struct Machine<'a> {
    /// Server name.
    pub name: &'a str,
    /// How to log in.
    pub login: &'a Login,
    /// What its sentinel must say; nothing for templates that have none.
    pub digest: Option<&'a str>,
    /// Whether k3s must be active on it.
    pub runs_k3s: bool,
    /// Whose template it was given.
    pub template: Template,
}

impl Machine<'_> {
    /// Whose fault it is when the machine does not do what its template says.
    fn blame(&self, ours: Blame) -> Blame {
        blame_of(self.template, ours)
    }

    fn failure(&self, ours: Blame, code: &'static str, expected: &str, observed: impl Into<String>) -> Failure {
        Failure::new(self.blame(ours), code, format!("{expected} on `{}`", self.name), observed)
    }
}

/// Whose fault it is when a machine does not do what its template says.
pub(crate) fn blame_of(template: Template, ours: Blame) -> Blame {
    match template {
        Template::Gsh => ours,
        Template::Community => Blame::Product,
    }
}

/// What was seen last, for the case that time runs out.
#[derive(Debug, Clone, Default)]
enum Last {
    #[default]
    Silent,
    OnPort22,
    LoginRefused,
    Configuring,
    Joining(String),
}

/// Waits until the machine is configured.
///
/// # Errors
/// A failure with the code of what is wrong: as soon as it is certain, else when patience ends.
pub async fn configured(cx: &Cx, reach: &Reach, machine: &Machine<'_>, patience: Duration) -> Result<(), Failure> {
    let last = Mutex::new(Last::default());
    let what = format!("`{}` to be configured", machine.name);
    match wait::until(cx, &what, patience, || glance(reach, machine, &last)).await {
        Ok(()) => Ok(()),
        Err(WaitError::TimedOut { last: saw, .. }) => {
            let last = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Err(too_late(machine, &last, &saw, patience))
        }
        Err(WaitError::Gone(failure)) => Err(failure),
        Err(WaitError::Stopped { what }) => Err(Failure::stopped(what)),
    }
}

fn too_late(machine: &Machine<'_>, last: &Last, saw: &str, patience: Duration) -> Failure {
    let saw = format!("within {patience:?} only: {saw}");
    match last {
        Last::Silent => Failure::environment("GSH-NODE-001", format!("SSH to answer on `{}`", machine.name), saw),
        Last::OnPort22 => machine.failure(Blame::Environment, "GSH-NODE-002", "sshd on port 2244", saw),
        Last::LoginRefused => machine.failure(Blame::Environment, "GSH-NODE-004", "a login with our key", saw),
        Last::Configuring => machine.failure(Blame::Environment, "GSH-NODE-006", "cloud-init to come to its end", saw),
        Last::Joining(journal) => {
            let (trouble, line) = classify(journal);
            machine
                .failure(
                    Blame::Environment,
                    trouble.code(),
                    "k3s to become active",
                    format!("{}: {saw}", trouble.says()),
                )
                .cause(format!("journal: {line}"))
        }
    }
}

async fn glance(reach: &Reach, machine: &Machine<'_>, last: &Mutex<Last>) -> Result<Progress<()>, Failure> {
    let remember = |state: Last| *last.lock().unwrap_or_else(PoisonError::into_inner) = state;
    let login = machine.login;
    let error = match enter(reach, login, login.port).await {
        Ok(session) => {
            let seen = look_around(&session).await;
            let verdict = match seen {
                Ok(seen) => {
                    remember(if seen.cloud_init == CloudInit::Done {
                        Last::Joining(seen.journal.clone())
                    } else {
                        Last::Configuring
                    });
                    judge(machine, &session, &seen).await
                }
                // It may be rebooting: the next look shows another boot.
                Err(e) => Ok(Progress::NotYet(format!("SSH broke off: {e}"))),
            };
            session.close().await;
            return verdict;
        }
        Err(error) => error,
    };
    match error {
        SshError::HostKeyMismatch { got, expected, .. } => {
            let expected = format!("the pinned host key {expected} of `{}`", machine.name);
            Err(Failure::environment("GSH-NODE-003", expected, format!("another one: {got}")))
        }
        SshError::BadKey { what, reason } => {
            Err(Failure::harness("GSH-NODE-014", format!("a readable {what}"), reason))
        }
        SshError::Agent { .. } => Err(Failure::harness("GSH-NODE-014", "a key of our own", error.to_string())),
        SshError::AuthRefused { .. } | SshError::OnlySha1 { .. } | SshError::TooMany { .. } => {
            remember(Last::LoginRefused);
            Ok(Progress::NotYet(error.to_string()))
        }
        SshError::Refused { .. }
        | SshError::Unreachable { .. }
        | SshError::TimedOut { .. }
        | SshError::NotSsh { .. }
        | SshError::ClosedAfterAuth { .. }
        | SshError::ClosedEarly { .. }
        | SshError::Protocol { .. } => other_door(reach, machine, &error, remember).await,
    }
}

/// Whether sshd is still on port 22. When the machine says there that it is configured, it will stay there.
async fn other_door(
    reach: &Reach,
    machine: &Machine<'_>,
    error: &SshError,
    remember: impl Fn(Last) + Send,
) -> Result<Progress<()>, Failure> {
    let session = match enter(reach, machine.login, 22).await {
        Ok(session) => session,
        Err(
            SshError::HostKeyMismatch { .. }
            | SshError::AuthRefused { .. }
            | SshError::OnlySha1 { .. }
            | SshError::TooMany { .. }
            | SshError::ClosedAfterAuth { .. },
        ) => {
            remember(Last::OnPort22);
            return Ok(Progress::NotYet("port 22 answers with other keys, port 2244 does not answer".to_owned()));
        }
        Err(
            SshError::Refused { .. }
            | SshError::Unreachable { .. }
            | SshError::TimedOut { .. }
            | SshError::NotSsh { .. }
            | SshError::ClosedEarly { .. }
            | SshError::BadKey { .. }
            | SshError::Agent { .. }
            | SshError::Protocol { .. },
        ) => return Ok(Progress::NotYet(error.to_string())),
    };
    remember(Last::OnPort22);
    let seen = look_around(&session).await;
    let verdict = match seen {
        Ok(Seen { cloud_init: CloudInit::Running, .. }) | Err(_) => {
            Ok(Progress::NotYet("sshd answers on port 22, not yet on 2244".to_owned()))
        }
        Ok(seen) => {
            let state = match &seen.cloud_init {
                CloudInit::Error(errors) => format!("cloud-init failed: {errors}"),
                CloudInit::Disabled => "cloud-init is disabled".to_owned(),
                CloudInit::Done | CloudInit::Running => "cloud-init says done".to_owned(),
            };
            let observed = format!("sshd still answers on port 22 and not on 2244, {state}");
            Err(machine.failure(Blame::Environment, "GSH-NODE-002", "sshd on port 2244", observed))
        }
    };
    session.close().await;
    verdict
}

/// What programs print when a disk is full.
const DISK_FULL: &str = "No space left on device";

async fn judge(machine: &Machine<'_>, session: &Session, seen: &Seen) -> Result<Progress<()>, Failure> {
    if !seen.failed.is_empty() {
        let observed = format!("it stopped while {}: {}", seen.step, seen.failed);
        // Two steps need the outside; everything else is between the template and the image.
        let code = match seen.step.as_str() {
            DOWNLOADING | INSTALLING => "GSH-NODE-011",
            _ => "GSH-NODE-007",
        };
        let failure = machine.failure(Blame::Environment, code, "the node script to succeed", observed);
        return Err(with_output(session, failure).await);
    }
    match &seen.cloud_init {
        CloudInit::Error(errors) => {
            let step = if seen.step.is_empty() { String::new() } else { format!(", last step: {}", seen.step) };
            let observed = format!("cloud-init failed: {errors}{step}");
            let failure = machine.failure(Blame::Harness, "GSH-NODE-005", "cloud-init without errors", observed);
            return Err(outside(with_output(session, failure).await));
        }
        CloudInit::Disabled => {
            let observed = "cloud-init is disabled";
            return Err(machine.failure(Blame::Environment, "GSH-NODE-005", "cloud-init to run", observed));
        }
        CloudInit::Running => {
            let step = if seen.step.is_empty() { "not in our script yet" } else { &seen.step };
            return Ok(Progress::NotYet(format!("cloud-init is running ({step})")));
        }
        CloudInit::Done => {}
    }
    if let Some(digest) = machine.digest
        && digest != seen.sentinel
    {
        let found = if seen.sentinel.is_empty() { "no sentinel" } else { &seen.sentinel };
        let observed = format!("cloud-init says done, but there is {found}; last step: {}", seen.step);
        let failure = machine.failure(Blame::Environment, "GSH-NODE-006", &format!("the sentinel {digest}"), observed);
        return Err(with_output(session, failure).await);
    }
    if !machine.runs_k3s {
        return Ok(Progress::Ready(()));
    }
    let (trouble, line) = classify(&seen.journal);
    match seen.unit.as_str() {
        "active" => Ok(Progress::Ready(())),
        "activating" if trouble.may_pass() => Ok(Progress::NotYet(format!("k3s is joining: {line}"))),
        state @ ("activating" | "failed") => {
            let observed = format!("its unit is {state}: {}", trouble.says());
            let mut failure = machine.failure(Blame::Environment, trouble.code(), "k3s to become active", observed);
            failure.blame = unit_blame(machine.template, trouble);
            Err(failure.cause(format!("journal: {line}")))
        }
        other => {
            // The template of a distribution may install k3s after cloud-init's last sign; ours starts it before.
            Ok(Progress::NotYet(format!("the unit of k3s is {}", if other.is_empty() { "not there" } else { other })))
        }
    }
}

/// Whose fault it is that k3s does not become active.
pub(crate) fn unit_blame(template: Template, trouble: JoinTrouble) -> Blame {
    use JoinTrouble as T;
    let ours = match trouble {
        // Only we can have caused these: we chose secrets, names and settings.
        T::BadToken | T::CaMismatch | T::DuplicateNode | T::BadUrl | T::ConfigMismatch => Blame::Harness,
        T::ServerNotUp
        | T::ServerUnreachable
        | T::NoInterface
        | T::EtcdLearner
        | T::EtcdDuplicate
        | T::PortInUse
        | T::Cgroup
        | T::Download
        | T::Disk
        | T::Clock
        | T::Unknown => Blame::Environment,
    };
    match template {
        _ if trouble.is_outside() => Blame::Environment,
        Template::Gsh => ours,
        Template::Community => Blame::Product,
    }
}

/// Mirrors and name servers that do not answer are the environment's, whoever wrote the template.
pub(crate) fn outside(mut failure: Failure) -> Failure {
    // A full disk is no mistake of our template; the last output is where it shows.
    if failure.blame == Blame::Harness && failure.finding.causes.iter().any(|c| c.contains(DISK_FULL)) {
        failure.blame = Blame::Environment;
    }
    const WORDS: [&str; 5] = [
        "Temporary failure resolving",
        "Could not resolve",
        "Failed to fetch",
        "Connection timed out",
        "Network is unreachable",
    ];
    let tells = |text: &String| WORDS.iter().any(|word| text.contains(word));
    if tells(&failure.finding.observed) || failure.finding.causes.iter().any(tells) {
        failure.blame = Blame::Environment;
    }
    failure
}

async fn with_output(session: &Session, failure: Failure) -> Failure {
    let failure = match session.exec("df -P / | tail -n 1", b"", Instant::now() + LOOK).await {
        // A full disk keeps the reason out of every log.
        Ok(output) if output.text().contains(" 100% ") => {
            failure.cause(format!("{DISK_FULL}: {}", output.text().trim()))
        }
        Ok(_) | Err(_) => failure,
    };
    let output = session.exec(output_tail(), b"", Instant::now() + LOOK).await;
    match output {
        Ok(output) => match output.text().lines().rev().find(|l| !l.trim().is_empty()) {
            Some(line) => failure.cause(format!("cloud-init's output ends with: {}", line.trim())),
            None => failure,
        },
        Err(_) => failure,
    }
}

async fn look_around(session: &Session) -> Result<Seen, SshError> {
    Ok(Seen::parse(&session.exec(&look(), b"", Instant::now() + LOOK).await?.text()))
}

/// Logs in at one of the machine's ports, with the pinned key.
///
/// # Errors
/// Those of [`gsh_ssh::connect`].
pub async fn enter(reach: &Reach, login: &Login, port: u16) -> Result<Session, SshError> {
    let pinned: HostKey = login.host_key.parse()?;
    let target = reach.at(login.address, port);
    gsh_ssh::connect(target, &login.user, &pinned, Auth::Key(login.key.expose()), Instant::now() + LOOK).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_that_does_not_answer_is_not_the_products_fault() {
        let failure = Failure::product("GSH-NODE-005", "cloud-init without errors", "cloud-init failed: runcmd");
        assert_eq!(outside(failure.clone()).blame, Blame::Product);
        let told = failure.cause("cloud-init's output ends with: E: Failed to fetch http://archive.ubuntu.com/x");
        assert_eq!(outside(told).blame, Blame::Environment);
    }
}
