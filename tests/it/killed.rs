//! `gsh-verify --intrusive`, killed after any step of any scenario: the next start finds what was left and removes it.
//!
//! What was left is not asked of the program: every object of the cluster, of every kind that its API serves, is there
//! again as it was before, and the stores hold nothing of it. Without more said, a few deaths of each scenario are tried.
//! All of them: `GSH_DEATHS=all cargo nextest run --profile deaths -p gsh --test it killed`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::IpAddr;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gsh_engine::cx::Cx;
use gsh_engine::provider::Stores;
use gsh_engine::reach::Reach;
use gsh_engine::secret::Secret;
use gsh_engine::stop::Stop;
use gsh_gitpod::probe::Probe;
use gsh_gitpod::stores::{Database, Objects, Word};
use gsh_model::lease::{LeaseId, RunId};
use gsh_providers::attached::{Mode, Way, connect};
use serde_json::Value;

use crate::emulate::Emulation;
use crate::program::{Program, root};
use crate::relay::Relay;

/// For a scenario of a world without delays, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(100);

/// Every scenario that is safe on a live system.
const SCENARIOS: [&str; 5] = ["workspace-start", "docker-in-workspace", "ssh-on-22", "store-roundtrip", "isolation"];

/// Of questions that the test itself asks.
const CODE: &str = "GSH-STO-001";

/// How many parts of a scenario are tried when not all deaths are: one death at the end of each.
const PARTS: usize = 3;

/// A cluster with Gitpod on it, and everything that is in it while nobody works with it.
struct Cluster {
    emulation: Emulation,
    client: kube::Client,
    objects: BTreeSet<String>,
}

impl Cluster {
    async fn start() -> Self {
        let emulation = tokio::task::block_in_place(Emulation::installed);
        let way = Way { kubeconfig: Some(emulation.variable("KUBECONFIG").into()), context: None };
        let client = connect(&way, Mode::Everything).await.expect("a way").client;
        let objects = objects(&client).await;
        assert!(objects.len() > 100, "{objects:?}");
        Self { emulation, client, objects }
    }

    /// The program, through a kubeconfig.
    fn command(&self, program: &Program, kubeconfig: &str, scenario: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_gsh-verify"));
        command.current_dir(root()).env_clear().env("HOME", program.folder()).env("TMPDIR", program.folder());
        command.args(["--kubeconfig", kubeconfig, "--format", "json", "--quiet", "--intrusive"]);
        command.args(["--scenario", scenario, "--ingress", self.emulation.variable("GITPOD_INGRESS")]);
        for (from, to) in self.emulation.moved_ports() {
            command.args(["--port", &format!("{from}={to}")]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Kills the program after so many steps, and gives the word by which it wrote into stores, if it came to that; or in
    /// how many steps it ended before.
    async fn killed_after(&self, steps: usize, scenario: &str) -> Result<Option<Word>, usize> {
        let program = Program::new();
        let relay = Relay::start(self.client.clone(), steps).await;
        let config = program.write("relayed", &relay.kubeconfig()).display().to_string();
        let child = self.command(&program, &config, scenario).spawn().expect("gsh-verify starts");
        let pid = child.id().expect("it runs").to_string();
        let ending = child.wait_with_output();
        tokio::pin!(ending);
        let look = async {
            tokio::select! {
                biased;
                () = relay.reached() => None,
                output = &mut ending => Some(output.expect("it ends")),
            }
        };
        let lived = tokio::time::timeout(PATIENCE, look).await;
        let lived = lived.unwrap_or_else(|_| panic!("{scenario}: step {steps} within {PATIENCE:?}"));
        if let Some(output) = lived {
            assert_eq!(output.status.code(), Some(0), "{scenario}, whom nobody kills: {}", said(&output));
            return Err(relay.steps());
        }
        assert!(std::process::Command::new("kill").args(["-KILL", &pid]).status().expect("kill").success());
        let output = ending.await.expect("it is dead");
        assert_eq!(output.status.code(), None, "{}", said(&output));
        let mut words =
            relay.posted().into_iter().filter_map(|o| o["metadata"]["labels"][Word::LABEL].as_str()?.parse().ok());
        Ok(words.next_back())
    }

    /// The next start, of a program that only looks beyond that; then everything is as it was.
    async fn cleared(&self, steps: usize, scenario: &str, word: Option<Word>) {
        let program = Program::new();
        let next = self.command(&program, self.emulation.variable("KUBECONFIG"), "node-conformance").output();
        let next = tokio::time::timeout(PATIENCE, next).await.expect("the next start ends").expect("it starts");
        let shown = format!("{scenario}, killed after {steps} steps; then: {}", said(&next));
        assert_eq!(next.status.code(), Some(0), "{shown}");
        assert!(!shown.contains(" stays: "), "{shown}");
        if let Some(word) = word {
            assert_eq!(self.stored(word).await, Vec::<String>::new(), "{shown}");
        }
        let now = objects(&self.client).await;
        let (more, less) = (now.difference(&self.objects), self.objects.difference(&now));
        let (more, less): (Vec<_>, Vec<_>) = (more.collect(), less.collect());
        assert!(more.is_empty() && less.is_empty(), "left: {more:?}, missing: {less:?}; {shown}");
    }

    /// Does something with the stores through a pod of the test.
    async fn through<T>(&self, work: impl AsyncFnOnce(&Probe, &Database, &Objects) -> T) -> T {
        let cx = Cx::unrecorded(Stop::new(), PATIENCE);
        let nowhere = IpAddr::from([127, 0, 0, 1]);
        let cluster = gsh_engine::provider::Cluster {
            lease: LeaseId::new(&"g0000000000".parse::<RunId>().expect("an id"), 0, 1),
            nodes: Vec::new(),
            ingress: nowhere,
            ingress_inside: nowhere,
            kube: self.client.clone(),
            kubeconfig: Secret::new("nobody's", ""),
            stores: Stores::default(),
            reach: Reach::default(),
        };
        let probe = Probe::new(&cluster, "gitpod", "somebody-who-asks");
        probe.start(&cx, &BTreeMap::new(), None, &["sleep", "600"], CODE).await.expect("a pod that asks");
        let database = Database::configured(&cx, &cluster, "gitpod", CODE).await.expect("the database");
        let objects = Objects::configured(&cx, &cluster, "gitpod", CODE).await.expect("the object store");
        let done = work(&probe, &database, &objects).await;
        probe.remove(CODE).await.expect("it goes");
        done
    }

    /// The table and the objects that a word names.
    async fn written(&self, word: Word) -> Vec<String> {
        self.through(async |probe, database, objects| written(word, probe, database, objects).await).await
    }

    /// The same, and its bucket: that one is there shows by writing to it, so this is for when nothing should be.
    async fn stored(&self, word: Word) -> Vec<String> {
        let work = async |probe: &Probe, database: &Database, objects: &Objects| {
            let mut found = written(word, probe, database, objects).await;
            let bucket = objects.bucket_of(word);
            if objects.bucket.is_none() && objects.put(probe, (&bucket, "x"), b"x", CODE).await.is_ok() {
                found.push(format!("bucket {bucket}"));
            }
            found
        };
        self.through(work).await
    }

    /// One death; whether the scenario lived that long.
    async fn death(&self, steps: usize, scenario: &str) -> Result<(), usize> {
        let word = self.killed_after(steps, scenario).await?;
        self.cleared(steps, scenario, word).await;
        Ok(())
    }
}

async fn written(word: Word, probe: &Probe, database: &Database, objects: &Objects) -> Vec<String> {
    let mut found = Vec::new();
    let select = format!("SELECT word FROM {}", word.table());
    match database.run(probe, &[select], CODE).await.expect("a way to it") {
        Ok(rows) => found.push(format!("table {} with {rows:?}", word.table())),
        Err(e) => assert!(e.to_string().contains("doesn't exist"), "{e}"),
    }
    let listed = objects.list(probe, &objects.bucket_of(word), &word.to_string(), CODE).await.expect("a list");
    found.extend(listed.into_iter().map(|(name, _)| format!("object {name}")));
    found
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Every object of every kind, but those that tell what happened, those that clocks renew, and Jobs, which remove
/// themselves some time after their end.
async fn objects(client: &kube::Client) -> BTreeSet<String> {
    let get = |path: String| async move {
        let request = http::Request::get(&path).body(Vec::new()).expect("a request");
        client.request::<Value>(request).await.unwrap_or_else(|e| panic!("{path}: {e}"))
    };
    let each = |value: &Value, field: &str| value[field].as_array().cloned().unwrap_or_default();
    let mut roots = vec!["/api/v1".to_owned()];
    for group in each(&get("/apis".to_owned()).await, "groups") {
        roots.push(format!("/apis/{}", group["preferredVersion"]["groupVersion"].as_str().expect("a version")));
    }
    let mut all = BTreeSet::new();
    for root in roots {
        for kind in each(&get(root.clone()).await, "resources") {
            let (name, listed) =
                (kind["name"].as_str().expect("a name"), each(&kind, "verbs").contains(&"list".into()));
            if !listed || ["events", "leases", "jobs"].contains(&name) {
                continue;
            }
            for object in each(&get(format!("{root}/{name}")).await, "items") {
                let meta = &object["metadata"];
                if each(meta, "ownerReferences").iter().any(|owner| owner["kind"] == "Job") {
                    continue;
                }
                all.insert(format!("{name} {}/{}", meta["namespace"].as_str().unwrap_or_default(), meta["name"]));
            }
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_killed_scenario_leaves_the_next_start_removes() {
    if std::env::var_os("GSH_DEATHS").is_some_and(|v| v == "all") {
        return every_death().await;
    }
    let cluster = Cluster::start().await;
    for scenario in SCENARIOS {
        let steps = cluster.killed_after(usize::MAX, scenario).await.expect_err("nobody kills it");
        let mut died = 0;
        for part in 1..=PARTS {
            // What a scenario makes it makes after the look that every start begins with.
            let at = steps / 3 + part * (steps - steps / 3) / (PARTS + 1);
            died += usize::from(cluster.death(at, scenario).await.is_ok());
        }
        assert!(died + 1 >= PARTS, "{scenario}: only {died} of {PARTS} deaths came before its end, {steps} steps");
    }
    cluster.emulation.interrupt();
}

impl Cluster {
    /// The pods that are the record of what a word names, by name.
    async fn records(&self, word: Word) -> Vec<String> {
        let path = format!("/api/v1/namespaces/gitpod/pods?labelSelector={}%3D{word}", Word::LABEL);
        let request = http::Request::get(path).body(Vec::new()).expect("a request");
        let list: Value = self.client.request(request).await.expect("the pods");
        let pods = list["items"].as_array().expect("items").iter();
        pods.map(|p| p["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// Kills `store-roundtrip` when something is in the stores, and lets the pod through which it came there end like this.
    async fn ended(&self, phase: &str, steps: usize) -> (usize, Word, String) {
        const SCENARIO: &str = "store-roundtrip";
        let mut at = steps * 2 / 3;
        let word = loop {
            let word = self.killed_after(at, SCENARIO).await.expect("it dies").expect("it has its word");
            if !self.written(word).await.is_empty() {
                break word;
            }
            self.cleared(at, SCENARIO, Some(word)).await;
            at = at * 9 / 10;
            assert!(at > steps / 3, "it never wrote anything");
        };
        let records = self.records(word).await;
        let [name] = records.as_slice() else { panic!("one pod: {records:?}") };
        let path = format!("/api/v1/namespaces/gitpod/pods/{name}/status");
        let request = http::Request::patch(path).header("content-type", "application/merge-patch+json");
        let request = request.body(format!(r#"{{"status":{{"phase":"{phase}"}}}}"#).into_bytes());
        let now: Value = self.client.request(request.expect("a request")).await.expect("the pod");
        assert_eq!(now["status"]["phase"], phase);
        (at, word, name.clone())
    }

    /// The next start; what it said, and the pods that it asked for.
    async fn next(&self) -> (String, Vec<String>) {
        let program = Program::new();
        let relay = Relay::start(self.client.clone(), usize::MAX).await;
        let config = program.write("relayed", &relay.kubeconfig()).display().to_string();
        let next = self.command(&program, &config, "node-conformance").output();
        let next = tokio::time::timeout(PATIENCE, next).await.expect("the next start ends").expect("it starts");
        assert_eq!(next.status.code(), Some(0), "{}", said(&next));
        let pods = relay.posted().into_iter().filter(|o| o["kind"] == "Pod");
        (said(&next), pods.filter_map(|o| Some(o["metadata"]["name"].as_str()?.to_owned())).collect())
    }
}

/// A pod of `store-roundtrip` can end before the next start: its machine went, it was evicted, or its time was over. What was
/// written through it is removed through another one; and where that cannot be done, only the record stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_through_a_pod_that_has_ended_is_removed_through_another_one() {
    let cluster = Cluster::start().await;
    let steps = cluster.killed_after(usize::MAX, "store-roundtrip").await.expect_err("nobody kills it");
    let (at, word, name) = cluster.ended("Failed", steps).await;
    let (said, asked) = cluster.next().await;
    assert_eq!(asked, [format!("{name}-next")], "{said}");
    cluster.cleared(at, "store-roundtrip", Some(word)).await;

    let (at, word, name) = cluster.ended("Succeeded", steps).await;
    let bucket = |objects: &Objects| objects.bucket_of(word);
    let put = async |probe: &Probe, _: &Database, objects: &Objects| {
        objects.put(probe, (&bucket(objects), "a-stranger"), b"x", CODE).await.expect("it is written");
    };
    cluster.through(put).await;
    let (said, asked) = cluster.next().await;
    assert_eq!(asked, [format!("{name}-next")], "{said}");
    assert!(said.contains(&format!("what pod `{name}` of an earlier run wrote into the stores stays: ")), "{said}");
    assert_eq!(cluster.records(word).await, [name], "the record, and nothing that the next start made: {said}");
    let remove = async |probe: &Probe, _: &Database, objects: &Objects| {
        objects.remove(probe, (&bucket(objects), "a-stranger"), CODE).await.expect("it is removed");
    };
    cluster.through(remove).await;
    cluster.cleared(at, "store-roundtrip", Some(word)).await;
    cluster.emulation.interrupt();
}

/// Dies at one step after the other until each scenario ends before that, in two clusters at a time.
async fn every_death() {
    let began = Instant::now();
    let mut points = 0;
    for scenario in SCENARIOS {
        let (next, lived, over) = (AtomicUsize::new(1), AtomicUsize::new(0), AtomicBool::new(false));
        let trying = || async {
            let cluster = Cluster::start().await;
            while !over.load(Ordering::Relaxed) {
                let n = next.fetch_add(1, Ordering::Relaxed);
                assert!(n < 1000, "{scenario} never ends");
                if cluster.death(n, scenario).await.is_ok() {
                    lived.fetch_add(1, Ordering::Relaxed);
                } else {
                    over.store(true, Ordering::Relaxed);
                }
            }
            cluster.emulation.interrupt();
        };
        tokio::join!(trying(), trying());
        let died = lived.into_inner();
        tell(&format!("{scenario}: killed after each of {died} steps, {:.0?}", began.elapsed()));
        assert!(died > 20, "{scenario} has only {died} steps");
        points += died;
    }
    tell(&format!("killed scenarios: {points} points, each followed by a next start, {:.0?}", began.elapsed()));
}

fn tell(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("stderr");
}
