//! What an earlier run left in an installation because it was killed: found by its marks, removed, and looked for again.

use std::collections::BTreeMap;
use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::installer::Installation;
use gsh_engine::provider::Cluster;
use gsh_engine::wait::{self, Progress};
use gsh_model::lease::LeaseId;
use gsh_model::outcome::Blame;
use kube::core::params::ListParams;
use serde_json::Value;

use crate::probe::Probe;
use crate::stores::Word;
use crate::wsman::{Launch, RUN_ANNOTATION, Workspace, WsManager};
use gsh_kube::api::{self, Api, Kind};

const CHECK: &str = "GSH-ATT-003";
/// How long one workspace may take to go, its backup included.
const STOPS: Duration = Duration::from_secs(5 * 60);

/// One thing that was left.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Left {
    /// A workspace: instance id and workspace id.
    Workspace { instance: String, id: String },
    /// A pod that a scenario made itself, to reserve capacity or to ask questions from; with the word that names what was
    /// written into the stores through it.
    Pod { name: String, word: Option<Word> },
}

/// Removes everything that carries the marks of a run, and proves that nothing is left. Says how much it was.
///
/// Nothing without our marks is touched: a workspace of ours names its run in an annotation that only we write. A pod that
/// wrote into the stores is the record of what it wrote: it goes after that, and stays where that cannot be removed.
///
/// # Errors
/// When something cannot be listed, or stays.
pub async fn clear(cx: &Cx, cluster: &Cluster, installation: &Installation) -> Result<usize, Failure> {
    let found = list(cx, cluster, &installation.namespace).await?;
    if found.is_empty() {
        return Ok(0);
    }
    let api = Api::new(cluster.kube.clone());
    let wsman = WsManager::new(cluster, installation)?;
    let mut kept = Vec::new();
    for left in &found {
        match left {
            Left::Workspace { instance, id } => {
                let launch = Launch::of_another(installation, &cluster.lease, instance, id);
                Workspace::new(&wsman, launch).stop(cx, CHECK, STOPS).await?;
            }
            Left::Pod { name, word } => {
                let erased = match word {
                    Some(word) => erase(cx, cluster, &installation.namespace, name, *word).await,
                    None => Ok(()),
                };
                match erased {
                    Ok(()) => {}
                    Err(failure) if failure.stopped => return Err(failure),
                    Err(failure) => {
                        cx.note(&format!("what pod `{name}` of an earlier run wrote into the stores stays: {failure}"))
                            .await;
                        kept.push(left);
                        continue;
                    }
                }
                let kind = Kind::new("v1", "Pod");
                let deleted = api.delete(&kind, Some(&installation.namespace), name).await;
                deleted
                    .map_err(|e| api::failure(&e, Blame::Harness, CHECK, "a pod of an earlier run can be deleted"))?;
            }
        }
    }
    let gone = wait::until(cx, "everything of earlier runs is gone", STOPS, || async {
        let left = list(cx, cluster, &installation.namespace).await?;
        let left = left.iter().filter(|l| !kept.contains(l)).count();
        Ok(if left == 0 { Progress::Ready(()) } else { Progress::NotYet(format!("{left} are left")) })
    });
    gone.await.map_err(|e| e.blame(Blame::Environment, CHECK))?;
    Ok(found.len() - kept.len())
}

/// Removes from the stores what was written through a pod: through it, or, when it has ended, through another one of the
/// same marks. A pod that never ran has written nothing.
async fn erase(cx: &Cx, cluster: &Cluster, namespace: &str, pod: &str, word: Word) -> Result<(), Failure> {
    let probe = Probe::new(cluster, namespace, pod);
    match probe.phase(CHECK).await?.as_deref() {
        Some("Running") => word.erase(cx, cluster, namespace, &probe, CHECK).await,
        Some("Succeeded" | "Failed") => {
            let next = Probe::new(cluster, namespace, &format!("{pod}-next"));
            // One that a start before this one made, and was killed: it has its own turn in the list.
            if next.phase(CHECK).await?.as_deref() == Some("Running") {
                return word.erase(cx, cluster, namespace, &next, CHECK).await;
            }
            let labels = BTreeMap::from([(Word::LABEL.to_owned(), word.to_string())]);
            let started = next.start(cx, &labels, None, &["sleep", "600"], CHECK).await;
            let erased = match started {
                Ok(()) => word.erase(cx, cluster, namespace, &next, CHECK).await,
                Err(e) => Err(e),
            };
            // Whatever came of it: nothing of this start's own stays.
            erased.and(next.remove(CHECK).await)
        }
        Some(_) | None => Ok(()),
    }
}

async fn list(cx: &Cx, cluster: &Cluster, namespace: &str) -> Result<Vec<Left>, Failure> {
    let api = Api::new(cluster.kube.clone());
    let (kind, every) = (Kind::new("v1", "Pod"), ListParams::default());
    let listed = api::patiently(cx, "the pods of the installation can be listed", Blame::Environment, CHECK, || {
        api.list(&kind, Some(namespace), &every)
    });
    let (pods, _) = listed.await?;
    Ok(pods.iter().filter_map(left).collect())
}

/// What a pod is of ours; nothing when it is somebody else's.
fn left(pod: &Value) -> Option<Left> {
    let labels = &pod["metadata"]["labels"];
    let word = |value: &Value| value.as_str().map(str::to_owned);
    if labels["gsh-role"].is_string() {
        // Only what also names its lease is ours.
        labels["gsh-lease"].as_str()?.parse::<LeaseId>().ok()?;
        let wrote = labels[Word::LABEL].as_str().and_then(|text| text.parse().ok());
        return Some(Left::Pod { name: word(&pod["metadata"]["name"])?, word: wrote });
    }
    let mark = format!("gitpod.io/annotation.{RUN_ANNOTATION}");
    let marked = pod["metadata"]["annotations"].get(&mark).is_some_and(Value::is_string);
    if labels["component"] != "workspace" || !marked {
        return None;
    }
    Some(Left::Workspace { instance: word(&labels["workspaceID"])?, id: word(&labels["metaID"])? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_carries_our_marks_is_ours() {
        let pod = |labels: Value, annotations: Value| {
            left(&json!({ "metadata": { "name": "p", "labels": labels, "annotations": annotations } }))
        };
        let workspace = json!({ "component": "workspace", "workspaceID": "i", "metaID": "m" });
        let mark = json!({ "gitpod.io/annotation.gsh-run": "g7f3a" });
        let ours = Left::Workspace { instance: "i".to_owned(), id: "m".to_owned() };
        assert_eq!(pod(workspace.clone(), mark.clone()), Some(ours));
        assert_eq!(pod(workspace, json!({})), None, "a user's workspace");
        assert_eq!(pod(json!({ "component": "server" }), mark), None, "a component");
        for role in ["ballast", "probe"] {
            let made = json!({ "gsh-role": role, "gsh-lease": "g7f3a-c0-a1" });
            assert_eq!(pod(made, Value::Null), Some(Left::Pod { name: "p".to_owned(), word: None }));
        }
        let text = "gsh-0b7e5a52-6f0c-4a8e-9d55-2f1f9f0f4a11";
        for (label, wrote) in [(text, text.parse().ok()), ("gsh-x; DROP TABLE d_b_user", None)] {
            let made = json!({ "gsh-role": "probe", "gsh-lease": "g7f3a-c0-a1", "gsh-word": label });
            assert_eq!(pod(made, Value::Null), Some(Left::Pod { name: "p".to_owned(), word: wrote }), "{label}");
        }
        assert_eq!(pod(json!({ "gsh-role": "ballast" }), Value::Null), None, "no lease");
    }
}
