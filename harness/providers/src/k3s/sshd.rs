//! Moves the machine's own SSH server off port 22, which Gitpod's gateway takes. How depends on the release
//! (Ubuntu's openssh-server package): up to 22.04 sshd listens itself, from 22.10 on systemd listens for it.

use gsh_model::axis::Os;

use super::cloud_config::{CloudConfig, File, argv};

/// The port it moves to.
pub const PORT: u16 = 2244;

const DROP_IN: &str = "/etc/ssh/sshd_config.d/10-gsh-port.conf";

/// Adds what is needed to a cloud-config.
pub fn move_port(config: &mut CloudConfig, os: Os) {
    // `Port` is cumulative: a port in the main file would stay open beside ours. The edit changes nothing when repeated.
    config.bootcmd.push(argv(["sed", "-i", "s/^Port /#Port /", "/etc/ssh/sshd_config"]));
    match os {
        // The network stage that writes files comes before sshd: it never listens on 22.
        Os::Ubuntu2004 | Os::Ubuntu2204 => {}
        // The generator that tells ssh.socket its port reads sshd's configuration when systemd reloads. bootcmd comes
        // before write_files, so the drop-in is written here too.
        Os::Ubuntu2404 => {
            config.bootcmd.push(argv(["mkdir", "-p", "/etc/ssh/sshd_config.d"]));
            config.bootcmd.push(argv(["sh", "-c", &format!("printf 'Port {PORT}\\n' > {DROP_IN}")]));
            config.bootcmd.push(argv(["systemctl", "daemon-reload"]));
        }
    }
    config.write_files.push(File::public(DROP_IN, format!("Port {PORT}\n")));
}

/// Lines of the node script that make sure of it, where the first way may come too late.
#[must_use]
pub fn make_sure(os: Os) -> &'static str {
    match os {
        Os::Ubuntu2004 | Os::Ubuntu2204 => "",
        // A reload without a restart would leave ssh.socket without a descriptor.
        Os::Ubuntu2404 => {
            "\nstep 'moving sshd'\n\
             if ss -Hltn | grep -q ':22 '; then\n  systemctl daemon-reload\n  systemctl restart ssh.socket\nfi\n"
        }
    }
}
