//! What a look can hand to whoever helps: objects, events, and the logs of what is not well, bounded and without secrets.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::Value;

use crate::reader::{Kind, Reader};
use crate::redact;
use crate::sight::{Sight, label, list, name};

/// Bytes of one file.
const FILE: usize = 2 * 1024 * 1024;
/// Containers whose logs are read.
const LOGS: usize = 40;
/// Components whose logs are always worth reading.
const ALWAYS: [&str; 5] = ["server", "ws-manager", "ws-daemon", "ws-proxy", "proxy"];

/// One file of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Path, with slashes: `objects/Pod.json`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// Reads events and logs, and gives them with the objects that were seen. Never fails: `contents.txt` says what is missing
/// and why.
pub async fn collect(reader: &Reader, sight: &Sight) -> Vec<File> {
    let mut files = Vec::new();
    let mut missing = Vec::new();
    for kind in Kind::LISTED {
        let path = format!("objects/{kind}.json");
        match sight.unseen(kind) {
            Some(why) => missing.push(format!("{path}: {why}")),
            None => keep(&mut files, &mut missing, path, objects(sight, kind)),
        }
    }
    match reader.list(Kind::Event, Some(sight.namespace()), None).await {
        Ok(events) => keep(&mut files, &mut missing, "events.json".to_owned(), events.iter().map(redact::object)),
        Err(why) => missing.push(format!("events.json: {why}")),
    }
    let wanted = logs(sight);
    if wanted.len() > LOGS {
        missing.push(format!("logs: {LOGS} of {} containers", wanted.len()));
    }
    let read = wanted.iter().take(LOGS).map(|log| async move {
        let text = reader.log(sight.namespace(), log.pod, log.container, log.previous).await;
        (log.path(), text)
    });
    for (path, text) in join_all(read).await {
        match text {
            Ok(text) => files.push(File { path, text: last(&redact::text(&text)).to_owned() }),
            Err(why) => missing.push(format!("{path}: {why}")),
        }
    }
    let mut contents = String::from(
        "Passwords, tokens and keys were taken out as far as they can be recognized; read before you share.\n\n",
    );
    for file in &files {
        contents.push_str(&format!("{} ({} bytes)\n", file.path, file.text.len()));
    }
    for line in &missing {
        contents.push_str(&format!("missing: {line}\n"));
    }
    files.insert(0, File { path: "contents.txt".to_owned(), text: contents });
    files
}

/// Objects of the installation, and those that belong to no namespace.
fn objects(sight: &Sight, kind: Kind) -> impl Iterator<Item = Value> {
    let ours = |o: &&Value| {
        let namespace = o["metadata"]["namespace"].as_str();
        namespace.is_none_or(|n| n == sight.namespace())
    };
    sight.all(kind).filter(ours).map(redact::object)
}

/// Adds a list of objects, as many as fit whole.
fn keep(files: &mut Vec<File>, missing: &mut Vec<String>, path: String, objects: impl Iterator<Item = Value>) {
    let (mut text, mut cut) = (String::from("["), 0_usize);
    for object in objects {
        let one = serde_json::to_string_pretty(&object).unwrap_or_default();
        if text.len() + one.len() > FILE {
            cut += 1;
            continue;
        }
        text.push_str(if text.len() == 1 { "\n" } else { ",\n" });
        text.push_str(&one);
    }
    text.push_str("\n]\n");
    if cut > 0 {
        missing.push(format!("{path}: {cut} objects that did not fit into {FILE} bytes"));
    }
    files.push(File { path, text });
}

/// The end of a text, from the beginning of a line.
fn last(text: &str) -> &str {
    let Some(over) = text.len().checked_sub(FILE) else { return text };
    let cut = text.as_bytes().iter().skip(over).position(|b| *b == b'\n').map_or(text.len(), |at| over + at + 1);
    text.get(cut..).unwrap_or_default()
}

/// A log that is worth reading.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Log<'a> {
    pod: &'a str,
    container: &'a str,
    previous: bool,
}

impl Log<'_> {
    fn path(&self) -> String {
        let before = if self.previous { "-previous" } else { "" };
        format!("logs/{}-{}{before}.log", self.pod, self.container)
    }
}

/// Of containers that are not well or were not, and of the components that everything goes through; of workspaces, whose
/// output is their users', nothing. Those that are not well come first.
fn logs(sight: &Sight) -> Vec<Log<'_>> {
    let (mut ill, mut well) = (BTreeSet::new(), BTreeSet::new());
    for pod in sight.ours(Kind::Pod) {
        let component = label(pod, "component").unwrap_or_default();
        if ["workspace", "imagebuild", "prebuild"].contains(&component) || label(pod, "workspaceID").is_some() {
            continue;
        }
        let statuses = ["initContainerStatuses", "containerStatuses"];
        for status in statuses.iter().flat_map(|field| list(&pod["status"][*field])) {
            let Some(container) = status["name"].as_str() else { continue };
            let log = |previous| Log { pod: name(pod), container, previous };
            let restarted = status["restartCount"].as_u64().unwrap_or(0) > 0;
            let done = status["state"]["terminated"]["exitCode"] == 0;
            let began = status["state"].get("waiting").is_none();
            if restarted {
                ill.insert(log(true));
            }
            if began && (restarted || !(done || status["ready"] == true)) {
                ill.insert(log(false));
            } else if began && ALWAYS.contains(&component) {
                well.insert(log(false));
            }
        }
    }
    ill.into_iter().chain(well).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn logs_of_what_is_not_well_come_first_and_users_keep_theirs() {
        let pod = |name: &str, component: &str, status: Value| {
            json!({
                "metadata": { "name": name, "namespace": "gitpod", "labels": { "component": component } },
                "status": { "containerStatuses": [status] },
            })
        };
        let running = json!({ "name": "c", "ready": true, "restartCount": 0, "state": { "running": {} } });
        let unready = json!({ "name": "c", "ready": false, "restartCount": 0, "state": { "running": {} } });
        let restarted = json!({ "name": "c", "ready": false, "restartCount": 3, "state": { "waiting": {} } });
        let done =
            json!({ "name": "c", "ready": false, "restartCount": 0, "state": { "terminated": { "exitCode": 0 } } });
        let pods = vec![
            pod("a-server", "server", running.clone()),
            pod("b-dashboard", "dashboard", running),
            pod("c-workspace", "workspace", restarted.clone()),
            pod("d-proxy", "proxy", restarted),
            pod("e-minio", "minio", unready),
            pod("f-migrations", "migrations", done),
        ];
        let sight = Sight::of("gitpod", "v1", BTreeMap::from([(Kind::Pod, Ok(pods))]));
        let paths: Vec<String> = logs(&sight).iter().map(Log::path).collect();
        assert_eq!(paths, ["logs/d-proxy-c-previous.log", "logs/e-minio-c.log", "logs/a-server-c.log"]);
    }

    #[test]
    fn files_are_bounded_by_whole_objects_and_whole_lines() {
        let (mut files, mut missing) = (Vec::new(), Vec::new());
        let big = json!({ "text": "x".repeat(FILE / 2) });
        keep(&mut files, &mut missing, "o.json".to_owned(), vec![big.clone(), json!({ "a": 1 }), big].into_iter());
        let kept: Vec<Value> = serde_json::from_str(&files[0].text).expect("JSON");
        assert_eq!((kept.len(), &kept[1]["a"]), (2, &json!(1)));
        assert_eq!(missing, [format!("o.json: 1 objects that did not fit into {FILE} bytes")]);

        let long = format!("first\n{}", "line\n".repeat(FILE / 5));
        assert!(last(&long).starts_with("line\n") && last(&long).len() <= FILE);
        assert_eq!(last("short"), "short");
    }
}
