//! What the account can order: types, locations, images. Asked once in a while; prices and names are never in the source.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_model::axis::Os;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::api::Api;
use super::error::ApiError;
use super::governor::Purpose;
use super::wire::{Deprecation, Image, LoadBalancerType, Location, ServerType, TypeLocation};

/// The only architecture that Gitpod's images are built for.
pub(crate) const ARCHITECTURE: &str = "x86";

/// Label of the account's own snapshots: the image that they stand for.
const SNAPSHOT_OF: &str = "gsh.os";

/// How long an answer is believed: what is said to be available changes within hours.
const FRESH: Duration = Duration::from_secs(30 * 60);

/// How long an image stays orderable after its end was announced, where the API does not say until when: about three months
/// (Hetzner's documentation of deprecated images).
const GRACE: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Types and locations.
#[derive(Debug)]
pub(crate) struct Offers {
    pub(crate) server_types: Vec<ServerType>,
    pub(crate) load_balancer_types: Vec<LoadBalancerType>,
    pub(crate) locations: Vec<Location>,
}

impl Offers {
    /// The network zone of a location, where there is one of that name.
    pub(crate) fn zone(&self, location: &str) -> Option<&str> {
        self.locations.iter().find(|l| l.name == location).map(|l| l.network_zone.as_str())
    }
}

impl ServerType {
    /// What is said about it in a location.
    pub(crate) fn at(&self, location: &str) -> Option<&TypeLocation> {
        self.locations.iter().find(|l| l.name == location)
    }

    /// Its announced end in a location.
    pub(crate) fn end(&self, location: &str) -> Option<&Deprecation> {
        self.at(location).and_then(|l| l.deprecation.as_ref()).or(self.deprecation.as_ref())
    }

    /// Since when it cannot be ordered in a location any more.
    pub(crate) fn gone(&self, location: &str, now: Timestamp) -> Option<Timestamp> {
        self.end(location).and_then(|d| d.unavailable_after).filter(|after| *after <= now)
    }
}

/// An image that can be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) id: u64,
    /// Size of the disk that it needs, in GB.
    pub(crate) disk: u32,
}

impl Image {
    /// Since when it cannot be ordered any more.
    fn gone(&self, now: Timestamp) -> Option<Timestamp> {
        let told = self.deprecation.as_ref().and_then(|d| d.unavailable_after);
        let end = told.or_else(|| self.deprecated.and_then(|announced| announced.checked_add(GRACE).ok()));
        end.filter(|after| *after <= now)
    }

    pub(crate) fn chosen(&self) -> Chosen {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "disks are some GB, never negative"
        )]
        let disk = self.disk_size.max(0.0).ceil() as u32;
        Chosen { id: self.id, disk }
    }
}

/// Remembers what was asked.
#[derive(Default)]
pub(crate) struct Catalogue {
    offers: Mutex<Option<(Instant, Arc<Offers>)>>,
    images: Mutex<BTreeMap<Os, Chosen>>,
}

impl Catalogue {
    /// Types and locations of the account.
    pub(crate) async fn offers(&self, api: &Api, cx: &Cx) -> Result<Arc<Offers>, ApiError> {
        let mut known = self.offers.lock().await;
        if let Some((at, offers)) = known.as_ref()
            && at.elapsed() < FRESH
        {
            return Ok(offers.clone());
        }
        let (server_types, load_balancer_types, locations) = futures::future::join3(
            api.list(cx, "server_types", &[], Purpose::Work),
            api.list(cx, "load_balancer_types", &[], Purpose::Work),
            api.list(cx, "locations", &[], Purpose::Work),
        )
        .await;
        let offers = Arc::new(Offers {
            server_types: server_types?,
            load_balancer_types: load_balancer_types?,
            locations: locations?,
        });
        *known = Some((Instant::now(), offers.clone()));
        Ok(offers)
    }

    /// An image: Hetzner's own by name while it is sold, else the newest snapshot of the account that stands for it.
    pub(crate) async fn image(&self, api: &Api, cx: &Cx, os: Os) -> Result<Chosen, Failure> {
        let mut known = self.images.lock().await;
        if let Some(image) = known.get(&os) {
            return Ok(*image);
        }
        let expected = format!("an image `{os}` for {ARCHITECTURE}");
        let list = async |query: &[(&str, String)]| {
            let mut query = query.to_vec();
            query.push(("architecture", ARCHITECTURE.to_owned()));
            api.list::<Image>(cx, "images", &query, Purpose::Work).await.map_err(|e| e.failure(&expected))
        };
        let now = Timestamp::now();
        let flag = ("include_deprecated", "true".to_owned());
        let sold = list(&[("type", "system".to_owned()), ("name", os.to_string()), flag]).await?;
        let mut chosen = newest(&sold, now);
        if chosen.is_none() {
            let label = ("label_selector", format!("{SNAPSHOT_OF}={os}"));
            let own = list(&[("type", "snapshot".to_owned()), label]).await?;
            chosen = newest(&own, now);
            if chosen.is_none() {
                let others = list(&[("type", "system".to_owned())]).await?;
                return Err(no_image(os, expected, &sold, &own, &others, now));
            }
        }
        let chosen = chosen.ok_or_else(|| Failure::harness("GSH-CLOUD-016", &expected, "none was chosen"))?;
        known.insert(os, chosen);
        Ok(chosen)
    }
}

/// The newest image that can be ordered. What was asked for is checked again: an API that does not know a filter answers as
/// if it were not there.
fn newest(images: &[Image], now: Timestamp) -> Option<Chosen> {
    let usable = |i: &&Image| i.status == "available" && i.architecture == ARCHITECTURE && i.gone(now).is_none();
    images.iter().filter(usable).max_by_key(|i| (i.created, i.id)).map(Image::chosen)
}

fn no_image(os: Os, expected: String, sold: &[Image], own: &[Image], others: &[Image], now: Timestamp) -> Failure {
    let observed = match sold.iter().find_map(|i| i.gone(now)) {
        Some(since) => format!("Hetzner no longer sells it since {}", since.strftime("%Y-%m-%d")),
        None if sold.is_empty() => "Hetzner does not sell it".to_owned(),
        None => "Hetzner's is not available".to_owned(),
    };
    let snapshots = match own {
        [] => "the account has no snapshot of it".to_owned(),
        own => {
            let state = |i: &Image| format!("{} is {} for {}", i.id, i.status, i.architecture);
            format!("of its snapshots, {}", own.iter().map(state).collect::<Vec<_>>().join(", "))
        }
    };
    let mut names: Vec<&str> =
        others.iter().filter(|i| i.gone(now).is_none()).filter_map(|i| i.name.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    Failure::environment("GSH-CLOUD-008", expected, format!("{observed}, and {snapshots}"))
        .cause(format!("make a snapshot of such a machine and give it the label {SNAPSHOT_OF}={os}"))
        .cause(format!("or choose what is sold: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn images(list: Value) -> Vec<Image> {
        serde_json::from_value(list).expect("images")
    }

    fn image(id: u64, more: &Value) -> Value {
        let mut image = json!({"id": id, "name": "ubuntu-20.04", "type": "system", "status": "available",
                               "architecture": "x86", "disk_size": 5, "created": "2025-01-15T11:00:00+00:00"});
        for (key, value) in more.as_object().into_iter().flatten() {
            image[key] = value.clone();
        }
        image
    }

    #[test]
    fn the_newest_that_can_be_ordered_is_chosen() {
        let now = "2026-11-23T00:00:00Z".parse().expect("a time");
        let later = json!({"created": "2026-01-01T00:00:00Z", "disk_size": 4.5});
        let list = json!([
            image(1, &json!({})),
            image(2, &later),
            image(3, &json!({"created": "2026-02-01T00:00:00Z", "status": "creating"})),
            image(4, &json!({"created": "2026-02-01T00:00:00Z", "architecture": "arm"})),
            image(
                5,
                &json!({"created": "2026-02-01T00:00:00Z", "deprecation": {"unavailable_after": "2026-11-01T00:00:00Z"}})
            ),
            image(6, &json!({"created": "2026-02-01T00:00:00Z", "deprecated": "2026-01-01T00:00:00Z"})),
        ]);
        assert_eq!(newest(&images(list), now), Some(Chosen { id: 2, disk: 5 }));
        // Announced, but not over: as the API says it today, and as it said it before.
        for still in [
            json!({"deprecation": {"unavailable_after": "2027-01-01T00:00:00Z"}, "deprecated": "2025-01-01T00:00:00Z"}),
            json!({"deprecated": "2026-11-01T00:00:00Z", "deprecation": null}),
        ] {
            assert!(newest(&images(json!([image(7, &still)])), now).is_some(), "{still}");
        }
    }

    #[test]
    fn an_image_that_is_gone_is_named_with_what_is_sold() {
        let now = "2026-11-23T00:00:00Z".parse().expect("a time");
        let gone = images(json!([image(1, &json!({"deprecation": {"unavailable_after": "2025-09-01T00:00:00Z"}}))]));
        let own = images(json!([image(9, &json!({"status": "creating", "name": null}))]));
        let others =
            images(json!([image(2, &json!({"name": "ubuntu-24.04"})), image(3, &json!({"name": "debian-13"}))]));
        let said = no_image(Os::Ubuntu2004, "an image".into(), &gone, &own, &others, now);
        assert_eq!(
            said.finding.observed,
            "Hetzner no longer sells it since 2025-09-01, and of its snapshots, 9 is creating for x86"
        );
        assert!(said.finding.causes.iter().any(|c| c == "or choose what is sold: debian-13, ubuntu-24.04"), "{said:?}");
    }
}
