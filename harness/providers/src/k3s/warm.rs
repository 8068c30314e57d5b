//! User-data of a machine that becomes a snapshot: what every node of a release fetches anyway is fetched once, and nothing of
//! the machine itself stays behind.
//!
//! Nodes that start from it are told the same as others. The installer of k3s leaves a binary alone that is already there with
//! the right checksum, so a snapshot saves its download, and one that does not fit costs nothing but the attempt.

use gsh_engine::failure::Failure;
use gsh_model::axis::{K3sVersion, Os};
use gsh_ssh::KeyPair;

use super::cloud_config::{File, argv};
use super::node::{DOWNLOADING, INSTALLING, UserData, base, preamble, sealed};
use super::sshd;

const SCRIPT: &str = "/var/lib/gsh/warm.sh";

/// Makes the machine nobody: without it every clone would have its key, its identity, and the marks of finished work.
pub const FORGET: &str = "rm -rf /var/lib/cloud/instance /var/lib/cloud/instances /var/lib/cloud/data /var/lib/cloud/sem \
     /var/lib/gsh /root/.ssh/authorized_keys /etc/ssh/ssh_host_* && : > /etc/machine-id && sync";

/// What a snapshot is of: image, release and template, as a label can hold it.
#[must_use]
pub fn key(os: Os, k3s: &K3sVersion, install_url: &str) -> String {
    let (_, digest) = sealed(&script(k3s, install_url));
    format!("{os}-{}-{digest}", k3s.to_string().replace('+', "-"))
}

/// Writes the user-data.
///
/// # Errors
/// When it would be longer than the cloud takes.
pub fn user_data(
    os: Os,
    k3s: &K3sVersion,
    install_url: &str,
    host_key: &KeyPair,
    login: &str,
) -> Result<UserData, Failure> {
    let (script, digest) = sealed(&script(k3s, install_url));
    let mut config = base(host_key, login);
    sshd::move_port(&mut config, os);
    config.write_files.push(File::script(SCRIPT, script));
    config.runcmd.push(argv(["sh", SCRIPT]));
    Ok(UserData { text: config.render()?, digest })
}

fn script(k3s: &K3sVersion, install_url: &str) -> String {
    let mut s = preamble();
    s.push_str(&format!(
        "\nstep '{DOWNLOADING}'\n\
         n=0\n\
         until curl -sfL --max-time 60 -o /var/lib/gsh/install-k3s.sh {install_url}; do\n\
         \x20 n=$((n + 1))\n\
         \x20 [ \"$n\" -lt 3 ] || fail 'the k3s install script cannot be downloaded'\n\
         \x20 sleep 5\n\
         done\n\
         \nstep '{INSTALLING}'\n\
         INSTALL_K3S_VERSION={k3s} INSTALL_K3S_SKIP_ENABLE=true INSTALL_K3S_SKIP_START=true INSTALL_K3S_EXEC=server \\\n\
         \x20 sh /var/lib/gsh/install-k3s.sh || fail 'the k3s installer failed'\n\
         \nstep 'leaving only the binary'\n\
         rm -f /etc/systemd/system/k3s.service /etc/systemd/system/k3s.service.env\n\
         systemctl daemon-reload\n"
    ));
    s
}
