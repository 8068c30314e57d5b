//! `gsh-verify --watch` as operators leave it running: defects come and go in a cluster while it looks.

use std::io::{BufRead, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use gsh_fixtures::Still;
use serde_json::{Value, json};

use crate::program::Program;
use crate::verify::{Installed, command, documents};

/// For everything that happens within a second or two, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// A watch that runs.
struct Watching {
    child: Child,
    lines: Receiver<String>,
    _program: Program,
}

impl Drop for Watching {
    fn drop(&mut self) {
        // Only where a test has failed already.
        let _gone = (self.child.kill(), self.child.wait());
    }
}

impl Watching {
    fn start(installed: &Installed, kubeconfig: &str, more: &[&str]) -> Self {
        let program = Program::new();
        let config = program.write("config", kubeconfig).display().to_string();
        let mut verify = command(&program);
        verify.args(["--kubeconfig", &config, "--watch"]).args(installed.args()).args(more);
        let mut child = verify.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("gsh-verify starts");
        let stdout = child.stdout.take().expect("piped");
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, _program: program }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("no further line: {e}"))
    }

    /// The first document.
    fn first(&self) -> Value {
        let first: Value = serde_json::from_str(&self.line()).expect("one document");
        assert!(first["cells"].is_array(), "{first}");
        first
    }

    /// The next change: code, and what it was and is.
    fn change(&self) -> (String, String) {
        let line: Value = serde_json::from_str(&self.line()).expect("one document");
        let word = |key: &str| line["change"][key].as_str().unwrap_or_default().to_owned();
        assert!(word("at").ends_with('Z'), "{line}");
        if word("is") == "bad" {
            assert!(word("remedy").ends_with(&word("check")) && !word("observed").is_empty(), "{line}");
        }
        (word("check").replace("GSH-LOOK-", ""), format!("{} {}", word("was"), word("is")))
    }

    /// Changes until each of these codes has become what stands beside it.
    fn until(&self, wanted: &[(&str, &str)]) -> Vec<(String, String)> {
        let (mut all, mut left) = (Vec::new(), wanted.to_vec());
        while !left.is_empty() {
            let (code, what) = self.change();
            left.retain(|(c, is)| code != *c || !what.ends_with(is));
            all.push((code, what));
        }
        all
    }

    /// Ctrl-C. The code that it ends with, and what it said beside the lines.
    fn interrupt(mut self) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
        let code = self.child.wait().expect("it ends").code();
        let mut said = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
        (code, said)
    }
}

fn change(code: &str, what: &str) -> (String, String) {
    (code.to_owned(), what.to_owned())
}

fn replicas(still: &Still, available: u64) {
    let to = |d: &mut Value| d["status"]["availableReplicas"] = json!(available);
    still.change("Deployment", Some("gitpod"), "dashboard", to).expect("a Deployment");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_defect_shows_when_it_comes_and_when_it_goes() {
    let installed = Installed::start();
    let objects = installed.objects().await;
    let mut still = Still::start(objects.clone()).await.expect("a cluster");
    let watching = Watching::start(&installed, &still.kubeconfig(), &["--format", "json", "--every", "1"]);
    let first = watching.first();
    assert!(first.to_string().contains("GSH-LOOK-801"), "the first document is the whole state: {first}");

    replicas(&still, 0);
    assert_eq!(watching.change(), change("301", "good bad"));
    replicas(&still, 1);
    assert_eq!(watching.change(), change("301", "bad good"));
    still.remove("Service", Some("gitpod"), "blobserve").expect("a Service");
    assert_eq!(watching.change(), change("203", "good bad"));
    let node = objects.iter().find(|o| o["kind"] == "Node").expect("a node")["metadata"]["name"].clone();
    let node = node.as_str().expect("a name");
    still.change("Node", None, node, |n| n["spec"]["unschedulable"] = json!(true)).expect("a node");
    assert_eq!(watching.change(), change("113", "good aside"), "what is only worth knowing is told too");
    // Beside the first look and the watches it asks once a second for the certificate of the private authority.
    let asked = still.requests();
    let paths: Vec<&str> = asked.iter().map(|r| r.path.as_str()).filter(|p| !p.contains("/secrets/")).collect();
    assert_eq!(paths.len(), 18 + 16, "one list and one watch for each kind, where it is, the release: {paths:?}");
    assert!(asked.iter().all(|r| r.method == "GET"), "{asked:?}");

    // Whoever does not see takes nothing for good, nor for bad; and sees all that happened meanwhile.
    still.go_away().await;
    replicas(&still, 0);
    let dark = watching.until(&[("301", " unknown"), ("804", " unknown")]);
    assert!(dark.iter().all(|(_, what)| what.ends_with(" unknown") || what.ends_with(" aside")), "{dark:?}");
    still.come_back().await.expect("the same port");
    let back = watching.until(&[("301", " bad"), ("804", " good")]);
    assert!(!back.contains(&change("203", "unknown good")), "{back:?}");

    // The site goes away, and the cluster does not.
    let site = installed.emulation;
    site.interrupt();
    watching.until(&[("804", " unknown")]);
    let (code, said) = watching.interrupt();
    assert_eq!(code, Some(1), "the code of the last state: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_printed_roles_are_enough_and_with_less_it_lists_again_instead() {
    let installed = Installed::start();
    let objects = installed.objects().await;
    for (asked, follows) in [(vec!["--print-rbac", "--watch"], true), (vec!["--print-rbac"], false)] {
        let printed = command(&Program::new()).args(asked).output().expect("gsh-verify starts").stdout;
        let roles = documents(&String::from_utf8_lossy(&printed));
        let still = Still::start([objects.clone(), roles].concat()).await.expect("a cluster");
        let config = still.kubeconfig_of("gitpod", "gsh-verify").expect("an account");
        let watching = Watching::start(&installed, &config, &["--every", "1"]);
        while !watching.line().ends_with(" not judged") {}
        replicas(&still, 0);
        assert!(watching.line().contains("  BAD   GSH-LOOK-301  "), "a line with its time");
        for words in ["        expected ", "        observed dashboard", "        remedy   docs/troubleshooting.md, "] {
            let line = watching.line();
            assert!(line.starts_with(words), "{line}");
        }
        replicas(&still, 1);
        assert!(watching.line().contains("  ok    GSH-LOOK-301  "), "a line with its time");
        let refused = still.requests().into_iter().filter(|r| r.status == 403).count();
        let (code, said) = watching.interrupt();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("watching; only changes are shown from here on"), "{said}");
        let remark = "note: deployments cannot be watched and are listed again instead: deployments.apps is forbidden";
        assert_eq!(said.contains(remark), !follows, "{said}");
        if follows {
            assert_eq!(refused, 1, "but for the question where Gitpod is, which has a narrower second form");
        }
    }
    installed.emulation.interrupt();
}

#[test]
fn what_has_no_end_is_no_document() {
    let (code, said) = {
        let asked = command(&Program::new()).args(["--watch", "--format", "junit"]).output().expect("it starts");
        (asked.status.code(), String::from_utf8_lossy(&asked.stderr).into_owned())
    };
    assert_eq!(code, Some(2));
    assert!(said.starts_with("error: a watch has no end, so it cannot be one document"), "{said}");
}
