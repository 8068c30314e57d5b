//! A sight that stays true: every kind is listed once and then followed.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{BoxFuture, join_all};
use futures::stream::FuturesUnordered;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::reader::{Change, Kind, Reader, Unseen, WATCH_LIFE};
use crate::sight::Sight;

/// The first pause after a server that did not answer, or that closed a watch at once.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// A watch that lasted so long was a good one.
const STEADY: Duration = Duration::from_secs(10);
/// More than this after its time a watch is taken for dead: its server would have closed it.
const GRACE: Duration = Duration::from_secs(30);
/// News that may wait to be taken in. Whoever tells more waits.
const WAITING: usize = 256;

/// Something new about one kind.
#[derive(Debug)]
enum News {
    /// All of it, seen anew, or why it cannot be seen.
    Listed(Result<Vec<Value>, Unseen>),
    /// One object.
    Changed(Change),
    /// It may be listed and not followed, and why. It is listed again and again instead.
    NotFollowed(Unseen),
    /// The release of the server, which is asked for with the nodes.
    Server(Result<String, Unseen>),
}

/// A sight that is kept true for as long as somebody asks for its news.
pub struct Live {
    sight: Sight,
    news: mpsc::Receiver<(Kind, News)>,
    followers: FuturesUnordered<BoxFuture<'static, ()>>,
    remarks: Vec<String>,
}

impl Live {
    /// Looks at these kinds. With a reader that remembers, what was seen already is not asked for again; from the first
    /// [`Live::changed`] on it must not remember any more.
    pub async fn begin(reader: &Reader, namespace: &str, kinds: &[Kind], every: Duration) -> Self {
        let (tell, news) = mpsc::channel(WAITING);
        let mut sight = Sight::of(namespace, "", std::collections::BTreeMap::new());
        sight.server = reader.version().await;
        let lists = kinds.iter().map(|kind| {
            let follower = Follower {
                reader: reader.clone(),
                kind: *kind,
                namespace: (!kind.everywhere()).then(|| namespace.to_owned()),
                every,
                tell: tell.clone(),
            };
            async move { (follower.list().await, follower) }
        });
        let followers = FuturesUnordered::new();
        for (list, follower) in join_all(lists).await {
            let (objects, version) = match list {
                Ok((objects, version)) => (Ok(objects), Ok(version)),
                Err(why) => (Err(why.clone()), Err(why)),
            };
            sight.see(follower.kind, objects);
            let following: BoxFuture<'static, ()> = Box::pin(follower.follow(version));
            followers.push(following);
        }
        Self { sight, news, followers, remarks: Vec::new() }
    }

    /// What is seen now.
    #[must_use]
    pub fn sight(&self) -> &Sight {
        &self.sight
    }

    /// What was found out about the following itself since this was last asked, for people.
    pub fn remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }

    /// Waits for news and takes it in, with all that comes within `settle` of it: what belongs together comes in several
    /// pieces. Nothing is lost when this is dropped.
    pub async fn changed(&mut self, settle: Duration) {
        self.one().await;
        let end = Instant::now() + settle;
        while tokio::time::timeout_at(end, self.one()).await.is_ok() {}
    }

    async fn one(&mut self) {
        let (kind, news) = loop {
            tokio::select! {
                // They hold the other end, and never end.
                Some(news) = self.news.recv() => break news,
                Some(()) = self.followers.next() => {}
            }
        };
        match news {
            News::Listed(list) => self.sight.see(kind, list),
            News::Changed(Change::Put(object)) => self.sight.put(kind, object),
            News::Changed(Change::Gone(object)) => self.sight.gone(kind, &object),
            News::Changed(Change::Mark(_)) => {}
            News::NotFollowed(why) => {
                self.remarks.push(format!("{} cannot be watched and are listed again instead: {why}", kind.plural()));
            }
            News::Server(version) => self.sight.server = version,
        }
    }
}

/// Whoever follows one kind.
struct Follower {
    reader: Reader,
    kind: Kind,
    namespace: Option<String>,
    /// How often something that cannot be followed is looked at.
    every: Duration,
    tell: mpsc::Sender<(Kind, News)>,
}

impl Follower {
    async fn list(&self) -> Result<(Vec<Value>, String), Unseen> {
        self.reader.list_at(self.kind, self.namespace.as_deref(), None).await
    }

    async fn tell(&self, news: News) {
        // Whoever listens owns this.
        let _nobody = self.tell.send((self.kind, news)).await;
    }

    /// Follows what was listed, or lists it where that could not be done yet. Never ends.
    async fn follow(self, first: Result<String, Unseen>) {
        let (mut at, mut pause, mut remarked) = (first, Duration::ZERO, false);
        loop {
            let began = Instant::now();
            let end = match at {
                Ok(version) => self.watch(version).await,
                Err(why) => End::Unseen(why),
            };
            if began.elapsed() > STEADY {
                pause = Duration::ZERO;
            }
            let (rest, resume) = match end {
                End::Closed(version) => (pause, Some(version)),
                End::Lost | End::Unseen(Unseen::NoAnswer(_) | Unseen::Expired | Unseen::NotLooked) => (pause, None),
                // Somebody has to change something first.
                End::Unseen(Unseen::Forbidden(_) | Unseen::Unauthorized(_) | Unseen::NotServed) => (self.every, None),
                End::Refused(why) => {
                    if !std::mem::replace(&mut remarked, true) {
                        self.tell(News::NotFollowed(why)).await;
                    }
                    (self.every, None)
                }
            };
            tokio::time::sleep(rest).await;
            pause = (pause * 2).max(FIRST_PAUSE).min(self.every);
            at = match resume {
                Some(version) => Ok(version),
                None => self.list_anew().await,
            };
        }
    }

    async fn list_anew(&self) -> Result<String, Unseen> {
        let (list, version) = match self.list().await {
            Ok((objects, version)) => (Ok(objects), Ok(version)),
            Err(why) => (Err(why.clone()), Err(why)),
        };
        // A server that was away may have come back as a later release.
        if self.kind == Kind::Node && list.is_ok() {
            self.tell(News::Server(self.reader.version().await)).await;
        }
        self.tell(News::Listed(list)).await;
        version
    }

    async fn watch(&self, mut version: String) -> End {
        let end = Instant::now() + WATCH_LIFE + GRACE;
        let changes = match self.reader.watch(self.kind, self.namespace.as_deref(), &version).await {
            Ok(changes) => changes,
            Err(why @ Unseen::Forbidden(_)) => return End::Refused(why),
            Err(_) => return End::Lost,
        };
        let mut changes = pin!(changes);
        loop {
            match tokio::time::timeout_at(end, changes.next()).await {
                Ok(Some(Ok(change))) => {
                    change.version().clone_into(&mut version);
                    self.tell(News::Changed(change)).await;
                }
                Ok(None) => return End::Closed(version),
                // Too old, cut off, or silent for too long. What was seen last is kept until the list says otherwise.
                Ok(Some(Err(_))) | Err(_) => return End::Lost,
            }
        }
    }
}

/// How a watch ended.
enum End {
    /// The server closed it, as it does after a while; it can go on from here.
    Closed(String),
    /// It cannot go on: a new list tells what is there.
    Lost,
    /// It may be listed and not watched.
    Refused(Unseen),
    /// There was none, for it could not even be listed.
    Unseen(Unseen),
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use http::Response;
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    type Asked = Arc<Mutex<Vec<String>>>;

    /// A server that gives these answers, one after the other, and then none. Each is a status and lines of JSON.
    fn server(answers: Vec<(u16, Vec<Value>)>) -> (Reader, Asked) {
        let (left, asked) = (Arc::new(Mutex::new(VecDeque::from(answers))), Asked::default());
        let log = asked.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let answer = left.lock().expect("nobody failed").pop_front();
            if answer.is_some() && request.uri().path() != "/version" {
                log.lock().expect("nobody failed").push(request.uri().to_string());
            }
            async move {
                let Some((status, lines)) = answer else { return std::future::pending().await };
                let text: String = lines.iter().map(|l| format!("{l}\n")).collect();
                Response::builder().status(status).body(Body::from(text.into_bytes()))
            }
        });
        (Reader::new(kube::Client::new(service, "default")), asked)
    }

    fn pod(name: &str, version: &str) -> Value {
        json!({ "metadata": { "name": name, "namespace": "n", "resourceVersion": version } })
    }

    fn list(version: &str, pods: &[Value]) -> (u16, Vec<Value>) {
        let metadata = json!({ "resourceVersion": version });
        (200, vec![json!({ "kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": pods })])
    }

    fn event(kind: &str, object: Value) -> Value {
        json!({ "type": kind, "object": object })
    }

    fn status(code: u16, reason: &str) -> Value {
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
            "reason": reason, "message": reason })
    }

    fn names(live: &Live) -> Vec<String> {
        let name = |p: &Value| {
            format!("{}@{}", crate::sight::name(p), p["metadata"]["resourceVersion"].as_str().unwrap_or_default())
        };
        live.sight().all(Kind::Pod).map(name).collect()
    }

    /// Takes news in until the pods are these.
    async fn until(live: &mut Live, wanted: &[&str]) {
        while names(live) != wanted {
            live.one().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_watch_goes_on_and_one_too_old_begins_anew() {
        let version = (200, vec![json!({ "gitVersion": "v1.24.17+k3s1", "major": "1", "minor": "24" })]);
        let mark = json!({ "kind": "Pod", "apiVersion": "v1", "metadata": { "resourceVersion": "9" } });
        let (reader, asked) = server(vec![
            version,
            list("5", &[pod("a", "3"), pod("b", "4")]),
            (200, vec![event("MODIFIED", pod("a", "6")), event("DELETED", pod("b", "7")), event("BOOKMARK", mark)]),
            // It goes on at the bookmark, which is later than everything that was told.
            (200, vec![event("ADDED", pod("c", "11"))]),
            // Within the stream, and at its very beginning.
            (200, vec![event("ERROR", status(410, "Expired"))]),
            list("20", &[pod("d", "18")]),
            (410, vec![status(410, "Expired")]),
            list("30", &[pod("e", "25")]),
            // Cut off: seen last is kept until a list says otherwise, and it says that nobody answers.
            (500, vec![status(500, "InternalError")]),
            (503, vec![status(503, "ServiceUnavailable")]),
            list("40", &[pod("f", "33")]),
        ]);
        let mut live = Live::begin(&reader, "n", &[Kind::Pod], Duration::from_secs(60)).await;
        assert_eq!(names(&live), ["a@3", "b@4"]);
        until(&mut live, &["a@6"]).await;
        until(&mut live, &["a@6", "c@11"]).await;
        until(&mut live, &["d@18"]).await;
        until(&mut live, &["e@25"]).await;
        until(&mut live, &[]).await;
        assert!(matches!(live.sight().unseen(Kind::Pod), Some(Unseen::NoAnswer(_))), "not taken for none");
        until(&mut live, &["f@33"]).await;
        let from = |path: &String| {
            path.split_once("resourceVersion=").map_or_else(|| "list".to_owned(), |(_, v)| v.to_owned())
        };
        let asked: Vec<String> = asked.lock().expect("nobody failed").iter().map(from).collect();
        assert_eq!(asked, ["list", "5", "9", "11", "list", "20", "list", "30", "list", "list"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_not_be_watched_is_listed_again_at_the_interval() {
        let version = (200, vec![json!({ "gitVersion": "v1.24.17+k3s1", "major": "1", "minor": "24" })]);
        let refused = || (403, vec![status(403, "Forbidden")]);
        let (reader, _) =
            server(vec![version, list("5", &[]), refused(), list("6", &[pod("a", "6")]), refused(), list("7", &[])]);
        let every = Duration::from_secs(60);
        let began = Instant::now();
        let mut live = Live::begin(&reader, "n", &[Kind::Pod], every).await;
        until(&mut live, &["a@6"]).await;
        until(&mut live, &[]).await;
        assert!(began.elapsed() >= every * 2, "no faster than asked");
        assert_eq!(live.remarks(), ["pods cannot be watched and are listed again instead: Forbidden"], "said once");
    }
}
