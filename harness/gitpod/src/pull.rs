//! Why an image was not pulled, from the events of its pod.
//!
//! A pod that backs off says only that it does, and its state before that is too short to be sure to be seen; newer
//! kubelets repeat the reason there, older ones leave it to their events.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::ListParams;

/// How long the events are waited for: a kubelet sends them beside the state of the pod, not before it.
const LAG: Duration = Duration::from_secs(2);
/// Between two looks at them.
const PAUSE: Duration = Duration::from_millis(250);

/// What the kubelet said of the pull of a pod, by the pod's name; nothing when it said nothing.
pub(crate) type Complaint = Arc<dyn Fn(String) -> BoxFuture<'static, Option<String>> + Send + Sync>;

/// Whether a text says that a pull is being put off, and not why.
pub(crate) fn is_without_reason(text: &str) -> bool {
    text.contains("Back-off pulling image") && !text.contains("ErrImagePull")
}

/// From the events of a namespace.
pub(crate) fn from_events(client: kube::Client, namespace: &str) -> Complaint {
    let events: Api<Event> = Api::namespaced(client, namespace);
    Arc::new(move |pod| {
        let events = events.clone();
        async move {
            let of_pod = ListParams::default().fields(&format!("involvedObject.name={pod}"));
            let look = async {
                loop {
                    // A refused question is no reason either; whoever asks says what he knows without it.
                    let list = events.list(&of_pod).await.ok()?;
                    let mut words = list.items.into_iter().filter_map(|e| e.message);
                    if let Some(complaint) = words.find(|m| m.starts_with("Failed to pull image")) {
                        return Some(complaint);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            };
            tokio::time::timeout(LAG, look).await.ok().flatten()
        }
        .boxed()
    })
}

#[cfg(test)]
mod tests {
    use super::is_without_reason;

    #[test]
    fn only_an_older_kubelet_keeps_the_reason_to_itself() {
        assert!(is_without_reason("cannot pull image: Back-off pulling image \"r/i:t\""));
        let newer = "Back-off pulling image \"r/i:t\": ErrImagePull: failed to pull and unpack image: not found";
        assert!(!is_without_reason(newer));
        assert!(!is_without_reason("cannot pull image: not found"));
    }
}
