//! How a further machine joins an installed cluster of the embedded world: what a person would look up before ordering it.

use std::path::Path;
use std::time::Duration;

use gsh_engine::provider::{Cluster, Site};
use gsh_model::axis::Cell;
use gsh_ssh::Auth;
use tokio::time::Instant;

use crate::error::CliError;
use crate::whole::write_beside;
use crate::wiring::Account;

/// How long the first server may take to tell its token.
const TELLS: Duration = Duration::from_secs(60);

/// Where k3s keeps what agents join with: a secret of their own, else that of the servers.
const TOKEN: &str =
    "cat /var/lib/rancher/k3s/server/agent-token 2>/dev/null || cat /var/lib/rancher/k3s/server/node-token";

/// The lines: what the install script of k3s wants, what the nodes must trust, and what a machine is ordered with.
pub(crate) async fn lines(
    account: &Account,
    cluster: &Cluster,
    cell: &Cell,
    site: &Site,
    kubeconfig: &Path,
) -> Result<String, CliError> {
    let absent = |what: &str| CliError::bug(format!("the cluster has no {what}"));
    let first = cluster.nodes.first().ok_or_else(|| absent("first server"))?;
    let address = first.private.ok_or_else(|| absent("private address"))?;
    let mut lines = format!(
        "export K3S_URL=https://{address}:6443\nexport K3S_TOKEN={}\nexport INSTALL_K3S_VERSION={}\n",
        token(cluster).await?,
        cell.k3s
    );
    if let Some(pem) = &site.ca_pem {
        let file = write_beside(kubeconfig, "ca.pem", pem)?;
        lines.push_str(&format!("export GITPOD_CA={}\n", file.display()));
    }
    for (name, kind) in [("NETWORK", "networks"), ("FIREWALL", "firewalls"), ("SSH_KEY", "ssh_keys")] {
        let id = account.first_of(kind).ok_or_else(|| absent(kind))?;
        lines.push_str(&format!("export HCLOUD_{name}={id}\n"));
    }
    Ok(lines)
}

/// What agents join with, as the first server has it.
async fn token(cluster: &Cluster) -> Result<String, CliError> {
    let silent =
        |e: &dyn std::error::Error| CliError::inconclusive("the first server does not tell its token").because(e);
    let login = cluster.nodes.iter().find_map(|node| node.login.as_ref());
    let login = login.ok_or_else(|| CliError::bug("no server of the cluster can be logged in to"))?;
    let pinned = login.host_key.parse().map_err(|e: gsh_ssh::SshError| silent(&e))?;
    let (at, deadline) = ((login.address, login.port).into(), Instant::now() + TELLS);
    let key = Auth::Key(login.key.expose());
    let session = gsh_ssh::connect(at, &login.user, &pinned, key, deadline).await.map_err(|e| silent(&e))?;
    let output = session.exec(TOKEN, b"", deadline).await.map_err(|e| silent(&e))?;
    session.close().await;
    match output.text().trim() {
        "" => Err(CliError::inconclusive(format!("the first server does not tell its token: {}", output.error_text()))),
        token => Ok(token.to_owned()),
    }
}
