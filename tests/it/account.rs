//! An emulated account that outlives the programs which use it: `gsh emulate` as a process of its own, `gsh run --provider
//! hetzner` as another one, which finds it through the environment like any other client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::program::Program;

/// Kinds that cost money or count against limits.
const KINDS: [&str; 8] =
    ["servers", "load_balancers", "volumes", "primary_ips", "networks", "firewalls", "placement_groups", "ssh_keys"];

/// The log of requests, in the account's folder.
const REQUESTS: &str = "requests.jsonl";

/// A running emulation.
pub(crate) struct Account {
    child: Child,
    /// Holds the world file and the log of requests.
    folder: Program,
    pub(crate) endpoint: String,
    pub(crate) token: String,
}

impl Account {
    /// Starts it with a world file of this text.
    pub(crate) fn start(world: &str) -> Self {
        let program = Program::new();
        let world = program.write("world.toml", world);
        let mut child = program
            .command()
            .arg("emulate")
            .arg("--world")
            .arg(&world)
            .arg("--request-log")
            .arg(program.folder().join(REQUESTS))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("gsh starts");
        let stdout = child.stdout.take().expect("piped");
        let (mut endpoint, mut token) = (String::new(), String::new());
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(value) = line.strip_prefix("export HCLOUD_ENDPOINT=") {
                value.clone_into(&mut endpoint);
            }
            if let Some(value) = line.strip_prefix("export HCLOUD_TOKEN=") {
                value.clone_into(&mut token);
            }
            if !endpoint.is_empty() && !token.is_empty() {
                break;
            }
        }
        assert!(!endpoint.is_empty() && !token.is_empty(), "the emulation tells endpoint and token");
        Self { child, folder: program, endpoint, token }
    }

    /// A program that uses the account.
    pub(crate) fn command(&self, program: &Program) -> Command {
        let mut command = program.command();
        command.env("HCLOUD_ENDPOINT", &self.endpoint).env("HCLOUD_TOKEN", &self.token);
        command
    }

    /// Sends a request as any client would, and gives status and answer.
    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let address = self.endpoint.strip_prefix("http://").expect("a plain endpoint");
        let (host, base) = address.split_once('/').expect("with a version");
        let mut stream = TcpStream::connect(host).expect("the emulation listens");
        let (token, length) = (&self.token, body.len());
        let head = format!(
            "{method} /{base}{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes()).expect("send");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// All requests so far, as `method path?query`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.folder().join(REQUESTS)).expect("the log of requests");
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
        lines.map(|line| format!("{} {}", text(&line, "method"), text(&line, "path"))).collect()
    }

    /// Everything that is in the account, as `kind name`.
    pub(crate) fn there(&self) -> Vec<String> {
        let mut all = Vec::new();
        for kind in KINDS {
            let (status, list) = self.request("GET", &format!("/{kind}?per_page=50"), "");
            assert_eq!(status, 200, "{list}");
            for thing in list[kind].as_array().expect("a list") {
                all.push(format!("{kind} {}", thing["name"].as_str().unwrap_or_default()));
            }
        }
        all
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let _gone = (self.child.kill(), self.child.wait());
    }
}
