//! `gsh emulate` driven by programs that nobody here wrote: PyPI's `hcloud`, OpenSSH, `kubectl`. Where one is absent, the
//! test says so.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::outside::present;
use crate::program::{Program, root};

/// For everything that a world without delays does at once, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

const DEPLOYMENT: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: outside, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeSelector: {gitpod.io/workload_workspace_services: "true"}
      containers:
        - name: web
          image: busybox:1.36
          command: [sh, -c, 'echo "$HOSTNAME says $GREETING"; exec sleep infinity']
          env: [{name: GREETING, value: good morning}]
"#;

/// A running `gsh emulate`, with the environment that it told.
pub(crate) struct Emulation {
    child: Option<Child>,
    program: Program,
    environment: Vec<(String, String)>,
}

impl Emulation {
    fn start() -> Self {
        Self::with(&[], 3)
    }

    /// With a cluster that has Gitpod on it; its kubeconfig and its site are in the environment.
    pub(crate) fn installed() -> Self {
        let folder = Program::new();
        let kubeconfig = folder.folder().join("kubeconfig").display().to_string();
        Self::in_folder(folder, &["--installed", &kubeconfig], 15)
    }

    fn with(args: &[&str], lines: usize) -> Self {
        Self::in_folder(Program::new(), args, lines)
    }

    fn in_folder(program: Program, args: &[&str], lines: usize) -> Self {
        let said = std::fs::File::create(program.folder().join("said")).expect("a file");
        let mut command = program.command();
        command.arg("emulate").args(args);
        let mut child = command.stdout(Stdio::piped()).stderr(said).spawn().expect("gsh starts");
        let stdout = child.stdout.take().expect("piped");
        let environment: Vec<(String, String)> = BufReader::new(stdout)
            .lines()
            .take(lines)
            .map_while(Result::ok)
            .map(|line| {
                let (name, value) = line.strip_prefix("export ").and_then(|l| l.split_once('=')).expect(&line);
                (name.to_owned(), value.to_owned())
            })
            .collect();
        let emulation = Self { child: Some(child), program, environment };
        let names: Vec<&str> = emulation.environment.iter().map(|(name, _)| name.as_str()).collect();
        let all = [
            "HCLOUD_ENDPOINT",
            "HETZNER_ENDPOINT",
            "HCLOUD_TOKEN",
            "KUBECONFIG",
            "GITPOD_DOMAIN",
            "GITPOD_INGRESS",
            "SSH_KEY",
            "SSH_KNOWN_HOSTS",
            "K3S_URL",
            "K3S_TOKEN",
            "INSTALL_K3S_VERSION",
            "GITPOD_CA",
            "HCLOUD_NETWORK",
            "HCLOUD_FIREWALL",
            "HCLOUD_SSH_KEY",
        ];
        assert_eq!(names, all[..lines], "{}", emulation.said());
        emulation
    }

    /// One of the variables that it told.
    pub(crate) fn variable(&self, name: &str) -> &str {
        let found = self.environment.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no {name}"))
    }

    /// Everything that it told, as it stands.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Ports that could not be bound here, and where they are instead.
    pub(crate) fn moved_ports(&self) -> Vec<(String, String)> {
        let said = self.said();
        let notes =
            said.lines().filter_map(|l| l.strip_prefix("note: port ")?.split_once(" cannot be bound here and is "));
        notes.filter_map(|(from, to)| Some((from.to_owned(), to.strip_suffix(" instead")?.to_owned()))).collect()
    }

    fn folder(&self) -> &Path {
        self.program.folder()
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.folder().join("said")).unwrap_or_default()
    }

    /// Runs a step of the script with the official client and gives what it printed.
    fn hcloud(&self, step: &[&OsStr]) -> String {
        let mut command = Command::new("python3");
        command.arg(root().join("tests/it/hcloud_cluster.py")).args(step).envs(self.environment.iter().cloned());
        // Python must not leave its cache in the tree.
        succeeded(command.env("PYTHONDONTWRITEBYTECODE", "1"))
    }

    /// Ends it as a user does.
    pub(crate) fn interrupt(mut self) {
        let child = self.child.take().expect("it runs");
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
        let ended = child.wait_with_output().expect("gsh ends");
        assert_eq!(ended.status.code(), Some(0), "{}", self.said());
    }
}

impl Drop for Emulation {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Only where a test has failed already.
            let _gone = (child.kill(), child.wait());
        }
    }
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn succeeded(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?}\n{}", both(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Repeats a command until it succeeds. Each round starts a process, so this does not spin.
fn until(what: &str, mut command: impl FnMut() -> Command) -> String {
    let began = Instant::now();
    loop {
        let output = run(&mut command());
        if output.status.success() {
            return String::from_utf8_lossy(&output.stdout).into_owned();
        }
        assert!(began.elapsed() < PATIENCE, "{what} within {PATIENCE:?}, last saw: {}", both(&output));
    }
}

/// Makes a pair of keys in `folder/name`.
fn key(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    succeeded(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&path));
    path
}

/// OpenSSH with keys that were chosen before the machine existed, and no trust in anybody else.
fn ssh(folder: &Path, address: &str, words: &str) -> Command {
    let known = format!("UserKnownHostsFile={}", folder.join("known").display());
    let mut command = Command::new("ssh");
    command.args(["-F", "/dev/null", "-p", "2244", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]);
    command.args(["-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes", "-o", &known, "-i"]);
    command.arg(folder.join("login")).arg(format!("root@{address}")).arg(words);
    command
}

fn hcloud_is_there() -> bool {
    present("python3", &["-c", "import hcloud"])
}

#[test]
fn the_official_client_lists_sorts_pages_and_is_refused_as_by_the_real_cloud() {
    if !hcloud_is_there() {
        return;
    }
    let emulation = Emulation::start();
    emulation.hcloud(&["lists".as_ref()]);
    emulation.hcloud(&["refusals".as_ref()]);
    emulation.hcloud(&["down".as_ref()]);
    emulation.interrupt();
}

#[test]
fn strangers_order_a_machine_make_a_cluster_of_it_and_use_it() {
    if !hcloud_is_there() || !present("ssh", &["-V"]) {
        return;
    }
    let emulation = Emulation::start();
    let folder = emulation.folder().to_owned();
    key(&folder, "login");
    let host = key(&folder, "host");
    let address = emulation.hcloud(&["up".as_ref(), folder.as_ref()]).trim().to_owned();
    let public = std::fs::read_to_string(host.with_extension("pub")).expect("the public half");
    emulation.program.write("known", &format!("[{address}]:2244 {public}"));

    until("sshd answers on port 2244 with the host key of the user-data", || ssh(&folder, &address, "true"));
    let status = succeeded(&mut ssh(&folder, &address, "cloud-init status --wait; systemctl is-active k3s"));
    assert_eq!(status.trim(), "status: done\nactive");
    for port in [22, 10_022] {
        assert!(TcpStream::connect((address.as_str(), port)).is_err(), "sshd has left port 22, here or moved ({port})");
    }
    let kubeconfig = succeeded(&mut ssh(&folder, &address, "cat /etc/rancher/k3s/k3s.yaml"));

    if present("kubectl", &["version", "--client"]) {
        use_cluster(&emulation.program, &address, &kubeconfig);
    }
    emulation.hcloud(&["down".as_ref()]);
    let after = run(&mut ssh(&folder, &address, "true"));
    assert!(!after.status.success(), "a deleted machine answers nobody");
    emulation.interrupt();
}

/// What people do with `kubectl` first.
fn use_cluster(program: &Program, address: &str, kubeconfig: &str) {
    let config = program.write("kubeconfig", kubeconfig);
    let manifest = program.write("web.yaml", DEPLOYMENT).display().to_string();
    let kubectl = |words: &[&str]| {
        let mut command = Command::new("kubectl");
        command.env("KUBECONFIG", &config).env("HOME", program.folder()).args(words);
        command
    };
    let ok = |words: &[&str]| succeeded(&mut kubectl(words));

    ok(&["config", "set-cluster", "default", &format!("--server=https://{address}:6443")]);
    until("the node is there and Ready", || {
        kubectl(&["wait", "--for=condition=Ready", "node/outsider-1", "--timeout=60s"])
    });
    let nodes = ok(&["get", "nodes", "--show-labels"]);
    assert!(nodes.contains("v1.24.17+k3s1"), "{nodes}");
    for label in ["meta", "ide", "workspace_services", "workspace_regular", "workspace_headless"] {
        assert!(nodes.contains(&format!("gitpod.io/workload_{label}=true")), "{label}: {nodes}");
    }
    let traefik = run(&mut kubectl(&["-n", "kube-system", "get", "service/traefik"]));
    assert!(both(&traefik).contains("\"traefik\" not found"), "it was disabled: {}", both(&traefik));

    ok(&["create", "namespace", "outside"]);
    ok(&["config", "set-context", "default", "--namespace=outside"]);
    assert_eq!(ok(&["apply", "--server-side", "-f", &manifest]), "deployment.apps/web serverside-applied\n");
    ok(&["wait", "--for=condition=Available", "deployment/web", "--timeout=60s"]);
    ok(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    let pods = ok(&["get", "pods", "-l", "app=web", "-o", "name"]);
    assert_eq!(pods.lines().count(), 2, "{pods}");
    let pod = pods.lines().next().expect("a pod");
    let name = pod.trim_start_matches("pod/");

    assert_eq!(ok(&["logs", pod]), format!("{name} says good morning\n"));
    assert_eq!(ok(&["exec", pod, "--", "sh", "-c", "echo $HOSTNAME; cat /etc/hostname"]), format!("{name}\n{name}\n"));
    let code = run(&mut kubectl(&["exec", pod, "--", "sh", "-c", "echo bad news >&2; exit 3"]));
    assert_eq!(code.status.code(), Some(3), "{}", both(&code));
    assert!(both(&code).contains("bad news"), "{}", both(&code));
    let absent = run(&mut kubectl(&["exec", pod, "--", "abacus"]));
    assert!(both(&absent).contains("executable file not found in $PATH"), "{}", both(&absent));
    let described = ok(&["describe", pod]);
    for words in
        ["Status:           Running", "busybox:1.36", "Successfully assigned outside/", "Started container web"]
    {
        assert!(described.contains(words), "`{words}` in {described}");
    }

    ok(&["scale", "deployment/web", "--replicas=1"]);
    ok(&["wait", "--for=jsonpath={.status.replicas}=1", "deployment/web", "--timeout=60s"]);
    // Somebody else owns this field now; server-side apply says so.
    let conflict = run(&mut kubectl(&["apply", "--server-side", "-f", &manifest]));
    assert!(both(&conflict).contains("conflict") && both(&conflict).contains(".spec.replicas"), "{}", both(&conflict));
    ok(&["apply", "--server-side", "--force-conflicts", "-f", &manifest]);
    ok(&["wait", "--for=jsonpath={.status.readyReplicas}=2", "deployment/web", "--timeout=60s"]);

    ok(&["delete", "-f", &manifest, "--timeout=60s"]);
    ok(&["delete", "namespace", "outside", "--timeout=60s"]);
    let gone = run(&mut kubectl(&["get", "deployment/web"]));
    assert!(both(&gone).contains("not found"), "{}", both(&gone));
}

/// One GET of an API at `endpoint`, as bytes on a connection: status line, headers and body.
fn get(endpoint: &str, path: &str, token: &str) -> String {
    ask(endpoint, "GET", path, token, "")
}

/// The same with a body.
fn post(endpoint: &str, path: &str, token: &str, body: &str) -> String {
    ask(endpoint, "POST", path, token, body)
}

fn ask(endpoint: &str, method: &str, path: &str, token: &str, body: &str) -> String {
    let host = endpoint.strip_prefix("http://").and_then(|e| e.strip_suffix("/v1")).expect(endpoint);
    let mut stream = TcpStream::connect(host).expect("the API listens");
    let length = body.len();
    let head = format!(
        "{method} /v1{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn the_seed_decides_the_token_and_the_log_has_every_request() {
    let token = |args: &[&str]| {
        let emulation = Emulation::with(args, 3);
        let value = |name: &str| emulation.environment.iter().find(|(n, _)| n == name).expect(name).1.clone();
        let (endpoint, token) = (value("HCLOUD_ENDPOINT"), value("HCLOUD_TOKEN"));
        for (path, status) in [("/servers", "200 OK"), ("/nowhere", "404 Not Found")] {
            let answer = get(&endpoint, path, &token);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        }
        assert!(get(&endpoint, "/servers", "somebody-elses").starts_with("HTTP/1.1 401"));
        emulation.interrupt();
        token
    };
    let folder = Program::new();
    let log = folder.folder().join("requests.jsonl");
    let file = log.display().to_string();
    let seven = token(&["--seed", "7", "--latency", "1", "--virtual-time", "--request-log", &file]);
    assert_eq!(token(&["--seed", "7"]), seven);
    assert_ne!(token(&["--seed", "8"]), seven);
    let lines = std::fs::read_to_string(log).expect("the log");
    let lines: Vec<serde_json::Value> = lines.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let seen: Vec<(&str, u64)> =
        lines.iter().map(|l| (l["path"].as_str().expect("a path"), l["status"].as_u64().expect("a status"))).collect();
    assert_eq!(seen, [("/servers", 200), ("/nowhere", 404), ("/servers", 401)]);
    assert!(lines.iter().all(|l| l["ms"].as_u64().is_some_and(|ms| ms >= 1)), "the latency: {lines:?}");
    assert!(!lines.iter().any(|l| l.to_string().contains(&seven)), "no token in the log");

    let bad = run(folder.command().args(["emulate", "--request-log", "/nowhere/at/all"]));
    assert_eq!(bad.status.code(), Some(2), "{}", both(&bad));
}

/// A world in which a boot takes hours, and nobody may have two servers.
const SLOW: &str = "title = 'a slow cloud'\n[hetzner.quota]\nservers = 1\n[hetzner.takes-ms]\ncreate_server = 3600000\nstart_server = 7200000\n";

/// Needs no waiting: in virtual time every look is a step.
#[test]
fn a_world_file_and_virtual_time_decide_what_the_cloud_does() {
    let folder = Program::new();
    let file = folder.folder().join("slow.toml");
    std::fs::write(&file, SLOW).expect("a file");
    let emulation = Emulation::with(&["--world", &file.display().to_string(), "--virtual-time"], 3);
    let (endpoint, token) =
        (emulation.variable("HCLOUD_ENDPOINT").to_owned(), emulation.variable("HCLOUD_TOKEN").to_owned());
    let order = |name: &str| {
        let body = format!(r#"{{"name":"{name}","server_type":"cx23","image":"ubuntu-24.04","location":"fsn1"}}"#);
        post(&endpoint, "/servers", &token, &body)
    };
    assert!(order("one").starts_with("HTTP/1.1 201"));
    let refused = order("two");
    assert!(refused.starts_with("HTTP/1.1 403") && refused.contains("server_limit"), "{refused}");
    let status = || {
        let shown = get(&endpoint, "/servers?name=one", &token);
        ["initializing", "starting", "running"].into_iter().find(|s| shown.contains(&format!("\"status\":\"{s}\"")))
    };
    let seen: Vec<_> = (0..4).filter_map(|_| status()).collect();
    assert_eq!(seen, ["starting", "running", "running", "running"]);
    emulation.interrupt();
}
