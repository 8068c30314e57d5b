//! Following objects against an API that says exactly what each test wants, without a socket.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::stop::Stop;
use gsh_engine::wait::{Progress, WaitError};
use gsh_model::event::StopReason;
use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use crate::api::Api;
use crate::follow::{Follow, Scope, View};

/// What the API answers, one after the other, and what it was asked.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn of(answers: &[(u16, String)]) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.iter().cloned().collect())), asked: Arc::default() }
    }

    fn api(&self) -> Api {
        let script = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let script = script.clone();
            async move {
                script.asked.lock().expect("no panic").push(request.uri().to_string());
                let next = script.answers.lock().expect("no panic").pop_front();
                let Some((code, text)) = next else { std::future::pending().await };
                let body = Body::from(text.into_bytes());
                Ok::<_, std::convert::Infallible>(Response::builder().status(code).body(body).expect("a response"))
            }
        });
        Api::new(kube::Client::new(service, "default"))
    }

    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().expect("no panic");
        let short = |uri: &String| match uri.split_once("resourceVersion=") {
            Some((_, rest)) => format!("watch {}", rest.split('&').next().unwrap_or_default()),
            None => "list".to_owned(),
        };
        asked.iter().map(short).collect()
    }
}

fn job(version: &str, done: bool) -> Value {
    let status = if done { "True" } else { "False" };
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "j", "resourceVersion": version },
        "status": { "conditions": [{ "type": "Complete", "status": status }] } })
}

fn list(version: &str, items: &[Value]) -> (u16, String) {
    (200, json!({ "metadata": { "resourceVersion": version }, "items": items }).to_string())
}

fn events(events: &[(&str, Value)]) -> (u16, String) {
    (200, events.iter().map(|(kind, object)| json!({ "type": kind, "object": object }).to_string() + "\n").collect())
}

fn status(code: u16) -> Value {
    json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": "Expired", "message": "m" })
}

fn complete(view: &View) -> Progress<()> {
    match view.ever("Job", "j") {
        Some(job) if job["status"]["conditions"][0]["status"] == "True" => Progress::Ready(()),
        Some(_) => Progress::NotYet("running".to_owned()),
        None => Progress::NotYet("not there".to_owned()),
    }
}

async fn follow(script: &Script, patience: Duration) -> Result<(), WaitError> {
    let cx = Cx::unrecorded(Stop::new(), LONG);
    let scope = Scope::new("batch/v1", "Job", "gitpod");
    let mut follow = Follow::start(&cx, &script.api(), "GSH-INS-008", vec![scope]).await.expect("a list");
    follow.until("the Job is complete", patience, |view| Ok(complete(view))).await
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_job_that_removed_itself_was_seen_complete() {
    let watch = events(&[("ADDED", job("2", false)), ("MODIFIED", job("3", true)), ("DELETED", job("4", true))]);
    let script = Script::of(&[list("1", &[]), watch]);
    follow(&script, LONG).await.expect("complete");
    assert_eq!(script.asked(), ["list", "watch 1"]);
}

#[tokio::test]
async fn a_watch_that_ends_goes_on_where_it_was() {
    let script =
        Script::of(&[list("1", &[]), events(&[("ADDED", job("2", false))]), events(&[("MODIFIED", job("3", true))])]);
    follow(&script, LONG).await.expect("complete");
    assert_eq!(script.asked(), ["list", "watch 1", "watch 2"]);
}

#[tokio::test]
async fn a_watch_that_is_too_old_begins_again_with_a_list() {
    let script = Script::of(&[
        list("1", &[job("1", false)]),
        events(&[("ERROR", status(410))]),
        list("9", &[job("9", false)]),
        (410, status(410).to_string()),
        list("10", &[job("10", true)]),
    ]);
    follow(&script, LONG).await.expect("complete");
    assert_eq!(script.asked(), ["list", "watch 1", "list", "watch 9", "list"]);
}

#[tokio::test]
async fn an_api_that_stumbles_is_asked_again() {
    let script = Script::of(&[
        (503, status(503).to_string()),
        list("1", &[]),
        (500, status(500).to_string()),
        events(&[("ADDED", job("2", true))]),
    ]);
    follow(&script, LONG).await.expect("complete");
    assert_eq!(script.asked(), ["list", "list", "watch 1", "watch 1"]);
}

#[tokio::test]
async fn a_time_out_tells_the_last_thing_seen() {
    let script = Script::of(&[list("1", &[job("1", false)])]);
    let error = follow(&script, Duration::from_millis(50)).await.expect_err("never complete");
    assert_eq!(error.to_string(), "expected the Job is complete within 50ms, last saw running");
}

/// Who is late is another question when nobody can see it.
#[tokio::test]
async fn a_time_out_tells_whether_the_api_was_silent() {
    let refused = || (503, status(503).to_string());
    let forever: Vec<(u16, String)> = std::iter::repeat_with(refused).take(100).collect();
    for (answers, silent) in [
        (vec![list("1", &[])], false),
        // It stumbled, and is back.
        (vec![list("1", &[]), refused(), events(&[("ADDED", job("2", false))])], false),
        ([vec![list("1", &[])], forever].concat(), true),
    ] {
        let cx = Cx::unrecorded(Stop::new(), LONG);
        let scope = Scope::new("batch/v1", "Job", "gitpod");
        let mut follow =
            Follow::start(&cx, &Script::of(&answers).api(), "GSH-INS-008", vec![scope]).await.expect("a list");
        let end = follow.until("the Job is complete", Duration::from_millis(200), |view| Ok(complete(view))).await;
        assert!(matches!(end, Err(WaitError::TimedOut { .. })), "{end:?}");
        assert_eq!(follow.is_silent(), silent);
    }
}

#[tokio::test]
async fn a_stop_ends_the_wait() {
    let stop = Stop::new();
    let cx = Cx::unrecorded(stop.clone(), LONG);
    let script = Script::of(&[list("1", &[])]);
    let scope = Scope::new("batch/v1", "Job", "gitpod");
    let mut follow = Follow::start(&cx, &script.api(), "GSH-INS-008", vec![scope]).await.expect("a list");
    let wait = follow.until("the Job is complete", LONG, |view| Ok(complete(view)));
    let (end, ()) = tokio::join!(wait, async { stop.first(StopReason::Signal) });
    assert!(matches!(end, Err(WaitError::Stopped { .. })));
}
