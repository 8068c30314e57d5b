//! A cluster of the embedded world with Gitpod on it, made through the same doors as in a run and then left to others.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::installer::Installer;
use gsh_engine::provider::{LeaseRequest, Login, Node, Provider};
use gsh_engine::stop::Stop;
use gsh_model::axis::{AxisName, Cell};
use gsh_model::lease::LeaseId;
use gsh_model::rules;
use gsh_model::stores::GivenStores;
use gsh_providers::Spending;
use jiff::{SignedDuration, Timestamp};

use crate::error::CliError;
use crate::joining;
use crate::run::new_run_id;
use crate::whole::write_beside;
use crate::wiring::{Account, ClusterSettings};

/// More than an emulated installation ever takes.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Where the emulated cloud has capacity.
pub(crate) fn locations() -> Vec<String> {
    ["nbg1", "hel1", "fsn1"].map(str::to_owned).to_vec()
}

/// The cell that `--cell` names.
pub(crate) fn cell(choices: &[String]) -> Result<Cell, CliError> {
    let mut cell = Cell::default();
    for choice in choices {
        let bad = || CliError::usage(format!("--cell: `{choice}` is no axis=value"));
        let (name, value) = choice.split_once('=').ok_or_else(bad)?;
        let axis = AxisName::CELL.into_iter().find(|a| a.as_str() == name.trim()).ok_or_else(bad)?;
        cell.set(axis, value.trim()).map_err(|e| bad().because(&e))?;
    }
    match rules::forbidding(&cell, &GivenStores::default()) {
        Some(rule) => Err(CliError::usage(format!("--cell: {} ({})", rule.because, rule.id))),
        None => Ok(cell),
    }
}

/// Orders a cluster and installs Gitpod. Gives the lines that tell other clients where it is.
pub(crate) async fn bring_up(
    account: &Account,
    cell: &Cell,
    stop: &Stop,
    kubeconfig: &Path,
) -> Result<String, CliError> {
    let (provider, installer) =
        (account.provider(ClusterSettings::default(), Spending::Free)?, account.installer(&ClusterSettings::default()));
    let cx = Cx::unrecorded(stop.clone(), PATIENCE);
    let run = new_run_id();
    let lease = LeaseId::new(&run, 0, 1);
    let failed = |what: &str, e: &gsh_engine::failure::Failure| CliError::inconclusive(what).because(e);
    let site = installer.site(&cx, &lease, cell).map_err(|e| failed("there can be no such site", &e))?;
    let expires = Timestamp::now() + SignedDuration::from_hours(24);
    let request = LeaseRequest { run, lease, cell_id: cell.id(), cell: cell.clone(), expires, site: site.clone() };
    let cluster =
        provider.acquire(&cx, &request).await.map_err(|e| failed("the cluster cannot be made in this world", &e))?;
    let installation = installer
        .install(&cx, &cluster, cell, &site)
        .await
        .map_err(|e| failed("Gitpod cannot be installed in this world", &e))?;
    gsh_engine::artifacts::write_private(kubeconfig, cluster.kubeconfig.expose().as_bytes())
        .map_err(|e| CliError::usage(format!("cannot write `{}`", kubeconfig.display())).because(&e))?;
    let kubeconfig = std::path::absolute(kubeconfig).unwrap_or_else(|_| kubeconfig.to_owned());
    let (key, known) = logins(&cluster.nodes, &kubeconfig)?;
    let joining = joining::lines(account, &cluster, cell, &site, &kubeconfig).await?;
    Ok(format!(
        "export KUBECONFIG={}\nexport GITPOD_DOMAIN={}\nexport GITPOD_INGRESS={}\nexport SSH_KEY={}\nexport SSH_KNOWN_HOSTS={}\n{joining}",
        kubeconfig.display(),
        installation.domain,
        cluster.ingress,
        key.display(),
        known.display(),
    ))
}

/// Writes beside the kubeconfig how to log in to the machines: the key, and the host keys as OpenSSH keeps them.
fn logins(nodes: &[Node], kubeconfig: &Path) -> Result<(PathBuf, PathBuf), CliError> {
    let logins: Vec<&Login> = nodes.iter().filter_map(|n| n.login.as_ref()).collect();
    let known: String = logins.iter().map(|l| format!("[{}]:{} {}\n", l.address, l.port, l.host_key)).collect();
    let key = logins.first().map(|l| l.key.expose()).unwrap_or_default();
    Ok((write_beside(kubeconfig, "ssh-key", key)?, write_beside(kubeconfig, "known-hosts", &known)?))
}
