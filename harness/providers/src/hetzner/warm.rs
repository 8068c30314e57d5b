//! Warm start: one snapshot for each image, k3s release and template, built once, found by label, and used while it is good.
//!
//! A snapshot outlives its run, so it carries no label of a run or lease, only what it is of and when it expires; from then on
//! it is not used any more and a sweep removes it. Nothing here may cost a cell its cluster: without a snapshot nodes start
//! from the image.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::Login;
use gsh_model::axis::Template;
use gsh_model::lease::Resource;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::api::{Call, Outcome};
use super::catalogue::{ARCHITECTURE, Chosen};
use super::choice::MANAGER;
use super::config::WarmStart;
use super::create::{IMAGE, actions};
use super::error::ApiError;
use super::governor::Purpose;
use super::labels;
use super::machines::{Wish, host_key};
use super::provider::HetznerProvider;
use super::requests;
use super::retry::Effect;
use super::state::Base;
use super::wire::Image;
use crate::k3s::boot::{Machine, configured, enter};
use crate::k3s::warm::{FORGET, key, user_data};

/// How long a snapshot is used after it was built.
const LIFETIME: SignedDuration = SignedDuration::from_hours(14 * 24);

/// How long a command on the builder may take.
const COMMAND: std::time::Duration = std::time::Duration::from_secs(30);

/// How often the order of a snapshot is repeated after a lookup that found nothing.
const REPEATS: u32 = 3;

/// The snapshots that this process has found or built; nothing, where there is none and none could be built.
#[derive(Default)]
pub(crate) struct Snapshots {
    known: Mutex<BTreeMap<String, Arc<OnceCell<Option<Chosen>>>>>,
}

impl HetznerProvider {
    /// The image that nodes of a lease start from: a snapshot, where that is wanted and there is one or one can be built.
    pub(crate) async fn warm_image(&self, cx: &Cx, base: &Base) -> Result<Chosen, Failure> {
        let cell = &base.request.cell;
        match (self.config.warm, cell.template) {
            (WarmStart::Off, _) | (WarmStart::On, Template::Community) => return Ok(base.image),
            (WarmStart::On, Template::Gsh) => {}
        }
        let key = key(cell.os, &cell.k3s, &self.config.k3s_install_url);
        let cell = {
            let mut known = self.snapshots.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.entry(key.clone()).or_default().clone()
        };
        // Leases that want the same wait for the one that builds.
        let snapshot = cell.get_or_try_init(|| self.find_or_build(cx, base, &key)).await?;
        Ok(snapshot.unwrap_or(base.image))
    }

    async fn find_or_build(&self, cx: &Cx, base: &Base, key: &str) -> Result<Option<Chosen>, Failure> {
        let found = async {
            if let Some(snapshot) = self.good(cx, key).await? {
                return Ok((snapshot, "found"));
            }
            self.build(cx, base, key).await?;
            let built = self.good(cx, key).await?;
            let missing =
                || Failure::environment("GSH-CLOUD-010", format!("the snapshot `{key}`"), "it is not available");
            built.map(|snapshot| (snapshot, "built")).ok_or_else(missing)
        };
        match found.await {
            Ok((snapshot, how)) => {
                cx.note(&format!("nodes start from snapshot {} of `{key}`, {how}", snapshot.id)).await;
                Ok(Some(snapshot))
            }
            Err(failure) if failure.stopped => Err(failure),
            Err(failure) => {
                cx.note(&format!("no snapshot of `{key}`, nodes start from the image: {failure}")).await;
                Ok(None)
            }
        }
    }

    /// The newest snapshot of a key that can be used for a while yet.
    async fn good(&self, cx: &Cx, key: &str) -> Result<Option<Chosen>, Failure> {
        let all = self.of_key(cx, key).await.map_err(|e| e.failure(format!("the snapshots of `{key}`")))?;
        let now = Timestamp::now();
        let good = |i: &&Image| {
            i.status == "available"
                && i.architecture == ARCHITECTURE
                && labels::expiry(&i.labels).is_some_and(|at| at > now)
        };
        Ok(all.iter().filter(good).max_by_key(|i| (i.created, i.id)).map(Image::chosen))
    }

    async fn of_key(&self, cx: &Cx, key: &str) -> Result<Vec<Image>, ApiError> {
        let query = [("type", "snapshot".to_owned()), ("label_selector", format!("{}={key}", labels::SNAPSHOT))];
        let mut all: Vec<Image> = self.api.list(cx, IMAGE.many, &query, Purpose::Work).await?;
        all.retain(|i| i.labels.get(labels::SNAPSHOT).map(String::as_str) == Some(key));
        Ok(all)
    }

    /// Builds a snapshot on a machine of the lease. The machine goes whatever happens; should that fail, the release finds it.
    async fn build(&self, cx: &Cx, base: &Base, key: &str) -> Result<(), Failure> {
        let cell = &base.request.cell;
        let name = format!("{}-builder", base.request.lease);
        let host_key = host_key(cx, &name)?;
        let data = user_data(cell.os, &cell.k3s, &self.config.k3s_install_url, &host_key, &base.login.public_line)?;
        let wish = Wish {
            name,
            role: None,
            label: labels::BUILDER,
            // The smallest disk: a snapshot fits on no smaller one than that of its machine.
            needs: MANAGER,
            image: base.image,
            host_key,
            user_data: data.text,
            digest: Some(data.digest.clone()),
        };
        let (ordered, server) = self.order_and_wait(cx, base, &wish).await?;
        let done = async {
            let node = self.node(base, &ordered, &server)?;
            let login = node
                .login
                .as_ref()
                .ok_or_else(|| Failure::harness("GSH-CLOUD-016", format!("a login of `{}`", ordered.name), "none"))?;
            let machine = Machine {
                name: &ordered.name,
                login,
                digest: Some(&data.digest),
                runs_k3s: false,
                template: Template::Gsh,
            };
            configured(cx, &self.config.reach, &machine, self.config.patience.boot).await?;
            self.forget(login, &ordered.name).await?;
            self.act(cx, ordered.id, "poweroff").await?;
            self.snapshot(cx, ordered.id, key).await
        }
        .await;
        let scrapped = self.scrap(cx, base, &ordered).await;
        done?;
        scrapped.map_err(|e| e.failure(format!("`{}` to be removed", ordered.name)))
    }

    async fn forget(&self, login: &Login, name: &str) -> Result<(), Failure> {
        let expected = format!("`{name}` to forget who it is");
        let failed = |why: String| Failure::environment("GSH-NODE-007", &expected, why);
        let session = enter(&self.config.reach, login, login.port).await.map_err(|e| failed(e.to_string()))?;
        let output = session.exec(FORGET, b"", Instant::now() + COMMAND).await;
        session.close().await;
        match output {
            Ok(output) if output.success() => Ok(()),
            Ok(output) => Err(failed(output.error_text().trim().to_owned())),
            Err(e) => Err(failed(e.to_string())),
        }
    }

    /// Brings a server into a state and waits until it is there.
    async fn act(&self, cx: &Cx, server: u64, action: &str) -> Result<(), Failure> {
        let expected = format!("server {server} to do `{action}`");
        let call = post(format!("/servers/{server}/actions/{action}"), None, Effect::Change);
        let started = match self.api.send(cx, &call).await.map_err(|e| e.failure(&expected))? {
            Outcome::Answer(mut answer) => actions(&mut answer),
            Outcome::LookUp(e) => return Err(e.failure(&expected)),
            Outcome::Gone => Vec::new(),
        };
        let patience = self.config.patience.actions;
        self.actions.finished(&self.api, cx, started, patience, Purpose::Work).await.map_err(|e| e.failure(&expected))
    }

    /// Orders a snapshot and waits for it. When the answer to the order is lost it is looked for by its labels first.
    async fn snapshot(&self, cx: &Cx, server: u64, key: &str) -> Result<(), Failure> {
        use gsh_engine::wait::{Progress, until};
        let expected = format!("a snapshot `{key}` of server {server}");
        let expires = Timestamp::now().checked_add(LIFETIME).unwrap_or(Timestamp::MAX);
        let labels = labels::of_snapshot(key, expires, &self.config.owner);
        let body = requests::snapshot(&format!("gsh warm start: {key}"), &labels);
        let call = post(format!("/servers/{server}/actions/create_image"), Some(body), Effect::Create);
        let of_this = |images: Vec<Image>| {
            let this = |i: &Image| i.created_from.as_ref().is_some_and(|from| from.id == server);
            images.into_iter().find(this)
        };
        for _ in 0..=REPEATS {
            match self.api.send(cx, &call).await.map_err(|e| e.failure(&expected))? {
                Outcome::Answer(_) | Outcome::Gone => {}
                Outcome::LookUp(_lost) => {}
            }
            // Either way it is there now, or it is not.
            if self.of_key(cx, key).await.map(of_this).map_err(|e| e.failure(&expected))?.is_some() {
                break;
            }
        }
        until(cx, &expected, self.config.patience.snapshot, || async {
            let image = self.of_key(cx, key).await.map(of_this).map_err(|e| e.failure(&expected))?;
            match image {
                Some(image) if image.status == "available" => Ok(Progress::Ready(())),
                Some(image) if image.status == "creating" => Ok(Progress::NotYet("creating".to_owned())),
                Some(image) => Err(Failure::environment("GSH-CLOUD-010", &expected, format!("it is {}", image.status))),
                None => Err(Failure::environment("GSH-CLOUD-010", &expected, "it is not there")),
            }
        })
        .await
        .map_err(|e| e.blame(gsh_model::outcome::Blame::Environment, "GSH-CLOUD-010"))
    }

    /// The account's snapshots for warm starts that have expired: nobody uses them any more.
    ///
    /// # Errors
    /// When the account cannot be listed.
    pub async fn expired_snapshots(&self, cx: &Cx, now: Timestamp) -> Result<Vec<Resource>, Failure> {
        let selector = format!("{},{}", labels::SNAPSHOT, labels::EXPIRES);
        let query = [("type", "snapshot".to_owned()), ("label_selector", selector)];
        let all: Vec<Image> = self
            .api
            .list(cx, IMAGE.many, &query, Purpose::Teardown)
            .await
            .map_err(|e| e.failure("a list of the snapshots for warm starts"))?;
        // As with leases: what does not carry our labels was not made by us, whatever the selector let through.
        let expired = all.into_iter().filter(|i| {
            i.labels.contains_key(labels::SNAPSHOT) && labels::expiry(&i.labels).is_some_and(|at| at < now)
        });
        Ok(expired
            .map(|i| Resource {
                kind: "image".to_owned(),
                id: i.id,
                name: i.labels.get(labels::SNAPSHOT).cloned().unwrap_or_default(),
                cents_per_month: None,
            })
            .collect())
    }

    /// Removes a snapshot that [`Self::expired_snapshots`] listed.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn remove_snapshot(&self, cx: &Cx, snapshot: &Resource) -> Result<(), Failure> {
        self.delete(cx, IMAGE, snapshot.id, Purpose::Teardown)
            .await
            .map(drop)
            .map_err(|e| e.failure(format!("{snapshot} to be removed")))
    }
}

fn post(path: String, body: Option<Value>, effect: Effect) -> Call<'static> {
    Call { method: Method::POST, path, query: Vec::new(), body, effect, purpose: Purpose::Work }
}
