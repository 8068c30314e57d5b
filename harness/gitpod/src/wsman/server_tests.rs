//! The client against a small server over real TLS 1.2 and HTTP/2 on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::{FutureExt, StreamExt};
use gsh_engine::cx::Cx;
use gsh_engine::installer::{Installation, WsmanCredentials};
use gsh_engine::secret::Secret;
use gsh_engine::stop::Stop;
use gsh_model::outcome::Blame;
use gsh_wsman::calls::{
    DescribeClusterResponse, DescribeWorkspaceRequest, DescribeWorkspaceResponse, MetadataFilter,
    StartWorkspaceRequest, StartWorkspaceResponse, SubscribeResponse,
};
use gsh_wsman::rpc;
use gsh_wsman::words::WorkspacePhase;
use gsh_wsman::workspace::{WorkspaceClass, WorkspaceConditions, WorkspaceStatus};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::tunnel::{Dial, Stream, TunnelError};
use super::{ErrorKind, Launch, Workspace, WsManager};
use crate::pull::Complaint;

type Answer = Result<Vec<Vec<u8>>, (u16, &'static str)>;
/// The text of an answer that is never given.
const SILENCE: &str = "silence";
type Serve = Arc<dyn Fn(&str, &[u8]) -> Answer + Send + Sync>;

/// A server, gone when it is dropped.
struct Server {
    client: WsManager,
    connections: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

struct Names {
    ca: String,
    cert: String,
    key: String,
}

fn certificate(name: &str) -> Names {
    let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().expect("a key")).expect("a CA");
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec![name.to_owned()]).expect("parameters").signed_by(&key, &ca).expect("a leaf");
    Names { ca: ca.pem(), cert: leaf.pem(), key: key.serialize_pem() }
}

async fn server(name: &str, version: &'static rustls::SupportedProtocolVersion, serve: Serve) -> Server {
    let names = certificate(name);
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(names.cert.as_bytes()).expect("PEM")],
            PrivateKeyDer::from_pem_slice(names.key.as_bytes()).expect("PEM"),
        )
        .expect("a certificate");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tls = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((tcp, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let (tls, serve) = (tls.clone(), serve.clone());
            open.spawn(async move {
                let Ok(stream) = tls.accept(tcp).await else { return };
                let service = hyper::service::service_fn(move |request| handle(serve.clone(), request));
                let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _closed = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    let dial: Dial = Arc::new(move || {
        async move {
            let tcp = tokio::net::TcpStream::connect(address).await;
            tcp.map(|s| Box::new(s) as Stream).map_err(|e| TunnelError::Api(e.to_string()))
        }
        .boxed()
    });
    let complaint: Complaint = Arc::new(|pod| {
        let text = "Failed to pull image \"r/i:t\": unexpected status code 429 Too Many Requests".to_owned();
        futures::future::ready(pod.starts_with("ws-").then_some(text)).boxed()
    });
    let key = Secret::new("key", names.key);
    let credentials = WsmanCredentials { ca: names.ca, cert: names.cert, key };
    Server { client: WsManager::over(dial, complaint, &credentials).expect("credentials"), connections, tasks }
}

type Body = StreamBody<futures::stream::BoxStream<'static, Result<Frame<Bytes>, std::convert::Infallible>>>;

async fn handle(
    serve: Serve,
    request: http::Request<Incoming>,
) -> Result<http::Response<Body>, std::convert::Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let answer = serve(&path, body.get(5..).unwrap_or_default());
    if matches!(answer, Err((_, SILENCE))) {
        std::future::pending::<()>().await;
    }
    let mut trailers = http::HeaderMap::new();
    let (messages, code, text) = match answer {
        Ok(messages) => (messages, 0, ""),
        Err((code, text)) => (Vec::new(), code, text),
    };
    trailers.insert("grpc-status", code.into());
    trailers.insert("grpc-message", http::HeaderValue::from_static(text));
    let frames = messages.into_iter().map(|message| {
        let mut frame = BytesMut::new();
        frame.put_u8(0);
        frame.put_u32(u32::try_from(message.len()).expect("a small message"));
        frame.put_slice(&message);
        Ok(Frame::data(frame.freeze()))
    });
    let frames: Vec<_> = frames.chain([Ok(Frame::trailers(trailers))]).collect();
    let mut response = http::Response::new(StreamBody::new(futures::stream::iter(frames).boxed()));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/grpc"));
    Ok(response)
}

fn classes() -> Serve {
    Arc::new(|path, _| {
        assert_eq!(path, rpc::DESCRIBE_CLUSTER);
        let class = WorkspaceClass { id: "default".to_owned(), display_name: "Default".to_owned() };
        Ok(vec![DescribeClusterResponse { workspace_classes: vec![class] }.encode_to_vec()])
    })
}

#[tokio::test]
async fn a_call_goes_over_tls_1_2_and_one_connection_serves_many() {
    let server = server("ws-manager", &rustls::version::TLS12, classes()).await;
    for _ in 0..3 {
        let classes = server.client.describe_cluster().await.expect("an answer");
        assert_eq!(classes[0].id, "default");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_with_another_name_is_not_ws_manager() {
    let server = server("somebody-else", &rustls::version::TLS12, classes()).await;
    let error = server.client.describe_cluster().await.expect_err("a wrong name");
    assert_eq!((error.kind, error.blame()), (ErrorKind::Silent, Blame::Product), "{error}");
}

#[tokio::test]
async fn a_way_that_is_gone_is_the_environment() {
    let mut server = server("ws-manager", &rustls::version::TLS12, classes()).await;
    server.tasks.shutdown().await;
    let error = server.client.describe_cluster().await.expect_err("nobody listens");
    assert_eq!((error.kind, error.blame()), (ErrorKind::Lost, Blame::Environment), "{error}");
}

#[tokio::test]
async fn an_answer_keeps_its_code_and_text() {
    let serve: Serve = Arc::new(|_, _| Err((5, "workspace does not exist")));
    let server = server("ws-manager", &rustls::version::TLS12, serve).await;
    let error = server.client.describe("x").await.expect_err("unknown");
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(error.to_string(), "DescribeWorkspace: NotFound: workspace does not exist");
}

#[tokio::test]
async fn changes_come_one_by_one_until_the_stream_ends() {
    let serve: Serve = Arc::new(|path, _| {
        assert_eq!(path, rpc::SUBSCRIBE);
        let change = |phase: WorkspacePhase| {
            let status = WorkspaceStatus { phase: phase.into(), ..WorkspaceStatus::default() };
            SubscribeResponse { status: Some(status), ..SubscribeResponse::default() }.encode_to_vec()
        };
        Ok(vec![change(WorkspacePhase::Pending), change(WorkspacePhase::Running)])
    });
    let server = server("ws-manager", &rustls::version::TLS12, serve).await;
    let changes: Vec<_> = server.client.subscribe(MetadataFilter::default()).collect().await;
    let phases: Vec<_> = changes.into_iter().map(|c| c.expect("a change").phase()).collect();
    assert_eq!(phases, [WorkspacePhase::Pending, WorkspacePhase::Running]);
}

fn launch() -> Launch {
    let installation = Installation {
        namespace: "gitpod".to_owned(),
        domain: "g1-c1-a1.gsh.internal".to_owned(),
        version: "release-2022.11.3".to_owned(),
        ca_pem: None,
        gateway_host_key: None,
        workspace_image: "image".to_owned(),
        ide_image: "ide".to_owned(),
        wsman: WsmanCredentials { ca: String::new(), cert: String::new(), key: Secret::new("key", "") },
    };
    Launch::new(&installation, &"g1-c1-a1".parse().expect("a lease"))
}

/// A ws-manager that knows one status of everything.
fn with_status(phase: WorkspacePhase, failed: &'static str) -> Serve {
    Arc::new(move |path, body| match path {
        rpc::START_WORKSPACE => {
            let request = StartWorkspaceRequest::decode(body).expect("a start");
            let meta = request.metadata.expect("metadata");
            assert_eq!(request.service_prefix, meta.meta_id);
            assert!(!meta.owner.is_empty() && request.spec.expect("a spec").initializer.is_some());
            assert_eq!(meta.annotations["gsh-lease"], "g1-c1-a1");
            let answer = StartWorkspaceResponse { url: "u".to_owned(), owner_token: "token-of-the-owner".to_owned() };
            Ok(vec![answer.encode_to_vec()])
        }
        rpc::DESCRIBE_WORKSPACE => {
            let conditions = WorkspaceConditions { failed: failed.to_owned(), ..WorkspaceConditions::default() };
            let status = WorkspaceStatus {
                id: DescribeWorkspaceRequest::decode(body).expect("a question").id,
                phase: phase.into(),
                conditions: Some(conditions),
                ..WorkspaceStatus::default()
            };
            let answer = DescribeWorkspaceResponse { status: Some(status), ..DescribeWorkspaceResponse::default() };
            Ok(vec![answer.encode_to_vec()])
        }
        rpc::STOP_WORKSPACE => Ok(vec![Vec::new()]),
        _subscription => Ok(Vec::new()),
    })
}

#[tokio::test]
async fn a_workspace_runs_although_its_subscription_says_nothing() {
    let cx = Cx::unrecorded(Stop::new(), Duration::from_secs(60));
    let server = server("ws-manager", &rustls::version::TLS12, with_status(WorkspacePhase::Running, "")).await;
    let workspace = Workspace::new(&server.client, launch());
    let running = workspace.run(&cx, "GSH-TST-001", Duration::from_secs(60)).await.expect("it runs");
    assert_eq!(running.started.owner_token.expose(), "token-of-the-owner");
    assert!(!cx.scrubber().scrub("a token-of-the-owner").contains("token-of-the-owner"));
}

#[tokio::test]
async fn a_workspace_that_failed_is_told_with_its_own_words() {
    let cx = Cx::unrecorded(Stop::new(), Duration::from_secs(60));
    let failed = "cannot pull image: not found";
    let server = server("ws-manager", &rustls::version::TLS12, with_status(WorkspacePhase::Creating, failed)).await;
    let workspace = Workspace::new(&server.client, launch());
    let failure = workspace.run(&cx, "GSH-TST-001", Duration::from_secs(60)).await.expect_err("it failed");
    assert_eq!((failure.blame, failure.finding.observed.as_str()), (Blame::Product, failed));
}

/// The state of the pod is copied by ws-manager, and when it is copied the pod may already have forgotten the reason.
#[tokio::test]
async fn a_pull_that_was_put_off_is_blamed_by_the_kubelets_events() {
    let cx = Cx::unrecorded(Stop::new(), Duration::from_secs(60));
    let failed = "cannot pull image: Back-off pulling image \"r/i:t\"";
    let server = server("ws-manager", &rustls::version::TLS12, with_status(WorkspacePhase::Creating, failed)).await;
    let workspace = Workspace::new(&server.client, launch());
    let failure = workspace.run(&cx, "GSH-TST-001", Duration::from_secs(60)).await.expect_err("it failed");
    assert_eq!(failure.blame, Blame::Environment, "{failure}");
    assert!(failure.finding.observed.ends_with("429 Too Many Requests"), "{failure}");
}

/// It may fail and be removed before the subscription is heard and before the first question.
#[tokio::test]
async fn a_workspace_that_is_gone_before_it_was_seen_is_not_waited_for() {
    let serve: Serve = Arc::new(|path, _| match path {
        rpc::START_WORKSPACE => Ok(vec![StartWorkspaceResponse::default().encode_to_vec()]),
        rpc::DESCRIBE_WORKSPACE => Err((5, "workspace does not exist")),
        _subscription => Err((u16::MAX, SILENCE)),
    });
    let server = server("ws-manager", &rustls::version::TLS12, serve).await;
    let workspace = Workspace::new(&server.client, launch());
    let cx = Cx::unrecorded(Stop::new(), Duration::from_secs(600));
    let end =
        tokio::time::timeout(Duration::from_secs(60), workspace.run(&cx, "GSH-TST-001", Duration::from_secs(600)));
    let failure = end.await.expect("nobody waits for what is gone").expect_err("it does not run");
    assert_eq!(failure.blame, Blame::Product);
    assert!(failure.finding.observed.contains("ended before anything was seen"), "{failure}");
}

#[tokio::test]
async fn a_workspace_is_stopped_when_its_phase_says_so() {
    let cx = Cx::unrecorded(Stop::new(), Duration::from_secs(60));
    let server = server("ws-manager", &rustls::version::TLS12, with_status(WorkspacePhase::Stopped, "")).await;
    let workspace = Workspace::new(&server.client, launch());
    workspace.stop(&cx, "GSH-TST-002", Duration::from_secs(60)).await.expect("it stops");
}

#[tokio::test]
async fn a_ws_manager_that_says_nothing_keeps_nobody_from_stopping() {
    let (heard, mut first) = tokio::sync::mpsc::unbounded_channel();
    let serve: Serve = Arc::new(move |_, _| {
        let _listening = heard.send(());
        Err((u16::MAX, SILENCE))
    });
    let server = server("ws-manager", &rustls::version::TLS12, serve).await;
    let workspace = Workspace::new(&server.client, launch());
    let stop = Stop::new();
    let cx = Cx::unrecorded(stop.clone(), Duration::from_secs(600));
    let wait = workspace.run(&cx, "GSH-TST-001", Duration::from_secs(600));
    let asked = async {
        for _ in 0..3 {
            first.recv().await.expect("a call");
        }
        stop.first(gsh_model::event::StopReason::Signal);
    };
    let (end, ()) = tokio::join!(wait, asked);
    assert!(end.expect_err("stopped").stopped);
}

/// A ws-manager that carries out a start only after it was asked to stop, as one whose caller hung up: it knows nothing at
/// the first look, then the workspace runs until it is asked again.
#[tokio::test]
async fn a_workspace_that_appears_after_the_stop_is_asked_again() {
    let (starts, stops, looks) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let (heard, mut started) = tokio::sync::mpsc::unbounded_channel();
    let asked = stops.clone();
    let serve: Serve = Arc::new(move |path, _| match path {
        rpc::START_WORKSPACE => {
            starts.fetch_add(1, Ordering::SeqCst);
            let _listening = heard.send(());
            Err((u16::MAX, SILENCE))
        }
        rpc::STOP_WORKSPACE => {
            // The first two come too early; the third one ends it.
            asked.fetch_add(1, Ordering::SeqCst);
            Ok(vec![Vec::new()])
        }
        rpc::DESCRIBE_WORKSPACE if starts.load(Ordering::SeqCst) == 0 => Err((5, "workspace does not exist")),
        rpc::DESCRIBE_WORKSPACE => match (looks.fetch_add(1, Ordering::SeqCst), asked.load(Ordering::SeqCst)) {
            (0, _) => Err((5, "workspace does not exist")),
            (_, 0..=2) => {
                let status = WorkspaceStatus { phase: WorkspacePhase::Running.into(), ..WorkspaceStatus::default() };
                let answer = DescribeWorkspaceResponse { status: Some(status), ..DescribeWorkspaceResponse::default() };
                Ok(vec![answer.encode_to_vec()])
            }
            _ => Err((5, "workspace does not exist")),
        },
        _subscription => Err((u16::MAX, SILENCE)),
    });
    let server = server("ws-manager", &rustls::version::TLS12, serve).await;
    let workspace = Workspace::new(&server.client, launch());
    let cx = Cx::unrecorded(Stop::new(), Duration::from_secs(60));
    tokio::select! {
        end = workspace.start(&cx, "GSH-TST-001") => panic!("a start without an answer ended: {end:?}"),
        heard = started.recv() => heard.expect("a start"),
    }
    workspace.stop(&cx, "GSH-TST-002", Duration::from_secs(60)).await.expect("it stops");
    assert!(stops.load(Ordering::SeqCst) >= 3, "asked {} times", stops.load(Ordering::SeqCst));
}
