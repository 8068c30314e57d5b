//! One request to the Hetzner API and its answer: sent under the governor, read with its headers, tried again as
//! [`super::retry`] says. Knows no resource.
//!
//! A request that was sent is always waited for: nothing here is dropped halfway by a stop.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::secret::Secret;
use rand::Rng;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::config::{HetznerConfig, Pace};
use super::error::{ApiError, Told, Trouble};
use super::governor::{Admitted, Governor, Purpose, Rate};
use super::retry::{Effect, Next, next};
use super::wire::{Envelope, Meta};

/// Most entries of a page that the API gives.
const PER_PAGE: &str = "50";

/// An account, through its API. No `Debug`: it holds the token.
pub(crate) struct Api {
    client: reqwest::Client,
    endpoint: String,
    token: Secret,
    pace: Pace,
    governor: Governor,
    sent: AtomicU64,
    /// Seconds that this machine's clock is ahead of the API's, as the last answer told it; [`UNTOLD`] before that.
    skew: AtomicI64,
}

/// No answer has told the time.
const UNTOLD: i64 = i64::MIN;

/// A request. No `Debug`: bodies hold user-data, and that holds keys and tokens.
#[derive(Clone)]
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// Path after the version, `/servers`.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'a str, String)>,
    pub(crate) body: Option<Value>,
    pub(crate) effect: Effect,
    pub(crate) purpose: Purpose,
}

impl<'a> Call<'a> {
    pub(crate) fn get(path: impl Into<String>, query: Vec<(&'a str, String)>, purpose: Purpose) -> Self {
        Self { method: Method::GET, path: path.into(), query, body: None, effect: Effect::Read, purpose }
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// Whether a pause is owed to the account's request limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limited {
    Yes,
    No,
}

/// What came of a call that is not an error.
pub(crate) enum Outcome {
    /// The answer.
    Answer(Value),
    /// A create that may have happened: look for the thing.
    LookUp(ApiError),
    /// What should be gone is gone.
    Gone,
}

impl Api {
    /// A client. It uses no proxy, whatever the environment says: the endpoint is given, the token is for nobody in between,
    /// and one that is in the way of loopback is never meant. It follows no redirection: this API has none, and a request
    /// with an effect must not become another one.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new(config: &HetznerConfig) -> Result<Self, reqwest::Error> {
        let answer = config.patience.answer;
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10).min(answer))
            .timeout(answer)
            .user_agent(concat!("gsh/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            client,
            endpoint: config.endpoint.trim_end_matches('/').to_owned(),
            token: config.token.clone(),
            pace: config.pace,
            governor: Governor::default(),
            sent: AtomicU64::new(0),
            skew: AtomicI64::new(UNTOLD),
        })
    }

    /// How fast requests follow one another.
    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Requests sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Seconds that this machine's clock is ahead of the API's.
    pub(crate) fn skew(&self) -> Option<i64> {
        Some(self.skew.load(Ordering::Relaxed)).filter(|skew| *skew != UNTOLD)
    }

    /// The account's hourly limit of requests, and what is left of it.
    pub(crate) fn rate(&self) -> Option<(u32, u32)> {
        self.governor.seen(Instant::now())
    }

    fn compare_clocks(&self, response: &reqwest::Response) {
        let told = response.headers().get("Date").and_then(|v| v.to_str().ok());
        if let Some(at) = told.and_then(|t| jiff::fmt::rfc2822::parse(t).ok()) {
            let skew = jiff::Timestamp::now().as_second() - at.timestamp().as_second();
            self.skew.store(skew, Ordering::Relaxed);
        }
    }

    /// Reads one thing.
    pub(crate) async fn read<T: DeserializeOwned>(&self, cx: &Cx, call: Call<'_>) -> Result<T, ApiError> {
        let name = call.name();
        match self.send(cx, &call).await? {
            Outcome::Answer(value) => decode(&name, value),
            Outcome::LookUp(e) => Err(e),
            Outcome::Gone => decode(&name, Value::Null),
        }
    }

    /// Reads every page of a list. `key` is the plural name that wraps it.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        cx: &Cx,
        key: &str,
        query: &[(&str, String)],
        purpose: Purpose,
    ) -> Result<Vec<T>, ApiError> {
        let mut all = Vec::new();
        let mut page = 1;
        loop {
            let mut query = query.to_vec();
            query.push(("page", page.to_string()));
            query.push(("per_page", PER_PAGE.to_owned()));
            let call = Call::get(format!("/{key}"), query, purpose);
            let name = call.name();
            let mut value: Value = self.read(cx, call).await?;
            // Pages that cannot be counted must not look like a short list.
            let meta: Meta = match value.get_mut("meta").map(Value::take) {
                None | Some(Value::Null) => Meta::default(),
                Some(meta) => decode(&name, meta)?,
            };
            let things = value.get_mut(key).map(Value::take).unwrap_or_default();
            let things: Vec<T> = decode(&name, things)?;
            all.extend(things);
            match meta.pagination.and_then(|p| p.next_page) {
                Some(next) if next > page => page = next,
                _ => return Ok(all),
            }
        }
    }

    /// Sends a request as often as the table allows.
    pub(crate) async fn send(&self, cx: &Cx, call: &Call<'_>) -> Result<Outcome, ApiError> {
        let (mut tries, mut refused) = (0, 0);
        let mut last = "nothing was sent".to_owned();
        loop {
            let admitted = self.admitted(cx, call, tries, &last).await?;
            tries += 1;
            let error = match self.once(call, admitted).await {
                Ok(value) => return Ok(Outcome::Answer(value)),
                Err(error) => error,
            };
            if error.told.status == Some(429) {
                refused += 1;
            }
            let (after, limited) = match next(&self.pace, call.effect, &error, tries, refused) {
                Next::Again(after) => (after, Limited::No),
                Next::NotNow(after) => (after, Limited::Yes),
                Next::LookUp => return Ok(Outcome::LookUp(error)),
                Next::Done => return Ok(Outcome::Gone),
                Next::GiveUp => return Err(error),
            };
            tracing::debug!(call = %call.name(), tries, ?after, error = %error.trouble, "trying again");
            last = error.trouble.whole();
            // Between half and all of the pause, so that many callers do not come back at once.
            let jitter = rand::rng().random_range(0.5..=1.0);
            self.pause(cx, call, after.mul_f64(jitter), limited, tries, &last).await?;
        }
    }

    async fn admitted(&self, cx: &Cx, call: &Call<'_>, tries: u32, last: &str) -> Result<Admitted<'_>, ApiError> {
        loop {
            if cx.stop().is_requested() {
                return Err(fail(call, Trouble::Stopped));
            }
            // Teardown has deadlines around it, and what it still can remove it removes.
            if call.purpose == Purpose::Work && cx.left().is_zero() {
                return Err(fail(call, Trouble::OutOfTime { tries, last: last.to_owned() }));
            }
            match self.governor.admit(call.purpose, Instant::now()) {
                Ok(admitted) => return Ok(admitted),
                Err(wait) => self.pause(cx, call, wait, Limited::Yes, tries, last).await?,
            }
        }
    }

    async fn pause(
        &self,
        cx: &Cx,
        call: &Call<'_>,
        time: Duration,
        limited: Limited,
        tries: u32,
        last: &str,
    ) -> Result<(), ApiError> {
        if time >= cx.left() {
            let last = last.to_owned();
            return Err(fail(
                call,
                match limited {
                    Limited::Yes => Trouble::NoRequests { tries, last },
                    Limited::No => Trouble::OutOfTime { tries, last },
                },
            ));
        }
        if rest(cx, time).await { Ok(()) } else { Err(fail(call, Trouble::Stopped)) }
    }

    async fn once(&self, call: &Call<'_>, admitted: Admitted<'_>) -> Result<Value, ApiError> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let mut request = self
            .client
            .request(call.method.clone(), format!("{}{}", self.endpoint, call.path))
            .bearer_auth(self.token.expose())
            .header("Accept", "application/json")
            .query(&call.query);
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let error = |told: Told, trouble| ApiError { call: call.name(), told: Box::new(told), trouble };
        let no_answer = |source: reqwest::Error| {
            // The URL may hold a label selector, never a secret, but it is in the call already.
            let source = source.without_url();
            Trouble::NoAnswer { never_sent: source.is_connect(), source }
        };
        let response = request.send().await.map_err(|e| error(Told::default(), no_answer(e)))?;
        let told = told(&response);
        self.compare_clocks(&response);
        admitted.answered(told.rate, Instant::now());
        let status = response.status();
        // The head is kept whatever becomes of the body.
        let text = match response.text().await {
            Ok(text) => text,
            Err(e) => return Err(error(told, no_answer(e))),
        };
        if !status.is_success() {
            return Err(error(told, refusal(status.as_u16(), &text)));
        }
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|e| {
            let reason =
                if text.trim_start().starts_with('<') { format!("it is {}", page(&text)) } else { e.to_string() };
            error(told, Trouble::Garbled { status: status.as_u16(), reason })
        })
    }
}

fn told(response: &reqwest::Response) -> Told {
    let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    let number = |name: &str| header(name).and_then(|v| v.parse::<u32>().ok());
    let rate = match (number("RateLimit-Limit"), number("RateLimit-Remaining")) {
        (Some(limit), Some(remaining)) => {
            Some(Rate { limit, remaining, full_at: header("RateLimit-Reset").and_then(|v| v.parse().ok()) })
        }
        (Some(_) | None, _) => None,
    };
    Told { status: Some(response.status().as_u16()), correlation: header("X-Correlation-Id").map(Box::from), rate }
}

/// Rests, unless the run is asked to stop; says whether it rested.
pub(crate) async fn rest(cx: &Cx, time: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => true,
        () = cx.stopped() => false,
    }
}

fn fail(call: &Call<'_>, trouble: Trouble) -> ApiError {
    ApiError::silent(call.name(), trouble)
}

/// Reads a part of an answer.
pub(crate) fn decode<T: DeserializeOwned>(call: &str, value: Value) -> Result<T, ApiError> {
    serde_json::from_value(value)
        .map_err(|e| ApiError::silent(call, Trouble::Garbled { status: 200, reason: e.to_string() }))
}

fn refusal(status: u16, text: &str) -> Trouble {
    match serde_json::from_str::<Envelope>(text) {
        Ok(Envelope { error }) => {
            let names = |key: &str| {
                let list = error.details.as_ref().and_then(|d| d.get(key)).and_then(Value::as_array);
                list.into_iter()
                    .flatten()
                    .filter_map(|f| f.get("name").and_then(Value::as_str).map(str::to_owned))
                    .collect::<Vec<_>>()
            };
            let details = [names("fields"), names("limits")].concat();
            Trouble::Refused { status, code: error.code, message: one_line(&error.message), details }
        }
        // A proxy in between answers in its own words; the status is all there is.
        Err(_) => Trouble::Refused { status, code: format!("http_{status}"), message: page(text), details: Vec::new() },
    }
}

/// The longest text of somebody else that is shown.
const MOST: usize = 400;

/// Somebody else's text as a part of a line of ours: what moves a cursor is left out.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(MOST).collect()
}

/// What something that is not the API says of itself.
fn page(text: &str) -> String {
    let line = one_line(text);
    if line.is_empty() {
        return "an empty answer".to_owned();
    }
    if !line.starts_with('<') {
        return line;
    }
    // Lower case of ASCII keeps every byte where it is.
    let small = line.to_ascii_lowercase();
    let title = small.find("<title>").map(|at| at + "<title>".len());
    let title = title.and_then(|from| line.get(from..small.find("</title>")?));
    match title.map(str::trim).filter(|title| !title.is_empty()) {
        Some(title) => format!("a page for browsers, `{title}`"),
        None => "a page for browsers".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_the_api_is_told_in_one_line_that_moves_no_cursor() {
        for (body, told) in [
            ("", "an empty answer"),
            ("not\nhere\r\n", "not here"),
            ("<html>\n<head><TITLE> 404\nNot Found </title>\n\u{1b}[2J", "a page for browsers, `404 Not Found`"),
            ("<!DOCTYPE html>\n<p>\u{1b}[31mproxy", "a page for browsers"),
            ("</title><title>", "a page for browsers"),
            ("{\"error\": {\"code\": \"c\", \"message\": \"a\\nb\\u001b[2Jc\"}}", "a b [2Jc"),
        ] {
            let Trouble::Refused { message, .. } = refusal(404, body) else { panic!("{body}") };
            assert_eq!(message, told, "{body}");
        }
    }
}
