//! User-data of our own template: a machine becomes a node without anybody logging in.
//!
//! Cloud-init's own status proves nothing (`runcmd` has no `set -e`), so all work is in one script that stops at the first
//! failure, says where it is in [`STEP`], and writes [`SENTINEL`] with the template's digest as its last line.

use gsh_engine::failure::Failure;
use gsh_engine::provider::NodeRole;
use gsh_model::axis::{K3sVersion, Os, Shift};
use gsh_ssh::KeyPair;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::cloud_config::{CloudConfig, File, argv};
use super::{MANAGER_TAINT, WORKLOAD_LABELS, sshd};

/// Where the script says that it came to its end, and of which template.
pub const SENTINEL: &str = "/var/lib/gsh/sentinel";
/// Where the script says what it is doing.
pub const STEP: &str = "/var/lib/gsh/step";
/// Where the script says why it stopped.
pub const FAILED: &str = "/var/lib/gsh/failed";

/// The step in which the installer is fetched.
pub const DOWNLOADING: &str = "downloading the k3s installer";
/// The step in which the installer fetches the release and writes its files.
pub const INSTALLING: &str = "installing k3s";

const SCRIPT: &str = "/var/lib/gsh/node.sh";
const K3S_CONFIG: &str = "/etc/rancher/k3s/config.yaml";
/// Where nodes find the site's authority.
pub(crate) const SITE_CA: &str = "/usr/local/share/ca-certificates/gsh-site.crt";
const METADATA: &str = "http://169.254.169.254/hetzner/v1/metadata";

/// How a machine comes to its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Join {
    /// It makes the cluster; with embedded etcd when others will follow.
    First {
        /// Whether other servers will join.
        etcd: bool,
    },
    /// A further server. Servers join one at a time: it waits until the one before it answers.
    Server {
        /// Address of the first server.
        first: String,
        /// Address of the server before it.
        after: String,
    },
    /// An agent. It asks until the server answers, so it may boot at any time.
    Agent {
        /// Address of the first server.
        first: String,
    },
}

/// All that a machine is told. No `Debug`: it holds the join secrets.
#[derive(Clone)]
pub struct NodePlan<'a> {
    /// What it is for.
    pub role: NodeRole,
    /// Image.
    pub os: Os,
    /// How user ids are shifted.
    pub shift: Shift,
    /// k3s release.
    pub k3s: &'a K3sVersion,
    /// Where the install script is.
    pub install_url: &'a str,
    /// How it joins.
    pub join: Join,
    /// Secret of servers, short form: chosen by us, so that all user-data can be written beforehand.
    pub server_token: &'a str,
    /// Secret of agents: whoever reads a worker's user-data cannot add a server.
    pub agent_token: &'a str,
    /// Further addresses under which the API is reached.
    pub tls_sans: Vec<String>,
    /// PEM of the site's authority, where nodes must be taught it.
    pub ca_pem: Option<&'a str>,
    /// Registry of workspace images that is signed by it.
    pub node_registry: &'a str,
    /// The machine's host key.
    pub host_key: &'a KeyPair,
    /// Public key that may log in.
    pub login: &'a str,
}

/// User-data, ready to send. No `Debug`, for the same reason.
#[derive(Clone)]
pub struct UserData {
    /// The text; it holds the join secret and the host key.
    pub text: String,
    /// What the sentinel must say.
    pub digest: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct K3sConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_init: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disable: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    node_label: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    node_taint: Vec<&'a str>,
}

/// Writes the user-data of one machine.
///
/// # Errors
/// When it would be longer than the cloud takes.
pub fn user_data(plan: &NodePlan<'_>) -> Result<UserData, Failure> {
    let (script, digest) = sealed(&script(plan));
    let mut config = base(plan.host_key, plan.login);
    sshd::move_port(&mut config, plan.os);
    config.write_files.push(File::secret(K3S_CONFIG, yaml(&k3s_config(plan))?));
    if let Some(pem) = plan.ca_pem {
        config.write_files.push(File::public(SITE_CA, pem));
        config.write_files.push(File::secret("/etc/rancher/k3s/registries.yaml", registries(plan.node_registry)?));
    }
    config.write_files.push(File::script(SCRIPT, script));
    config.runcmd.push(argv(["sh", SCRIPT]));
    Ok(UserData { text: config.render()?, digest })
}

/// What every machine of ours has: pinned host key, one login key, no passwords.
#[must_use]
pub fn base(host_key: &KeyPair, login: &str) -> CloudConfig {
    let mut config = CloudConfig {
        disable_root: false,
        ssh_pwauth: false,
        ssh_deletekeys: true,
        timezone: "UTC".to_owned(),
        ssh_authorized_keys: vec![login.to_owned()],
        ..CloudConfig::default()
    };
    config.ssh_keys.insert("ed25519_private".to_owned(), host_key.private_pem.clone());
    config.ssh_keys.insert("ed25519_public".to_owned(), host_key.public_line.clone());
    config
}

/// A script with its own digest in its last line, and the digest.
#[must_use]
pub fn sealed(script: &str) -> (String, String) {
    let sum = Sha256::digest(script.as_bytes());
    let digest: String = sum.iter().take(8).map(|b| format!("{b:02x}")).collect();
    (format!("{script}\nprintf '%s\\n' {digest} > {SENTINEL}\n"), digest)
}

/// The beginning of every script: where it is, and how it stops.
#[must_use]
pub fn preamble() -> String {
    format!(
        "#!/bin/sh\n\
         set -eu\n\
         mkdir -p /var/lib/gsh\n\
         step() {{ printf '%s\\n' \"$1\" > {STEP}; }}\n\
         fail() {{ printf '%s\\n' \"$1\" > {FAILED}; printf '%s\\n' \"$1\" >&2; exit 1; }}\n"
    )
}

fn k3s_config<'a>(plan: &NodePlan<'a>) -> K3sConfig<'a> {
    let labelled = match plan.role {
        NodeRole::ManagerAndWorker | NodeRole::Worker => true,
        NodeRole::Manager => false,
    };
    let (server, cluster_init, is_server) = match &plan.join {
        Join::First { etcd } => (None, etcd.then_some(true), true),
        Join::Server { first, .. } => (Some(api_url(first)), None, true),
        Join::Agent { .. } => (None, None, false),
    };
    K3sConfig {
        token: is_server.then_some(plan.server_token),
        agent_token: is_server.then_some(plan.agent_token),
        cluster_init,
        server,
        disable: if is_server { vec!["traefik"] } else { Vec::new() },
        node_label: if labelled { WORKLOAD_LABELS.iter().map(|l| format!("{l}=true")).collect() } else { Vec::new() },
        node_taint: if labelled { Vec::new() } else { vec![MANAGER_TAINT] },
    }
}

fn api_url(address: &str) -> String {
    format!("https://{address}:6443")
}

fn yaml(value: &impl Serialize) -> Result<String, Failure> {
    serde_norway::to_string(value)
        .map_err(|e| Failure::harness("GSH-NODE-015", "k3s configuration that can be written", "it cannot").because(&e))
}

fn registries(host: &str) -> Result<String, Failure> {
    yaml(&serde_json::json!({ "configs": { host: { "tls": { "ca_file": SITE_CA } } } }))
}

fn script(plan: &NodePlan<'_>) -> String {
    let mut s = preamble();
    // The private address may come later than the rest of the network. Splitting the line by words is the shell's.
    s.push_str(
        "\nstep 'waiting for the private address'\n\
         n=0\n\
         line=$(ip -4 -o addr show | grep -F ' 10.2.' || true)\n\
         while [ -z \"$line\" ]; do\n\
         \x20 n=$((n + 1))\n\
         \x20 [ \"$n\" -le 300 ] || fail 'no address in 10.2.0.0/16 after 300 s'\n\
         \x20 sleep 1\n\
         \x20 line=$(ip -4 -o addr show | grep -F ' 10.2.' || true)\n\
         done\n\
         set -- $line\n\
         interface=$2\n\
         address=${4%%/*}\n",
    );
    s.push_str(&format!(
        "\nstep 'asking the metadata service'\n\
         id=$(curl -sf --retry 10 {METADATA}/instance-id) || fail 'the metadata service does not answer'\n\
         public=$(curl -sf --retry 10 {METADATA}/public-ipv4) || fail 'the metadata service does not answer'\n\
         \nstep 'writing the configuration'\n\
         {{\n\
         \x20 printf 'node-ip: %s\\n' \"$address\"\n\
         \x20 printf 'node-external-ip: %s\\n' \"$public\"\n\
         \x20 printf 'flannel-iface: %s\\n' \"$interface\"\n\
         \x20 printf 'kubelet-arg:\\n- provider-id=hcloud://%s\\n' \"$id\"\n"
    ));
    match plan.join {
        Join::First { .. } | Join::Server { .. } => {
            s.push_str("  printf 'tls-san:\\n- %s\\n- %s\\n' \"$public\" \"$address\"\n");
            for san in &plan.tls_sans {
                s.push_str(&format!("  printf '%s\\n' '- {san}'\n"));
            }
        }
        Join::Agent { .. } => {}
    }
    s.push_str(&format!("}} >> {K3S_CONFIG}\n"));
    if plan.ca_pem.is_some() {
        s.push_str("\nstep 'trusting the certificate authority of the site'\nupdate-ca-certificates\n");
    }
    s.push_str(match plan.shift {
        Shift::Shiftfs => {
            "\nstep 'loading shiftfs'\n\
             modprobe shiftfs || fail \"kernel $(uname -r) has no module shiftfs\"\n\
             printf 'shiftfs\\n' > /etc/modules-load.d/shiftfs.conf\n"
        }
        Shift::Fuse => "\nstep 'loading fuse'\nmodprobe fuse || fail \"kernel $(uname -r) has no module fuse\"\n",
    });
    s.push_str("mkdir -p /usr/src\n");
    s.push_str(sshd::make_sure(plan.os));
    s.push_str(&install(plan));
    s
}

fn install(plan: &NodePlan<'_>) -> String {
    let (verb, unit, environment) = match &plan.join {
        Join::First { .. } | Join::Server { .. } => ("server", "k3s", String::new()),
        Join::Agent { first } => {
            ("agent", "k3s-agent", format!("K3S_URL={} K3S_TOKEN={} ", api_url(first), plan.agent_token))
        }
    };
    let mut s = format!(
        "\nstep '{DOWNLOADING}'\n\
         n=0\n\
         until curl -sfL --max-time 60 -o /var/lib/gsh/install-k3s.sh {url}; do\n\
         \x20 n=$((n + 1))\n\
         \x20 [ \"$n\" -lt 3 ] || fail 'the k3s install script cannot be downloaded'\n\
         \x20 sleep 5\n\
         done\n\
         \nstep '{INSTALLING}'\n\
         {environment}INSTALL_K3S_VERSION={version} INSTALL_K3S_SKIP_START=true INSTALL_K3S_EXEC={verb} \\\n\
         \x20 sh /var/lib/gsh/install-k3s.sh || fail 'the k3s installer failed'\n",
        url = plan.install_url,
        version = plan.k3s,
    );
    if let Join::Server { after, .. } = &plan.join {
        s.push_str(&format!(
            "\nstep 'waiting for the server before this one'\n\
             n=0\n\
             until curl -skf --max-time 5 {url}/ping | grep -q pong; do\n\
             \x20 n=$((n + 1))\n\
             \x20 [ \"$n\" -le 300 ] || fail 'the server {after} did not answer within 300 tries'\n\
             \x20 sleep 2\n\
             done\n",
            url = api_url(after),
        ));
    }
    // Not blocking: with Type=notify a node that cannot join would keep cloud-init's last stage for ever.
    s.push_str(&format!("\nstep 'starting k3s'\nsystemctl --no-block start {unit}\n"));
    s
}
