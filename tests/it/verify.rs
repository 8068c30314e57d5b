//! `gsh-verify` as operators run it: against an emulated cluster with Gitpod on it, and against the same cluster with one
//! thing wrong at a time, standing still behind an API that counts what is asked of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gsh_fixtures::Still;
use gsh_look::{Kind, Reader, checks, outside};
use gsh_providers::attached::{Mode, Way, connect};
use gsh_ssh::KeyPair;
use serde_json::{Value, json};

use crate::defects::{DEFECTS, Defect, Objects};
use crate::emulate::Emulation;
use crate::program::{Program, root};

/// `gsh-verify` in an environment of its own.
pub(crate) fn verify(program: &Program, args: &[&str]) -> Output {
    command(program).args(args).output().expect("gsh-verify starts")
}

pub(crate) fn command(program: &Program) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gsh-verify"));
    command.current_dir(root()).env_clear().env("HOME", program.folder()).env("TMPDIR", program.folder());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

pub(crate) fn text(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Codes of checks that failed because of what was seen, and of those that could not be told.
pub(crate) fn codes(results: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut bad, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    let each = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for subject in each(&results["cells"]).iter().flat_map(|c| each(&c["subjects"])) {
        for check in each(&subject["attempts"]).iter().flat_map(|a| each(&a["checks"])) {
            let code = check["check"].as_str().unwrap_or_default().to_owned();
            match check["result"]["blame"].as_str() {
                Some("product") => bad.insert(code),
                Some(_) => unknown.insert(code),
                None => false,
            };
        }
    }
    (bad, unknown)
}

/// An installed cluster, and where its site is.
pub(crate) struct Installed {
    pub(crate) emulation: Emulation,
    kubeconfig: PathBuf,
    ports: Vec<String>,
}

impl Installed {
    pub(crate) fn start() -> Self {
        let emulation = Emulation::installed();
        let kubeconfig = PathBuf::from(emulation.variable("KUBECONFIG"));
        let moved = emulation.moved_ports();
        let ports = moved.iter().flat_map(|(from, to)| ["--port".to_owned(), format!("{from}={to}")]).collect();
        Self { emulation, kubeconfig, ports }
    }

    /// What finds the site although its domain is in no DNS.
    pub(crate) fn args(&self) -> Vec<&str> {
        let mut args = vec!["--ingress", self.emulation.variable("GITPOD_INGRESS")];
        args.extend(self.ports.iter().map(String::as_str));
        args
    }

    /// Every object that a look sees, and the Secret with the authority.
    pub(crate) async fn objects(&self) -> Vec<Value> {
        let way = Way { kubeconfig: Some(self.kubeconfig.clone()), context: None };
        let reader = Reader::new(connect(&way, Mode::ReadOnly).await.expect("a way").client);
        let mut all = vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gitpod"}})];
        for kind in Kind::LISTED {
            for object in reader.list(kind, None, None).await.unwrap_or_else(|e| panic!("{kind}: {e}")) {
                all.push(typed(kind, object));
            }
        }
        all.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cert-manager"}}));
        let secret = reader.get(Kind::Secret, "gitpod", "ca-certificate").await.expect("an answer").expect("a Secret");
        all.push(typed(Kind::Secret, secret));
        // Pods are only let in where their account exists.
        all.sort_by_key(|o| (o["kind"] != "Namespace", o["kind"] != "ServiceAccount"));
        all
    }
}

/// Objects in lists do not say what they are.
fn typed(kind: Kind, mut object: Value) -> Value {
    let version = if kind.group().is_empty() { "v1".to_owned() } else { format!("{}/v1", kind.group()) };
    object["apiVersion"] = version.into();
    object["kind"] = kind.word().into();
    // The copy is born anew.
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["uid", "resourceVersion", "managedFields"] {
            metadata.remove(field);
        }
    }
    object
}

/// Runs the program against a cluster that stands still.
async fn at(still: &Still, kubeconfig: &str, installed: &Installed, more: &[&str]) -> (i32, Value, String) {
    let program = Program::new();
    let config = program.write("config", kubeconfig).display().to_string();
    let mut args = vec!["--kubeconfig", &config, "--format", "json", "--quiet"];
    args.extend(installed.args());
    args.extend(more);
    let output = tokio::task::block_in_place(|| verify(&program, &args));
    let (code, stdout, stderr) = text(&output);
    for request in still.requests() {
        assert_eq!(request.method, "GET", "{request:?}");
    }
    (code, serde_json::from_str(&stdout).unwrap_or(Value::Null), stderr)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_installation_is_green_and_each_defect_shows_as_exactly_its_codes() {
    let installed = Installed::start();
    let program = Program::new();
    let config = installed.kubeconfig.display().to_string();
    let mut args = vec!["--kubeconfig", config.as_str(), "--stats"];
    args.extend(installed.args());
    let (code, stdout, stderr) = text(&verify(&program, &args));
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains(" 0 bad, 0 cannot be told"), "{stdout}");
    assert!(stderr.contains("(19 GET)"), "few requests, and nothing but reading: {stderr}");

    let objects = installed.objects().await;
    assert!(DEFECTS.len() >= 30, "{} defects", DEFECTS.len());
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for defect in DEFECTS {
        let Defect { title, make, codes: expected, worth } = defect;
        let mut all = Objects(objects.clone());
        make(&mut all);
        assert!(expected.is_empty() || all.0 != objects, "`{title}` changes nothing");
        let still = Still::start(all.0).await.unwrap_or_else(|e| panic!("{title}: {e}"));
        let (code, results, stderr) = at(&still, &still.kubeconfig(), &installed, &[]).await;
        let (bad, unknown) = codes(&results);
        let full = |codes: &[&str]| codes.iter().map(|c| format!("GSH-LOOK-{c}")).collect::<BTreeSet<String>>();
        let wanted = full(expected);
        let told = worth_knowing(&results);
        if !full(worth).is_subset(&told) {
            wrong.push(format!("{title}: worth knowing {told:?}, wanted {worth:?}"));
        }
        seen.extend(bad.iter().chain(&told).cloned());
        // Without a record nobody knows where the site should be.
        let blind = wanted.contains("GSH-LOOK-201") && unknown.iter().all(|c| c.starts_with("GSH-LOOK-8"));
        if bad != wanted || !(unknown.is_empty() || blind) || code != i32::from(!wanted.is_empty()) {
            wrong.push(format!("{title}: exit {code}, bad {bad:?}, wanted {wanted:?}, unknown {unknown:?} {stderr}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    seen.extend(another_host_key(&installed, &objects).await);
    every_code_was_seen(&seen);
    roles(&installed, &objects).await;
    absences(&installed, &objects).await;
    bundle(&installed).await;
    bundles_under_roles(&installed, &objects).await;
    installed.emulation.interrupt();
}

/// The gateway shows another key than the one that the operator knows.
async fn another_host_key(installed: &Installed, objects: &[Value]) -> BTreeSet<String> {
    let still = Still::start(objects.to_vec()).await.expect("a cluster");
    let other = KeyPair::generate("").expect("a key").public_line;
    let (code, results, stderr) = at(&still, &still.kubeconfig(), installed, &["--ssh-host-key", other.trim()]).await;
    let (bad, _) = codes(&results);
    assert_eq!((code, bad.len(), bad.contains("GSH-LOOK-806")), (1, 1, true), "{bad:?} {stderr}");
    bad
}

/// A check never seen failing is not a check: that of machines has a test of its own.
fn every_code_was_seen(seen: &BTreeSet<String>) {
    // It would need a site whose certificate ends soon, which none here has: see the test of `outside.rs`.
    const ELSEWHERE: [&str; 1] = ["GSH-LOOK-802"];
    let inside = checks::of_nodes().iter().chain(checks::of_installation()).map(|c| c.code);
    let all = inside.chain(outside::TITLES.iter().map(|(code, ..)| *code));
    let missing: Vec<&str> = all.filter(|code| !seen.contains(*code) && !ELSEWHERE.contains(code)).collect();
    assert!(missing.is_empty(), "no world here shows {missing:?}: add one to defects.rs");
}

/// Codes that were told as worth knowing and fail nothing.
fn worth_knowing(results: &Value) -> BTreeSet<String> {
    let each = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let subjects = each(&results["cells"]).into_iter().flat_map(|c| each(&c["subjects"]));
    let checks = subjects.flat_map(|s| each(&s["attempts"])).flat_map(|a| each(&a["checks"]));
    let told = checks.filter(|c| c["result"].to_string().contains("only worth knowing: "));
    told.map(|c| c["check"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Under exactly the printed roles everything can be seen; with one verb less, exactly what needs it cannot be told.
async fn roles(installed: &Installed, objects: &[Value]) {
    let program = Program::new();
    let (code, printed, stderr) = text(&verify(&program, &["--print-rbac"]));
    assert_eq!(code, 0, "{stderr}");
    let roles = documents(&printed);
    let with = |roles: &[Value]| [objects.to_vec(), roles.to_vec()].concat();
    let still = Still::start(with(&roles)).await.expect("a cluster");
    let config = still.kubeconfig_of("gitpod", "gsh-verify").expect("an account");
    let (code, results, stderr) = at(&still, &config, installed, &[]).await;
    assert_eq!((code, codes(&results)), (0, (BTreeSet::new(), BTreeSet::new())), "{stderr}");
    // Not even one refusal, but for the question where Gitpod is, which has a narrower second form.
    let refused: Vec<String> =
        still.requests().into_iter().filter(|r| r.status == 403).map(|r| format!("{} {}", r.method, r.path)).collect();
    assert_eq!(refused, ["GET /api/v1/configmaps"], "{refused:?}");

    let mut less = roles.clone();
    for rule in less.iter_mut().flat_map(|o| o["rules"].as_array_mut().into_iter().flatten()) {
        if let Some(resources) = rule["resources"].as_array_mut() {
            resources.retain(|r| r != "certificates");
        }
    }
    let still = Still::start(with(&less)).await.expect("a cluster");
    let config = still.kubeconfig_of("gitpod", "gsh-verify").expect("an account");
    let (code, results, stderr) = at(&still, &config, installed, &[]).await;
    let (bad, unknown) = codes(&results);
    let wanted = ["203", "401", "403", "404"].map(|c| format!("GSH-LOOK-{c}"));
    assert_eq!((code, bad, unknown), (3, BTreeSet::new(), wanted.into_iter().collect()), "{stderr}");
    assert!(results.to_string().contains("cannot list resource \\\"certificates\\\""), "{results}");
}

/// The files of an archive of evidence; all lie in one folder, of the archive's name.
fn unpacked(archive: &Path) -> BTreeMap<String, String> {
    let compressed = std::fs::File::open(archive).expect("the archive");
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(compressed));
    let read = |mut entry: tar::Entry<'_, _>| {
        let path = entry.path().expect("a path").display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        (path.strip_prefix("evidence/").expect("in the folder").to_owned(), text)
    };
    tar.entries().expect("entries").map(|entry| read(entry.expect("an entry"))).collect()
}

/// The archive of a live installation has what helps, and none of the installation's secrets.
async fn bundle(installed: &Installed) {
    let program = Program::new();
    let archive = program.folder().join("evidence.tar.gz");
    let (file, config) = (archive.display().to_string(), installed.kubeconfig.display().to_string());
    let mut args = vec!["--kubeconfig", &config, "--quiet", "--bundle", &file];
    args.extend(installed.args());
    let (code, stdout, stderr) = text(&verify(&program, &args));
    assert_eq!(code, 0, "{stdout}{stderr}");
    let files = unpacked(&archive);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    for name in ["results/results.json", "results/junit.xml", "results/ledger.jsonl", "objects/Certificate.json"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    let pods: Vec<Value> = serde_json::from_str(&files["objects/Pod.json"]).expect("JSON");
    assert!(pods.iter().any(|p| p["metadata"]["labels"]["component"] == "server"), "{pods:?}");
    assert!(pods.iter().all(|p| p["metadata"]["namespace"] == "gitpod"), "pods of others are their own");
    let events: Vec<Value> = serde_json::from_str(&files["events.json"]).expect("JSON");
    assert!(events.iter().any(|e| e["reason"] == "Scheduled" || e["reason"] == "Started"), "{events:?}");
    assert!(names.iter().any(|n| n.starts_with("logs/ws-manager-")), "{names:?}");
    assert!(!files["contents.txt"].contains("missing:"), "{}", files["contents.txt"]);
    let listed = |name: &&str| files["contents.txt"].contains(&format!("{name} ("));
    assert!(names.iter().filter(|n| **n != "contents.txt" && !n.starts_with("results/")).all(listed), "{names:?}");

    let way = Way { kubeconfig: Some(installed.kubeconfig.clone()), context: None };
    let reader = Reader::new(connect(&way, Mode::ReadOnly).await.expect("a way").client);
    let secrets = reader.list(Kind::Secret, Some("gitpod"), None).await.expect("Secrets");
    let mut compared = 0;
    for (key, value) in secrets.iter().flat_map(|s| s["data"].as_object().into_iter().flatten()) {
        let hidden = ["password", "token", "key", "secret"].iter().any(|word| key.to_lowercase().contains(word));
        let plain = gsh_gitpod::install::found::decoded(&json!({ "data": { key.as_str(): value } }), key);
        let Some(plain) = plain.filter(|p| hidden && p.len() >= 8) else { continue };
        compared += 1;
        for (name, text) in &files {
            let line = plain.lines().max_by_key(|l| l.len()).unwrap_or_default();
            assert!(!text.contains(line), "the Secret value `{key}` is in {name}");
        }
    }
    assert!(compared >= 5, "{compared} values of {} Secrets", secrets.len());

    // What is there already stays.
    let before = std::fs::read(&archive).expect("the archive");
    let (code, _, stderr) = text(&verify(&program, &args));
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.starts_with(&format!("error: there is something already at `{file}`")), "{stderr}");
    assert_eq!(std::fs::read(&archive).expect("the archive"), before);
}

/// The roles printed for evidence are enough for it; what may not be read is missing by name, and all else is there.
async fn bundles_under_roles(installed: &Installed, objects: &[Value]) {
    const WORD: &str = "correct-horse-battery";
    let spilled = [
        json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "spill", "namespace": "gitpod"},
            "involvedObject": {"kind": "Pod", "name": "server", "namespace": "gitpod"},
            "reason": "Failed", "message": format!("GET https://u:{WORD}@db/x: Authorization: Bearer {WORD}"),
        }),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "spill", "namespace": "gitpod"},
            "data": {"config.yaml": format!("database:\n  password: {WORD}\n"), "x.json": json!({"apiKey": WORD}).to_string()},
        }),
    ];
    let program = Program::new();
    for (asked, events) in [(vec!["--print-rbac", "--bundle", "evidence.tgz"], true), (vec!["--print-rbac"], false)] {
        let (_, printed, _) = text(&verify(&program, &asked));
        let all = [objects.to_vec(), spilled.to_vec(), documents(&printed)].concat();
        let still = Still::start(all).await.expect("a cluster");
        let config = still.kubeconfig_of("gitpod", "gsh-verify").expect("an account");
        let archive = program.folder().join("evidence").with_extension(if events { "tgz" } else { "tar.gz" });
        let (code, _, stderr) = at(&still, &config, installed, &["--bundle", &archive.display().to_string()]).await;
        assert_eq!(code, 0, "{stderr}");
        let files = unpacked(&archive);
        let refused: Vec<String> = still.requests().into_iter().filter(|r| r.status == 403).map(|r| r.path).collect();
        let contents = &files["contents.txt"];
        assert_eq!(files.contains_key("events.json"), events, "{contents}");
        if events {
            assert_eq!(refused, ["/api/v1/configmaps"]);
            assert!(files["events.json"].contains("https://u:[redacted]@db/x"), "{}", files["events.json"]);
            assert!(contents.contains(".log: ") && contents.contains("this cluster stands still"), "{contents}");
        } else {
            assert!(contents.contains("missing: events.json: ") && contents.contains("\"events\""), "{contents}");
            assert!(contents.contains("cannot get resource \"pods/log\""), "{contents}");
        }
        assert!(files["objects/ConfigMap.json"].contains("password: [redacted]"), "the ConfigMap was not kept");
        for (name, text) in &files {
            assert!(!text.contains(WORD), "{name}: {text}");
        }
    }
}

pub(crate) fn documents(text: &str) -> Vec<Value> {
    use serde::Deserialize as _;
    let documents = serde_norway::Deserializer::from_str(text);
    documents.map(|d| Value::deserialize(d).expect("YAML")).filter(|v| !v.is_null()).collect()
}

/// What is not there, or may not be seen, is one clear line.
async fn absences(installed: &Installed, objects: &[Value]) {
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody", "namespace": "gitpod"}});
    let still = Still::start([objects.to_vec(), vec![account]].concat()).await.expect("a cluster");
    let config = still.kubeconfig_of("gitpod", "nobody").expect("an account");
    let (code, _, stderr) = at(&still, &config, installed, &[]).await;
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.starts_with("error: nothing may be looked at in the cluster at https://127.0.0.1:"), "{stderr}");
    assert!(stderr.contains("User \"system:serviceaccount:gitpod:nobody\" cannot list"), "{stderr}");

    let still = Still::start(Vec::new()).await.expect("a cluster");
    let (code, _, stderr) = at(&still, &still.kubeconfig(), installed, &[]).await;
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.starts_with("error: there is no Gitpod in the cluster at"), "{stderr}");
    let (code, _, stderr) = at(&still, &still.kubeconfig(), installed, &["--namespace", "default"]).await;
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.starts_with("error: there is no Gitpod in the namespace `default`"), "{stderr}");

    // Whoever may look at a part only has not seen that there is none.
    let others: Vec<Value> = objects.iter().filter(|o| o["metadata"]["namespace"] != "gitpod").cloned().collect();
    for (everywhere, here) in [(None, "configmaps"), (None, "deployments"), (Some("configmaps"), "deployments")] {
        let roles = may_list(everywhere, here);
        let still = Still::start([others.clone(), roles.clone()].concat()).await.expect("a cluster");
        let config = still.kubeconfig_of("default", "guest").expect("an account");
        let (code, _, stderr) = at(&still, &config, installed, &[]).await;
        assert_eq!(code, 3, "{everywhere:?} {here}: {stderr}");
        assert!(stderr.starts_with("error: no Gitpod was found in the cluster at https://127.0.0.1:"), "{stderr}");
        assert!(stderr.contains("but not all of it may be looked at: "), "{stderr}");
        assert!(stderr.contains("cannot list resource"), "{stderr}");
    }

    let mut two = Objects(objects.to_vec());
    two.copy_record_to("elsewhere");
    let still = Still::start(two.0).await.expect("a cluster");
    let (code, _, stderr) = at(&still, &still.kubeconfig(), installed, &[]).await;
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("there are several installations, in the namespaces elsewhere, gitpod"), "{stderr}");
}

/// An account that may list one kind in every namespace, and one in its own.
fn may_list(everywhere: Option<&str>, here: &str) -> Vec<Value> {
    let group = "rbac.authorization.k8s.io";
    let rule = |resource: &str| json!([{"apiGroups": ["", "apps"], "resources": [resource], "verbs": ["list"]}]);
    let role = |kind: &str, rules: Value| json!({"apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {"name": "guest", "namespace": "default"}, "rules": rules});
    let binding = |kind: &str, to: &str| {
        json!({
            "apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {"name": "guest", "namespace": "default"},
            "roleRef": {"apiGroup": group, "kind": to, "name": "guest"},
            "subjects": [{"kind": "ServiceAccount", "name": "guest", "namespace": "default"}],
        })
    };
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "guest", "namespace": "default"}});
    let mut all = vec![account, role("Role", rule(here)), binding("RoleBinding", "Role")];
    if let Some(resource) = everywhere {
        all.extend([role("ClusterRole", rule(resource)), binding("ClusterRoleBinding", "ClusterRole")]);
        for object in all.iter_mut().rev().take(2) {
            object["metadata"].as_object_mut().expect("metadata").remove("namespace");
        }
    }
    all
}

/// One run without a cluster.
fn refused(config: Option<&str>, args: &[&str]) -> (i32, String) {
    let program = Program::new();
    let mut all = args.to_vec();
    let file = config.map(|c| program.write("config", c).display().to_string());
    if let Some(file) = &file {
        all.extend(["--kubeconfig", file]);
    }
    let (code, stdout, stderr) = text(&verify(&program, &all));
    assert_eq!(stdout, "", "{stderr}");
    (code, stderr)
}

#[test]
fn wrong_input_is_told_in_one_line_and_by_the_exit_code() {
    let (code, stderr) = refused(None, &[]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("there is no kubeconfig: no --kubeconfig, no KUBECONFIG, no ~/.kube/config"), "{stderr}");

    let config = |server: &str| {
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster: {{server: '{server}', insecure-skip-tls-verify: true}}\n\
             users:\n- name: u\n  user: {{token: abcdefgh}}\ncontexts:\n- name: here\n  context: {{cluster: c, user: u}}\n\
             current-context: here\n"
        )
    };
    let (code, stderr) = refused(Some(&config("https://127.0.0.1:1")), &["--context", "there"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("the kubeconfig has no context `there`; it has here"), "{stderr}");

    // Nobody listens on port 1.
    let (code, stderr) = refused(Some(&config("https://127.0.0.1:1")), &[]);
    assert_eq!(code, 3, "{stderr}");
    assert!(
        stderr.starts_with("error: the cluster at https://127.0.0.1:1/ cannot be reached: client error (Connect)"),
        "{stderr}"
    );

    // What a plug-in prints on its standard output can be a token: nobody repeats it.
    let plugin = |command: &str, script: &str| {
        let exec = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": command,
            "args": ["-c", script], "interactiveMode": "Never"}});
        config("https://127.0.0.1:1").replace("{token: abcdefgh}", &exec.to_string())
    };
    let (code, stderr) = refused(Some(&plugin("sh", "echo abcdefgh; echo 'log in again' >&2; exit 3")), &[]);
    assert_eq!(code, 2, "{stderr}");
    let ended = "caused by: the cluster cannot be addressed: the exec plug-in ended with exit status: 3, its last words: log in again\n";
    assert!(stderr.contains(ended) && !stderr.contains("abcdefgh"), "{stderr}");
    let (code, stderr) = refused(Some(&plugin("gsh-no-such-plugin", "")), &[]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("the exec plug-in cannot be run: No such file or directory"), "{stderr}");

    let (code, stderr) = refused(Some("no: kubeconfig: at all"), &[]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("caused by: the kubeconfig cannot be used"), "{stderr}");

    let (code, stderr) = refused(Some(&config("https://127.0.0.1:1")), &["--scenario", "node-conformity"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("did you mean `node-conformance`?"), "{stderr}");
}

/// The folder of the program stays as it was.
#[test]
fn what_the_operator_did_not_ask_for_is_not_written() {
    let program = Program::new();
    let (code, ..) = text(&verify(&program, &["--kubeconfig", "/nowhere/config"]));
    assert_eq!(code, 2);
    let left: Vec<_> = Path::new(program.folder()).read_dir().expect("the folder").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}
