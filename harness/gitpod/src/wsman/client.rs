//! The calls of ws-manager, typed.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use gsh_engine::failure::Failure;
use gsh_engine::installer::{Installation, WsmanCredentials};
use gsh_engine::provider::Cluster;
use gsh_wsman::calls::{
    DescribeClusterRequest, DescribeClusterResponse, DescribeWorkspaceRequest, DescribeWorkspaceResponse,
    MetadataFilter, StartWorkspaceRequest, StartWorkspaceResponse, StopWorkspaceRequest, StopWorkspaceResponse,
    SubscribeRequest, SubscribeResponse,
};
use gsh_wsman::rpc;
use gsh_wsman::words::StopWorkspacePolicy;
use gsh_wsman::workspace::{WorkspaceClass, WorkspaceStatus};
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic_prost::ProstCodec;

use super::error::WsmanError;
use super::tunnel::{self, Dial};
use crate::pull::{self, Complaint};

/// How long an ordinary call may take: it is answered from memory or by one look at the API.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a start may take: ws-manager itself gives up after 10 minutes, whatever the caller says.
const START_PATIENCE: Duration = Duration::from_secs(11 * 60 + 30);
/// The largest message; ws-manager's own limit.
const LARGEST: usize = 16 << 20;
/// ws-manager hangs up on clients that ping more often than every 10 s.
const PING: Duration = Duration::from_secs(30);

/// Status changes as they come. It begins without a snapshot, and it may break: then subscribe again and ask.
pub type Statuses = BoxStream<'static, Result<WorkspaceStatus, WsmanError>>;

/// A client of one ws-manager. Clones share the connection, which is made when it is first needed and again when it broke.
#[derive(Clone)]
pub struct WsManager {
    channel: Channel,
    complaint: Complaint,
}

impl WsManager {
    /// The ws-manager of an installation.
    ///
    /// # Errors
    /// When the installation's credentials are no certificates and key. Nothing is connected yet.
    pub fn new(cluster: &Cluster, installation: &Installation) -> Result<Self, Failure> {
        let namespace = &installation.namespace;
        let complaint = pull::from_events(cluster.kube.clone(), namespace);
        Self::over(tunnel::forward(cluster.kube.clone(), namespace), complaint, &installation.wsman)
    }

    pub(crate) fn over(dial: Dial, complaint: Complaint, credentials: &WsmanCredentials) -> Result<Self, Failure> {
        let tls = tunnel::tls(credentials).map_err(|e| {
            Failure::product("GSH-WSM-001", "ws-manager's client Secret holds certificates and a key", e)
        })?;
        let connect = move |_: Uri| {
            let (dial, tls) = (dial.clone(), tls.clone());
            async move { tunnel::open(dial, tls).await.map(TokioIo::new) }
        };
        let channel = Endpoint::from_static("http://ws-manager:8080")
            .origin(Uri::from_static("https://ws-manager"))
            .connect_timeout(PATIENCE)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PATIENCE)
            .connect_with_connector_lazy(tower::service_fn(connect));
        Ok(Self { channel, complaint })
    }

    /// What the kubelet said of the pull of a workspace's image: ws-manager passes on a state that may not tell.
    pub(crate) async fn complaint(&self, pod: String) -> Option<String> {
        (self.complaint)(pod).await
    }

    /// Starts a workspace; answers once its pod is scheduled.
    ///
    /// # Errors
    /// What ws-manager says, or that it says nothing.
    pub async fn start(&self, request: StartWorkspaceRequest) -> Result<StartWorkspaceResponse, WsmanError> {
        self.unary(rpc::START_WORKSPACE, request, START_PATIENCE).await
    }

    /// Asks to stop a workspace; fine for unknown ones.
    ///
    /// # Errors
    /// What ws-manager says, or that it says nothing.
    pub async fn stop(&self, instance: &str, policy: StopWorkspacePolicy) -> Result<(), WsmanError> {
        let request = StopWorkspaceRequest { id: instance.to_owned(), policy: policy.into() };
        self.unary(rpc::STOP_WORKSPACE, request, PATIENCE).await.map(|_: StopWorkspaceResponse| ())
    }

    /// What is known about a workspace.
    ///
    /// # Errors
    /// [`super::ErrorKind::NotFound`] once it is gone; else what ws-manager says, or that it says nothing.
    pub async fn describe(&self, instance: &str) -> Result<DescribeWorkspaceResponse, WsmanError> {
        let request = DescribeWorkspaceRequest { id: instance.to_owned() };
        self.unary(rpc::DESCRIBE_WORKSPACE, request, PATIENCE).await
    }

    /// The workspace classes on offer; the cheapest sign of life.
    ///
    /// # Errors
    /// What ws-manager says, or that it says nothing.
    pub async fn describe_cluster(&self) -> Result<Vec<WorkspaceClass>, WsmanError> {
        let answer: DescribeClusterResponse =
            self.unary(rpc::DESCRIBE_CLUSTER, DescribeClusterRequest {}, PATIENCE).await?;
        Ok(answer.workspace_classes)
    }

    /// Status changes of the workspaces that match.
    ///
    /// The request is sent when the stream is first polled, and the stream is there at once: ws-manager answers, headers
    /// included, only when there is a first change, so waiting for the answer here would wait for the event to be missed.
    #[must_use]
    pub fn subscribe(&self, filter: MetadataFilter) -> Statuses {
        let client = self.clone();
        let opened = async move {
            let failed = |status: tonic::Status| WsmanError::from_status("Subscribe", &status);
            let mut grpc = client.grpc();
            client.ready("Subscribe", &mut grpc).await?;
            let request = tonic::Request::new(SubscribeRequest { must_match: Some(filter) });
            let codec: ProstCodec<SubscribeRequest, SubscribeResponse> = ProstCodec::default();
            let path = PathAndQuery::from_static(rpc::SUBSCRIBE);
            let answer = grpc.server_streaming(request, path, codec).await.map_err(failed)?;
            Ok(answer.into_inner().filter_map(move |change| async move {
                change.map(|c: SubscribeResponse| c.status).map_err(failed).transpose()
            }))
        };
        futures::stream::once(opened)
            .flat_map(|opened| match opened {
                Ok(changes) => changes.boxed(),
                Err(e) => futures::stream::once(async { Err(e) }).boxed(),
            })
            .boxed()
    }

    fn grpc(&self) -> Grpc<Channel> {
        Grpc::new(self.channel.clone()).max_decoding_message_size(LARGEST)
    }

    async fn ready(&self, name: &'static str, grpc: &mut Grpc<Channel>) -> Result<(), WsmanError> {
        grpc.ready().await.map_err(|e| WsmanError::from_status(name, &tonic::Status::from_error(e.into())))
    }

    async fn unary<Q, R>(&self, path: &'static str, request: Q, patience: Duration) -> Result<R, WsmanError>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let name = path.rsplit('/').next().unwrap_or(path);
        let mut grpc = self.grpc();
        let work = async {
            self.ready(name, &mut grpc).await?;
            let codec: ProstCodec<Q, R> = ProstCodec::default();
            let answer = grpc.unary(tonic::Request::new(request), PathAndQuery::from_static(path), codec).await;
            answer.map(tonic::Response::into_inner).map_err(|status| WsmanError::from_status(name, &status))
        };
        tokio::time::timeout(patience, work).await.unwrap_or_else(|_late| Err(WsmanError::late(name, patience)))
    }
}
