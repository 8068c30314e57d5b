//! The part of a survey that looks at endpoint and token: whether there is an API at all, and whether it takes orders. One
//! request is made to be refused, because only a refusal tells whether a token may write.

use std::time::Duration;

use gsh_engine::cx::Cx;
use reqwest::Method;

use super::api::Call;
use super::error::{ApiError, Trouble};
use super::governor::Purpose;
use super::provider::HetznerProvider;
use super::retry::Effect;
use super::survey::{Survey, Weight};

/// How long the first answer may take, tries included.
const FIRST_ANSWER: Duration = Duration::from_secs(15);

/// What is to be done with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing but look at it.
    Read,
    /// Order or remove things.
    Write,
}

impl HetznerProvider {
    /// Looks only whether endpoint and token are good for what is to be done.
    pub async fn access(&self, cx: &Cx, access: Access) -> Survey {
        let mut survey = Survey::default();
        self.look_at_token(cx, &mut survey, access, Purpose::Teardown).await;
        survey
    }

    /// Whether anything else can be asked at all.
    pub(crate) async fn look_at_token(&self, cx: &Cx, survey: &mut Survey, access: Access, purpose: Purpose) -> bool {
        let endpoint = &self.config.endpoint;
        // Who does not answer at all is told after some tries, not after a minute of them.
        let cx = &cx.within(FIRST_ANSWER);
        let first = Call { effect: Effect::First, ..Call::get("/locations", Vec::new(), purpose) };
        let first: Result<serde_json::Value, ApiError> = self.api.read(cx, first).await;
        match first {
            Ok(answer) if answer.get("locations").is_some_and(serde_json::Value::is_array) => {}
            Ok(_) => {
                survey.advise(
                    "endpoint",
                    Weight::Wrong,
                    no_api(endpoint, "it answers, but not as the API does"),
                    ENDPOINT,
                );
                return false;
            }
            Err(e) => {
                self.explain(survey, endpoint, &e);
                return false;
            }
        }
        survey.add("endpoint", Weight::Good, endpoint.clone());
        if access == Access::Read {
            return true;
        }
        // Nothing can come of a key without name and key material; a token that may only read is told so before that.
        let call = Call {
            method: Method::POST,
            path: "/ssh_keys".to_owned(),
            query: Vec::new(),
            body: Some(serde_json::json!({})),
            effect: Effect::Read,
            purpose,
        };
        match self.api.send(cx, &call).await {
            Err(e) if e.code() == Some("token_readonly") => survey.advise(
                "token",
                Weight::Wrong,
                "the token may only read",
                "make a read-write token in the console of the project and put it into HCLOUD_TOKEN",
            ),
            Err(e) if matches!(e.code(), Some("invalid_input" | "json_error")) => {
                survey.add("token", Weight::Good, "accepted, read-write");
            }
            Err(e) => {
                survey.add(
                    "token",
                    Weight::Warning,
                    format!("whether it may write is not clear: {}", e.trouble.whole()),
                );
            }
            Ok(_) => survey.add("token", Weight::Warning, "whether it may write is not clear"),
        }
        true
    }

    fn explain(&self, survey: &mut Survey, endpoint: &str, error: &ApiError) {
        match (&error.trouble, error.code()) {
            (_, Some("unauthorized" | "forbidden")) => survey.advise(
                "token",
                Weight::Wrong,
                "the API does not accept the token",
                "look whether HCLOUD_TOKEN holds the whole token of the right project",
            ),
            // What refuses without the API's envelope is something else, but where a gateway in between has trouble of its own.
            (Trouble::Refused { status: status @ 300..=499, code, message, .. }, _)
                if code.starts_with("http_") && ![408, 429].contains(status) =>
            {
                let text = no_api(endpoint, &format!("it answers {status}, {message}"));
                survey.advise("endpoint", Weight::Wrong, text, ENDPOINT);
            }
            (Trouble::Refused { status: 404, .. } | Trouble::Garbled { .. }, _) => {
                survey.advise("endpoint", Weight::Wrong, no_api(endpoint, &error.trouble.whole()), ENDPOINT);
            }
            (Trouble::NoRequests { .. }, _) => survey.advise(
                "rate limit",
                Weight::Unclear,
                error.trouble.to_string(),
                "something else uses this project's requests; try again when there are more",
            ),
            _ => survey.advise("endpoint", Weight::Unclear, no_api(endpoint, &error.trouble.whole()), ENDPOINT),
        }
    }
}

const ENDPOINT: &str = "look at HCLOUD_ENDPOINT; without it gsh uses the real cloud's";

fn no_api(endpoint: &str, seen: &str) -> String {
    format!("no Hetzner API at {endpoint}: {seen}")
}
