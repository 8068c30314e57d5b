//! Does `ssh <workspace>@<site>` on port 22 reach the workspace, by token and by key; are bad credentials refused; has
//! the node's own SSH server left port 22?

use std::net::SocketAddr;
use std::time::Duration;

use gsh_engine::BoxFuture;
use gsh_engine::bench::{Bench, Scenario};
use gsh_engine::failure::Failure;
use gsh_engine::provider::Node;
use gsh_gitpod::http::Front;
use gsh_gitpod::wsman::{WsManager, workspace_id};
use gsh_model::axis::Template;
use gsh_model::outcome::Blame;
use gsh_model::scenario::{Impact, Need, ScenarioId, ScenarioSpec};
use gsh_ssh::{Auth, HostKey, KeyPair, SshError, banner, connect, host_key};
use tokio::time::Instant;

use crate::guest::{Guest, launch};

pub(crate) const SCENARIO: Scenario = Scenario { spec, run };

/// How the gateway introduces itself.
const IDENT: &str = "SSH-2.0-GITPOD-GATEWAY";
/// One look at a server.
const LOOK: Duration = Duration::from_secs(15);
/// One login with a command.
const LOGIN: Duration = Duration::from_secs(60);

fn spec() -> ScenarioSpec {
    ScenarioSpec {
        id: ScenarioId::of("ssh-on-22"),
        asks: "does SSH on port 22 reach the workspace, and nobody else".to_owned(),
        needs: vec![Need::Writable, Need::SshGateway],
        impact: Impact::CreatesWorkspace,
        patience_s: 20 * 60,
        file: "scenarios/src/ssh_on_22.rs".to_owned(),
    }
}

fn run(bench: &Bench) -> BoxFuture<'_, Result<(), Failure>> {
    Box::pin(examine(bench))
}

async fn examine(bench: &Bench) -> Result<(), Failure> {
    let gateway = bench.cluster().reach.at(bench.cluster().ingress, 22);
    let title = "the gateway is on port 22";
    if bench.cluster().reach.is_direct(22) {
        bench.check("GSH-SSH-001", title, introduces_itself(gateway)).await?;
    } else {
        let reason = format!("port 22 is reached at {gateway} here, so its number proves nothing");
        bench.skip("GSH-SSH-001", title, &reason).await;
    }
    bench.check("GSH-SSH-002", "the machines' own SSH servers have left port 22", machines_left(bench)).await?;
    let configured = configured_key(bench)?;
    bench.check("GSH-SSH-003", "the gateway shows the configured host key", shows(gateway, &configured)).await?;

    let wsman = WsManager::new(bench.cluster(), bench.installation())?;
    let keys = pair("GSH-SSH-004")?;
    let launch = launch(bench).ssh_keys(vec![keys.public_line.clone()]);
    let private = bench.cx().secret("key of the workspace's user", keys.private_pem.clone());
    let guest = Guest::open(bench, &wsman, launch, "GSH-SSH-004", "a workspace starts and runs").await?;
    bench
        .check("GSH-SSH-005", "the site publishes the gateway's host key", published(bench, &guest, &configured))
        .await?;

    let door = Door { gateway, key: configured, user: guest.id().to_owned() };
    let stranger = pair("GSH-SSH-011")?;
    let stranger_key = bench.cx().secret("key of a stranger", stranger.private_pem);
    let with_token = bench.cx().secret("user name with the owner's token", format!("{}#{}", guest.id(), guest.token()));
    let with_bad_token = format!("{}#{}", guest.id(), "x".repeat(32));
    let nobody = workspace_id();
    // Each way in and each refusal is an observation of its own, made whatever the others say.
    let seen = [
        bench
            .check(
                "GSH-SSH-006",
                "the owner's token opens it",
                door.opens(guest.id(), Auth::Password(guest.token()), "GSH-SSH-006"),
            )
            .await,
        bench
            .check(
                "GSH-SSH-007",
                "the user's key opens it",
                door.opens(guest.id(), Auth::Key(private.expose()), "GSH-SSH-007"),
            )
            .await,
        bench
            .check(
                "GSH-SSH-008",
                "the token in the user name opens it",
                door.opens(with_token.expose(), Auth::None, "GSH-SSH-008"),
            )
            .await,
        bench
            .check(
                "GSH-SSH-009",
                "a bad token is refused",
                door.refuses(guest.id(), Auth::Password("not-the-owners-token"), "GSH-SSH-009"),
            )
            .await,
        bench
            .check(
                "GSH-SSH-010",
                "a bad token in the user name is refused",
                door.refuses(&with_bad_token, Auth::None, "GSH-SSH-010"),
            )
            .await,
        bench
            .check(
                "GSH-SSH-011",
                "a stranger's key is refused",
                door.refuses(guest.id(), Auth::Key(stranger_key.expose()), "GSH-SSH-011"),
            )
            .await,
        bench
            .check(
                "GSH-SSH-012",
                "a workspace that does not exist is refused",
                door.refuses(&nobody, Auth::Password(guest.token()), "GSH-SSH-012"),
            )
            .await,
        bench
            .check(
                "GSH-SSH-013",
                "a name that is no workspace is refused",
                door.refuses("root", Auth::Password(guest.token()), "GSH-SSH-013"),
            )
            .await,
    ];
    seen.into_iter().collect()
}

fn pair(code: &'static str) -> Result<KeyPair, Failure> {
    KeyPair::generate("gsh").map_err(|e| Failure::harness(code, "a key pair", "the library refused").because(&e))
}

fn configured_key(bench: &Bench) -> Result<HostKey, Failure> {
    let expected = "the installation has a gateway with a host key";
    let line = bench.installation().gateway_host_key.as_deref();
    let line = line.ok_or_else(|| Failure::harness("GSH-SSH-003", expected, "the installer made none"))?;
    line.parse::<HostKey>().map_err(|e| Failure::harness("GSH-SSH-003", expected, "it cannot be read").because(&e))
}

/// Trouble on the way to a server that should be there. Silence of the network is the environment's; everything else is
/// what the gateway does.
pub(crate) fn trouble(error: &SshError, code: &'static str, expected: &str) -> Failure {
    let blame = match error {
        SshError::Unreachable { .. } | SshError::TimedOut { during: "connecting", .. } => Failure::environment,
        SshError::BadKey { .. } | SshError::Agent { .. } => Failure::harness,
        SshError::Refused { .. }
        | SshError::TimedOut { .. }
        | SshError::NotSsh { .. }
        | SshError::HostKeyMismatch { .. }
        | SshError::AuthRefused { .. }
        | SshError::OnlySha1 { .. }
        | SshError::TooMany { .. }
        | SshError::ClosedAfterAuth { .. }
        | SshError::ClosedEarly { .. }
        | SshError::Protocol { .. } => Failure::product,
    };
    let mut failure = blame(code, expected.to_owned(), error.to_string());
    if let Some(source) = std::error::Error::source(error) {
        failure = failure.because(source);
    }
    failure
}

async fn introduces_itself(gateway: SocketAddr) -> Result<(), Failure> {
    let expected = format!("{gateway} introduces itself as {IDENT}");
    match banner(gateway, Instant::now() + LOOK).await {
        Ok(ident) if ident.starts_with(IDENT) => Ok(()),
        Ok(ident) => Err(Failure::product("GSH-SSH-001", expected, format!("it says {ident}"))),
        Err(e) => Err(trouble(&e, "GSH-SSH-001", &expected)),
    }
}

/// On every machine port 22 is the gateway's or nobody's.
async fn machines_left(bench: &Bench) -> Result<(), Failure> {
    let blame = match bench.cell().template {
        Template::Gsh => Blame::Harness,
        Template::Community => Blame::Product,
    };
    let expected = |node: &Node| format!("port 22 of {} is the gateway's or nobody's", node.name);
    for node in &bench.cluster().nodes {
        let at = bench.cluster().reach.at(node.public, 22);
        match banner(at, Instant::now() + LOOK).await {
            Ok(ident) if !ident.starts_with(IDENT) => {
                return Err(Failure::new(blame, "GSH-SSH-002", expected(node), format!("{ident} answers there")));
            }
            Err(e @ (SshError::NotSsh { .. } | SshError::TimedOut { during: "greeting", .. })) => {
                return Err(Failure::new(blame, "GSH-SSH-002", expected(node), e.to_string()));
            }
            // Refused, filtered, or the gateway: the machine's own server is not there.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

async fn shows(gateway: SocketAddr, configured: &HostKey) -> Result<(), Failure> {
    let expected = format!("{gateway} shows the host key {}", configured.fingerprint());
    match host_key(gateway, Instant::now() + LOOK).await {
        Ok(shown) if shown == *configured => Ok(()),
        Ok(shown) => Err(Failure::product("GSH-SSH-003", expected, format!("it shows {}", shown.fingerprint()))),
        Err(e) => Err(trouble(&e, "GSH-SSH-003", &expected)),
    }
}

/// `/_ssh/host_keys` of a workspace lists the gateway's keys; that is how users can pin them.
async fn published(bench: &Bench, guest: &Guest, configured: &HostKey) -> Result<(), Failure> {
    let code = "GSH-SSH-005";
    let front = Front::new(bench.cluster(), bench.installation())?;
    let host = format!("{}.ws.{}", guest.id(), bench.installation().domain);
    let expected = format!("https://{host}/_ssh/host_keys lists the configured key");
    let reply = front.get_from(&host, "/_ssh/host_keys", &[]).await.map_err(|e| e.failure(code, expected.as_str()))?;
    let listed: Vec<serde_json::Value> = serde_json::from_slice(&reply.body).unwrap_or_default();
    let line = configured.line();
    let mut words = line.split_whitespace();
    let (kind, blob) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let found = listed.iter().any(|k| k["type"] == kind && k["host_key"] == blob);
    if reply.status == 200 && found {
        return Ok(());
    }
    Err(Failure::product(code, expected, format!("status {}, {} keys", reply.status, listed.len())))
}

struct Door {
    gateway: SocketAddr,
    key: HostKey,
    user: String,
}

impl Door {
    /// The login succeeds, a command's output comes back, and so does its exit status.
    async fn opens(&self, user: &str, auth: Auth<'_>, code: &'static str) -> Result<(), Failure> {
        let expected = format!("{} opens for the owner of {}", self.gateway, self.user);
        let deadline = Instant::now() + LOGIN;
        let session =
            connect(self.gateway, user, &self.key, auth, deadline).await.map_err(|e| trouble(&e, code, &expected))?;
        // Without a terminal: closing one would stop the workspace minutes later.
        let command = "printf 'gsh %s\\n' \"$(id -u)\"; exit 7";
        let output = session.exec(command, b"", deadline).await.map_err(|e| trouble(&e, code, &expected))?;
        session.close().await;
        match (output.text().trim(), output.status) {
            ("gsh 33333", Some(7)) => Ok(()),
            // The gateway's copy loops race with its close: a missing status is no proof of anything.
            ("gsh 33333", None) => {
                Err(Failure::environment(code, format!("`{command}` ends with status 7"), "no status came back"))
            }
            (text, status) => Err(Failure::product(
                code,
                format!("`{command}` prints `gsh 33333` and ends with status 7"),
                format!("it printed `{text}` and ended with {status:?}; {}", output.error_text().trim()),
            )),
        }
    }

    /// The login fails.
    async fn refuses(&self, user: &str, auth: Auth<'_>, code: &'static str) -> Result<(), Failure> {
        let expected = format!("{} refuses this login", self.gateway);
        match connect(self.gateway, user, &self.key, auth, Instant::now() + LOGIN).await {
            // Some refusals close the connection at once; both are a no. Closing before there was anything to refuse is not.
            Err(SshError::AuthRefused { .. } | SshError::ClosedEarly { during: "login", .. }) => Ok(()),
            Err(e) => Err(trouble(&e, code, &expected)),
            Ok(session) => {
                session.close().await;
                Err(Failure::product(code, expected, "the login succeeded"))
            }
        }
    }
}
