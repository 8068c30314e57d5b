//! What `gsh-verify --ssh` shows to machines: keys of every kind that people have, with a passphrase or in an agent. The keys are
//! made, and the agent is run, by OpenSSH; where that is absent, the test says so.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::machines::Machine;
use crate::outside::present;
use crate::program::{Program, root};
use crate::verify::{Installed, command, text};

/// For an agent to be there, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// Nobody has said it when it appears anywhere.
const PASSPHRASE: &str = "correct horse battery";

/// A cluster whose machine lets in whom the test says, and a folder with the keys.
struct Place {
    installed: Installed,
    machine: Machine,
    program: Program,
}

impl Place {
    fn start() -> Self {
        let installed = tokio::task::block_in_place(Installed::start);
        let machine = Machine::of(&installed);
        Self { installed, machine, program: Program::new() }
    }

    /// A pair of keys, made by these arguments.
    fn key(&self, name: &str, kind: &[&str], passphrase: &str) -> PathBuf {
        let file = self.program.folder().join(name);
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-C", name, "-N", passphrase, "-f"]).arg(&file).args(kind);
        done(&mut command);
        file
    }

    /// Lets the other half of a key in.
    async fn admit(&self, key: &Path) {
        let public = std::fs::read_to_string(key.with_extension("pub")).expect("the public half");
        self.machine.run(&format!("echo '{}' >> /root/.ssh/authorized_keys", public.trim())).await;
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = command(&self.program);
        command.args(["--kubeconfig", self.installed.emulation.variable("KUBECONFIG"), "--format", "json", "--quiet"]);
        command.args(["--scenario", "node-conformance", "--ssh", "root", "--ssh-known-hosts"]);
        command.arg(self.installed.emulation.variable("SSH_KNOWN_HOSTS")).args(self.installed.args()).args(more);
        command.stdin(Stdio::null());
        command
    }

    /// Looks with this in the environment; gives the exit code and everything that was said.
    fn look(&self, env: &[(&str, &str)], more: &[&str]) -> (i32, String) {
        all(&self.command(more).envs(env.iter().copied()).output().expect("gsh-verify starts"))
    }
}

fn all(output: &Output) -> (i32, String) {
    let (code, stdout, stderr) = text(output);
    (code, format!("{stdout}{stderr}"))
}

fn done(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn openssh() -> bool {
    present("sh", &["-c", "command -v ssh-keygen && command -v ssh-agent && command -v ssh-add"])
}

/// An agent of OpenSSH that lives as long as this.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("agent");
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket).env("HOME", folder);
        // Nobody is at hand to confirm anything.
        command.env_remove("DISPLAY").env("SSH_ASKPASS", "/bin/false").env("SSH_ASKPASS_REQUIRE", "force");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("ssh-agent starts");
        let agent = Self { child, socket };
        let began = Instant::now();
        // 2 is "no agent"; each look is a process, so this does not spin.
        while agent.add(&["-l"]).status().expect("ssh-add starts").code() == Some(2) {
            assert!(began.elapsed() < PATIENCE, "an agent within {PATIENCE:?}");
        }
        agent
    }

    fn add(&self, args: &[&str]) -> Command {
        let mut command = Command::new("ssh-add");
        command.args(args).env("SSH_AUTH_SOCK", &self.socket).env_remove("SSH_ASKPASS_REQUIRE");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn holds(&self, key: &Path) {
        done(self.add(&["-q"]).arg(key).stderr(Stdio::piped()));
    }

    fn env(&self) -> [(&str, &str); 1] {
        [("SSH_AUTH_SOCK", self.socket.to_str().expect("UTF-8"))]
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _gone = (self.child.kill(), self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_key_file_logs_in_and_a_passphrase_is_told_to_nobody() {
    if !openssh() {
        return;
    }
    let place = Place::start();
    let kinds: [(&str, &[&str]); 6] = [
        ("ed25519", &["-t", "ed25519"]),
        ("ecdsa", &["-t", "ecdsa", "-b", "384"]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
        ("rsa-pkcs1", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("rsa-pkcs8", &["-t", "rsa", "-b", "2048", "-m", "PKCS8"]),
        ("ecdsa-pkcs8", &["-t", "ecdsa", "-b", "256", "-m", "PKCS8"]),
    ];
    for (name, kind) in kinds {
        let open = place.key(name, kind, "");
        let (code, said) = place.look(&[], &["--ssh-key", open.to_str().expect("UTF-8")]);
        assert_eq!(code, 3, "{name}: nobody lets it in yet: {said}");
        assert!(said.contains("refuses the login of `root`"), "{name}: {said}");
        place.admit(&open).await;
        let (code, said) = place.look(&[], &["--ssh-key", open.to_str().expect("UTF-8")]);
        assert_eq!(code, 0, "{name}: {said}");
        assert!(said.contains("GSH-LOOK-166"), "{name}: {said}");

        let locked = place.key(&format!("{name}-locked"), kind, PASSPHRASE);
        place.admit(&locked).await;
        let args = ["-v", "--ssh-key", locked.to_str().expect("UTF-8")];
        let (code, said) = place.look(&[("GSH_SSH_PASSPHRASE", PASSPHRASE)], &args);
        assert_eq!(code, 0, "{name}: {said}");
        assert!(!said.contains("horse"), "{name}: {said}");

        let (code, said) = place.look(&[("GSH_SSH_PASSPHRASE", "wrong horse")], &args);
        assert_eq!(code, 2, "{name}: {said}");
        assert!(said.starts_with(&format!("error: the SSH key `{}` cannot be used\n", locked.display())), "{said}");
        assert!(said.contains("caused by: its passphrase is another one\n") && !said.contains("horse"), "{said}");
        let (code, said) = place.look(&[], &args);
        assert_eq!(code, 2, "{name}: {said}");
        assert!(said.contains("has a passphrase, and there is no terminal to ask for it"), "{name}: {said}");
    }

    // The names that OpenSSH has, too.
    std::fs::create_dir(place.program.folder().join(".ssh")).expect("a folder");
    std::fs::copy(place.program.folder().join("rsa"), place.program.folder().join(".ssh/id_rsa")).expect("a copy");
    let (code, said) = place.look(&[], &[]);
    assert_eq!(code, 0, "~/.ssh/id_rsa: {said}");

    if present("python3", &["-c", "import pty, termios"]) {
        let (look, key) = (place.command(&[]), place.program.folder().join("rsa-locked"));
        let typed = |line: &str| {
            let mut command = Command::new("python3");
            command.arg(root().join("tests/it/typed.py")).arg(line).arg(look.get_program()).args(look.get_args());
            command.arg("--ssh-key").arg(&key).env("HOME", place.program.folder());
            command.env("TMPDIR", place.program.folder()).env("PYTHONDONTWRITEBYTECODE", "1");
            command.env_remove("SSH_AUTH_SOCK").env_remove("GSH_SSH_PASSPHRASE").env_remove("KUBECONFIG");
            all(&command.stdin(Stdio::null()).output().expect("python3 starts"))
        };
        let (code, said) = typed(PASSPHRASE);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains(&format!("passphrase of the SSH key `{}`: ", key.display())), "{said}");
        assert!(!said.contains("horse"), "what is typed is not shown: {said}");
        let (code, said) = typed("wrong horse");
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("its passphrase is another one") && !said.contains("horse"), "{said}");
    }
    place.installed.emulation.interrupt();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_signs_and_what_it_does_not_do_is_told() {
    if !openssh() {
        return;
    }
    let place = Place::start();
    let folder = place.program.folder();
    let stranger = place.key("stranger", &["-t", "ed25519"], "");
    let (rsa, edwards) = (place.key("rsa", &["-t", "rsa", "-b", "2048"], ""), place.key("ed", &["-t", "ed25519"], ""));
    let agent = Agent::start(folder);
    let public = |key: &Path| key.with_extension("pub").display().to_string();

    // No agent, a wrong one, an empty one: each by its name, before anything is asked of the cluster.
    let (code, said) = place.look(&[], &[]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("id_rsa, and there is no SSH agent (SSH_AUTH_SOCK is not set)\n"), "{said}");
    let (code, said) = place.look(&[("SSH_AUTH_SOCK", "/nowhere/agent")], &[]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("the SSH agent at `/nowhere/agent` cannot be reached: No such file or directory"), "{said}");
    let (code, said) = place.look(&agent.env(), &[]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains(&format!("the SSH agent at `{}` holds no key\n", agent.socket.display())), "{said}");
    assert!(said.contains("hint: name a key with --ssh-key, or add one to the agent with ssh-add\n"), "{said}");

    // It holds a key that nobody knows: refused. A second one is tried after it, over the same connection.
    agent.holds(&stranger);
    let (code, said) = place.look(&agent.env(), &[]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("refuses the login of `root`"), "{said}");
    for key in [&rsa, &edwards] {
        agent.holds(key);
        place.admit(key).await;
        let (code, said) = place.look(&agent.env(), &[]);
        assert_eq!(code, 0, "{}: {said}", key.display());
        done(&mut agent.add(&["-d", &public(key)]));
    }

    // A public key names the one that is meant; only what is held can be meant.
    agent.holds(&rsa);
    let (code, said) = place.look(&agent.env(), &["--ssh-key", &public(&rsa)]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = place.look(&agent.env(), &["--ssh-key", &public(&stranger)]);
    assert_eq!(code, 3, "the other key of the agent is not tried: {said}");
    let (code, said) = place.look(&agent.env(), &["--ssh-key", &public(&edwards)]);
    assert_eq!(code, 2, "{said}");
    let nobody = format!("error: `{}` is a public key, and nobody signs for it: the SSH agent at `", public(&edwards));
    assert!(said.starts_with(&nobody) && said.contains("` does not hold it\n"), "{said}");

    // A passphrase is not asked for where the agent has the key.
    let locked = place.key("locked", &["-t", "ed25519"], PASSPHRASE);
    place.admit(&locked).await;
    let open = folder.join("opened");
    std::fs::copy(&locked, &open).expect("a copy");
    done(
        Command::new("ssh-keygen")
            .args(["-q", "-p", "-P", PASSPHRASE, "-N", "", "-f"])
            .arg(&open)
            .stdout(Stdio::null()),
    );
    let (code, said) = place.look(&agent.env(), &["--ssh-key", locked.to_str().expect("UTF-8")]);
    assert_eq!(code, 2, "{said}");
    agent.holds(&open);
    let (code, said) = place.look(&agent.env(), &["--ssh-key", locked.to_str().expect("UTF-8")]);
    assert_eq!(code, 0, "{said}");

    // The machine hangs up before it has seen the right one, and whoever names that one is let in.
    done(&mut agent.add(&["-D"]));
    for n in 0..7 {
        agent.holds(&place.key(&format!("other-{n}"), &["-t", "ed25519"], ""));
    }
    agent.holds(&edwards);
    let (code, said) = place.look(&agent.env(), &[]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains(" of 8; name the one that it knows"), "{said}");
    let (code, said) = place.look(&agent.env(), &["--ssh-key", &public(&edwards)]);
    assert_eq!(code, 0, "{said}");

    // One that asks its owner first, who is not there; one that has been locked holds nothing; one that is gone.
    done(&mut agent.add(&["-D"]));
    done(agent.add(&["-q", "-c"]).arg(&edwards));
    let (code, said) = place.look(&agent.env(), &[]);
    assert_eq!(code, 3, "{said}");
    assert!(
        said.contains(&format!("the SSH agent at `{}` does not sign with SHA256:", agent.socket.display())),
        "{said}"
    );
    let socket = agent.socket.clone();
    drop(agent);
    let (code, said) = place.look(&[("SSH_AUTH_SOCK", socket.to_str().expect("UTF-8"))], &[]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("cannot be reached: "), "{said}");
    place.installed.emulation.interrupt();
}
