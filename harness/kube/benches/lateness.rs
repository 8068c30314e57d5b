//! How late a wait notices: from the moment an object is as it should be until the wait for it returns.
//!
//! `cargo bench -p gsh-kube --bench lateness`. The waits are those of the installation: list, watch over TLS, judge after
//! every change, while other objects change all the time. Beside them, in the same run, the bare stream of the library
//! without anything of ours, which is the bound; and looking again and again, as everything waits that cannot be watched.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::BoxFuture;
use gsh_emu_kube::{ApiError, ApiServer, ClusterCa, Containers, ExecEnd, ExecIo, LogStream, PodRef, Store, Stream};
use gsh_engine::cx::Cx;
use gsh_engine::stop::Stop;
use gsh_engine::wait::{self, Progress};
use gsh_kube::follow::{Follow, Scope};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{WatchEvent, WatchParams};
use serde_json::{Value, json};
use tokio::sync::mpsc;

const ROUNDS: usize = 500;
/// Fewer, for each takes as long as what it waits for.
const LOOKS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(600);
const NAMESPACE: &str = "default";

/// There are no containers.
struct Nobody;

impl Containers for Nobody {
    fn exec(&self, _: PodRef, _: Vec<String>, _: ExecIo) -> BoxFuture<'static, ExecEnd> {
        Box::pin(async { ExecEnd::Failed("there is no container".to_owned()) })
    }

    fn logs(&self, _: PodRef, _: bool) -> BoxFuture<'static, Result<LogStream, ApiError>> {
        Box::pin(async { Ok(LogStream::finished("")) })
    }

    fn connect(&self, _: &str, _: &str, _: u16) -> BoxFuture<'static, std::io::Result<Stream>> {
        Box::pin(async { Err(std::io::ErrorKind::ConnectionRefused.into()) })
    }
}

async fn served(store: &Store) -> kube::Client {
    let ca = ClusterCa::new().expect("an authority");
    let names = ["127.0.0.1".to_owned()];
    let server = ApiServer::new(store.clone(), &ca, "v1.24.17+k3s1", &names, Arc::new(Nobody)).expect("a server");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // As every server of Kubernetes does.
            stream.set_nodelay(true).expect("it has just come");
            let server = server.clone();
            tokio::spawn(async move { server.serve(stream).await });
        }
    });
    let config = kube::config::Kubeconfig::from_yaml(&ca.kubeconfig(&format!("https://{address}"))).expect("YAML");
    let config = kube::Config::from_custom_kubeconfig(config, &kube::config::KubeConfigOptions::default()).await;
    kube::Client::try_from(config.expect("a configuration")).expect("a client")
}

fn put(store: &Store, name: &str, round: usize) {
    let set = |object: &mut Value| object["data"]["round"] = json!(round.to_string());
    store.modify("ConfigMap", Some(NAMESPACE), name, set).expect("the object is there");
}

fn has(object: &Value, round: usize) -> bool {
    let text = object["data"]["round"].as_str().unwrap_or_default();
    object["metadata"]["name"] == "awaited" && text.parse() == Ok(round)
}

/// Changes the object `pause` after it was asked to, and says when.
fn changer(store: &Store, pause: Duration) -> (mpsc::Sender<usize>, mpsc::Receiver<Instant>) {
    let (ask, mut asked) = mpsc::channel(1);
    let (tell, told) = mpsc::channel(1);
    let store = store.clone();
    tokio::spawn(async move {
        while let Some(round) = asked.recv().await {
            tokio::time::sleep(pause).await;
            let changed = Instant::now();
            put(&store, "awaited", round);
            let _over = tell.send(changed).await;
        }
    });
    (ask, told)
}

fn show(what: &str, mut late: Vec<Duration>) -> f64 {
    late.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let at = |share: usize| ms(late[(late.len() * share / 100).min(late.len() - 1)]);
    println!("{what:<34} p50 {:8.2} ms  p99 {:8.2} ms  most {:8.2} ms", at(50), at(99), at(100));
    at(99)
}

#[tokio::main]
async fn main() {
    let store = Store::new();
    for name in ["awaited", "other"] {
        let object =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": NAMESPACE } });
        store.create(object).expect("it is new");
    }
    let client = served(&store).await;
    let busy = store.clone();
    tokio::spawn(async move {
        for round in 0.. {
            tokio::time::sleep(Duration::from_millis(2)).await;
            put(&busy, "other", round);
        }
    });
    let cx = Cx::unrecorded(Stop::new(), PATIENCE);

    let (ask, mut told) = changer(&store, Duration::from_millis(5));
    let scope = Scope::new("v1", "ConfigMap", NAMESPACE);
    let mut follow = Follow::of(&cx, &client, "GSH-INS-008", vec![scope]).await.expect("a list");
    let mut late = Vec::new();
    for round in 1..=ROUNDS {
        ask.send(round).await.expect("it listens");
        let judge = |view: &gsh_kube::follow::View| {
            let there = view.get("ConfigMap", "awaited").is_some_and(|object| has(object, round));
            Ok(if there { Progress::Ready(()) } else { Progress::NotYet("another round".to_owned()) })
        };
        follow.until("the round is there", PATIENCE, judge).await.expect("it comes");
        let noticed = Instant::now();
        late.push(noticed - told.recv().await.expect("it was changed"));
    }
    drop(follow);
    let ours = show("by following (target p99 50 ms)", late);

    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let mut stream = maps.watch(&WatchParams::default(), "0").await.expect("a watch").boxed();
    let mut late = Vec::new();
    for round in ROUNDS + 1..=2 * ROUNDS {
        ask.send(round).await.expect("it listens");
        while let Some(event) = stream.next().await {
            if let WatchEvent::Modified(map) = event.expect("an event")
                && map.metadata.name.as_deref() == Some("awaited")
                && map.data.is_some_and(|data| data["round"] == round.to_string())
            {
                break;
            }
        }
        let noticed = Instant::now();
        late.push(noticed - told.recv().await.expect("it was changed"));
    }
    let bound = show("the library's stream alone", late);

    let (ask, mut told) = changer(&store, Duration::from_secs(1));
    let mut late = Vec::new();
    for round in 2 * ROUNDS + 1..=2 * ROUNDS + LOOKS {
        ask.send(round).await.expect("it listens");
        let look = || async {
            let map = maps.get("awaited").await.expect("an answer");
            let there = map.data.is_some_and(|data| data["round"] == round.to_string());
            Ok(if there { Progress::Ready(()) } else { Progress::NotYet("another round".to_owned()) })
        };
        wait::until(&cx, "the round is there", PATIENCE, look).await.expect("it comes");
        let noticed = Instant::now();
        late.push(noticed - told.recv().await.expect("it was changed"));
    }
    show("by looking, for a second each", late);
    println!("ratio of following to the stream alone, p99: {:.2}", ours / bound);
}
