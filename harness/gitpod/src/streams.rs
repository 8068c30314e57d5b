//! The streams of a command in a container.
//!
//! The task behind kube's own streams closes them when the command ended, and lets go of them when its connection broke:
//! whoever reads then waits for ever. These know that nobody is behind them any more, and say so. Dropped, they take the
//! connection with them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::AttachedProcess;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, ReadHalf, SimplexStream, WriteHalf};

/// Both sides of a command: what it writes, what it reads, and how it ended.
pub(crate) struct Streams {
    pub(crate) stdout: Reader,
    pub(crate) stderr: Reader,
    /// Where it was asked for.
    pub(crate) stdin: Option<Writer>,
    pub(crate) carrier: Carrier,
}

/// What carries the streams. They end with it.
pub(crate) struct Carrier {
    /// Lets go of the connection when it is dropped.
    process: AttachedProcess,
    end: End,
}

impl Carrier {
    /// Why the connection broke, of one that is over.
    async fn trouble(self) -> Option<Box<dyn std::error::Error + Send + Sync>> {
        Some(self.process.join().await.err()?.into())
    }
}

/// How the command ended, as the API tells; nothing where the connection was over before.
type End = Shared<BoxFuture<'static, Option<Status>>>;

impl Streams {
    /// Takes the streams of a command that was started with standard output and standard error, and with standard input or
    /// without. Nothing if one of them was taken before.
    pub(crate) fn of(mut process: AttachedProcess) -> Option<Self> {
        let end: End = process.take_status()?.boxed().shared();
        let reader =
            |inner: Option<ReadHalf<SimplexStream>>| Some(Reader { inner: inner?, over: Over::NotYet(end.clone()) });
        let stdout = reader(process.stdout())?;
        let stderr = reader(process.stderr())?;
        let stdin = process.stdin().map(|inner| Writer { inner, over: Over::NotYet(end.clone()) });
        Some(Self { stdout, stderr, stdin, carrier: Carrier { process, end } })
    }

    /// All that the command writes until it ends, and how it ended.
    ///
    /// # Errors
    /// When the connection broke before that.
    pub(crate) async fn collect(mut self) -> io::Result<(Vec<u8>, Vec<u8>, Option<Status>)> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        match tokio::try_join!(self.stdout.read_to_end(&mut out), self.stderr.read_to_end(&mut err)) {
            Ok(_) => Ok((out, err, self.carrier.end.clone().await)),
            Err(e) => Err(self.carrier.trouble().await.map_or(e, io::Error::other)),
        }
    }
}

/// What is known of the end of the task behind the streams.
enum Over {
    NotYet(End),
    /// The API told how the command ended: what it wrote is here, and the streams are closed.
    Ended,
    /// The connection is over, in order or not: nothing more comes.
    Lost,
}

impl Over {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<&Self> {
        if let Self::NotYet(end) = self {
            *self = match ready!(end.poll_unpin(cx)) {
                Some(_) => Self::Ended,
                None => Self::Lost,
            };
        }
        Poll::Ready(self)
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the connection to the container broke")
}

/// Standard output or standard error.
pub(crate) struct Reader {
    inner: ReadHalf<SimplexStream>,
    over: Over,
}

impl AsyncRead for Reader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Poll::Ready(read) = Pin::new(&mut this.inner).poll_read(cx, buf) {
            return Poll::Ready(read);
        }
        match ready!(this.over.poll(cx)) {
            // The end of the stream comes right after that, and wakes whoever reads.
            Over::Ended | Over::NotYet(_) => Poll::Pending,
            // Its last words may have come between the two looks.
            Over::Lost => match Pin::new(&mut this.inner).poll_read(cx, buf) {
                Poll::Ready(read) => Poll::Ready(read),
                Poll::Pending => Poll::Ready(Err(broken())),
            },
        }
    }
}

/// Standard input.
pub(crate) struct Writer {
    inner: WriteHalf<SimplexStream>,
    over: Over,
}

impl Writer {
    /// What a full pipe means: that it is read slowly, or by nobody any more.
    fn waited<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            return done;
        }
        match ready!(self.over.poll(cx)) {
            Over::NotYet(_) => Poll::Pending,
            Over::Ended | Over::Lost => Poll::Ready(Err(broken())),
        }
    }
}

impl AsyncWrite for Writer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.waited(cx, done)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.inner).poll_flush(cx);
        self.waited(cx, done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.waited(cx, done)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{SinkExt as _, StreamExt as _};
    use http::HeaderValue;
    use http::header::SEC_WEBSOCKET_PROTOCOL;
    use k8s_openapi::api::core::v1::Pod;
    use kube::api::AttachParams;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

    use super::*;

    /// For what happens at once.
    const SOON: Duration = Duration::from_secs(20);

    /// A command whose connection another end serves.
    async fn command<F>(serve: impl FnOnce(WebSocketStream<TcpStream>) -> F + Send + 'static) -> Streams
    where
        F: Future<Output = ()> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("its address");
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            #[expect(clippy::result_large_err, reason = "the library's own type")]
            let agree = |_: &Request, mut answer: Response| {
                answer.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("v5.channel.k8s.io"));
                Ok(answer)
            };
            serve(tokio_tungstenite::accept_hdr_async(stream, agree).await.expect("a WebSocket")).await;
        });
        let client = kube::Client::try_from(kube::Config::new(format!("http://{at}").parse().expect("an address")));
        let pods: kube::Api<Pod> = kube::Api::namespaced(client.expect("a client"), "gitpod");
        let params = AttachParams::default().stdin(true).stdout(true).stderr(true);
        Streams::of(pods.exec("one", ["cat"], &params).await.expect("it runs")).expect("all streams")
    }

    async fn soon<T>(work: impl Future<Output = T>) -> T {
        tokio::time::timeout(SOON, work).await.expect("nobody waits for what never comes")
    }

    #[tokio::test]
    async fn what_a_command_wrote_and_how_it_ended_is_known() {
        let streams = command(|mut socket| async move {
            for said in ["\u{1}out", "\u{2}err", "\u{3}{\"status\":\"Failure\",\"message\":\"code 3\"}"] {
                socket.send(Message::binary(said.as_bytes().to_vec())).await.expect("a client that listens");
            }
            while socket.next().await.is_some_and(|message| message.is_ok()) {}
        });
        let (out, err, end) = soon(streams.await.collect()).await.expect("it ends in order");
        assert_eq!((&out[..], &err[..]), (&b"out"[..], &b"err"[..]));
        assert_eq!(end.and_then(|status| status.message).as_deref(), Some("code 3"));
    }

    #[tokio::test]
    async fn a_connection_that_breaks_is_told_after_what_came_before() {
        let breaks = |mut socket: WebSocketStream<TcpStream>| async move {
            socket.send(Message::binary(&b"\x01out"[..])).await.expect("a client that listens");
        };
        let mut streams = command(breaks).await;
        let mut out = Vec::new();
        let error = soon(streams.stdout.read_to_end(&mut out)).await.expect_err("it never said how it ended");
        assert_eq!((&out[..], error.kind()), (&b"out"[..], io::ErrorKind::ConnectionReset));
        soon(streams.stderr.read_to_end(&mut Vec::new())).await.expect_err("nor what it complained about");

        let error = soon(command(breaks).await.collect()).await.expect_err("it never said how it ended");
        assert!(error.to_string().contains("without closing handshake"), "{error}");
    }

    #[tokio::test]
    async fn nobody_waits_for_a_command_that_reads_no_more() {
        let mut streams = command(|socket| async move { drop(socket) }).await;
        let mut stdin = streams.stdin.take().expect("it was asked for");
        // More than any pipe on the way holds.
        soon(stdin.write_all(&vec![0; 16 << 20])).await.expect_err("it is gone");
    }

    #[tokio::test]
    async fn a_command_nobody_looks_at_any_more_is_let_go() {
        let (tell, told) = tokio::sync::oneshot::channel();
        let streams = command(|mut socket| async move {
            while socket.next().await.is_some_and(|message| message.is_ok()) {}
            tell.send(()).expect("a test that waits");
        });
        drop(streams.await);
        soon(told).await.expect("the connection ends");
    }
}
