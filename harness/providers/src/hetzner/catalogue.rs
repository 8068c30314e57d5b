//! What the account can order: types, locations, images. Asked once per run; prices and names are never in the source.

use std::collections::BTreeMap;
use std::sync::Arc;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_model::axis::Os;
use tokio::sync::Mutex;

use super::api::Api;
use super::error::ApiError;
use super::governor::Purpose;
use super::wire::{Image, LoadBalancerType, Location, ServerType};

/// The only architecture that Gitpod's images are built for.
pub(crate) const ARCHITECTURE: &str = "x86";

/// Label of the account's own snapshots: the image that they stand for.
const SNAPSHOT_OF: &str = "gsh.os";

/// Types and locations.
#[derive(Debug)]
pub(crate) struct Offers {
    pub(crate) server_types: Vec<ServerType>,
    pub(crate) load_balancer_types: Vec<LoadBalancerType>,
    pub(crate) locations: Vec<Location>,
}

/// Remembers what was asked once.
#[derive(Default)]
pub(crate) struct Catalogue {
    offers: Mutex<Option<Arc<Offers>>>,
    images: Mutex<BTreeMap<Os, u64>>,
}

impl Catalogue {
    /// Types and locations of the account.
    pub(crate) async fn offers(&self, api: &Api, cx: &Cx) -> Result<Arc<Offers>, ApiError> {
        let mut known = self.offers.lock().await;
        if let Some(offers) = known.as_ref() {
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
        *known = Some(offers.clone());
        Ok(offers)
    }

    /// The id of an image.
    pub(crate) async fn image(&self, api: &Api, cx: &Cx, os: Os) -> Result<u64, Failure> {
        let mut known = self.images.lock().await;
        if let Some(id) = known.get(&os) {
            return Ok(*id);
        }
        let architecture = ("architecture", ARCHITECTURE.to_owned());
        let query = match os {
            // No longer orderable: only the account's own snapshot of it can be used.
            Os::Ubuntu2004 => {
                vec![("type", "snapshot".to_owned()), ("label_selector", format!("{SNAPSHOT_OF}={os}")), architecture]
            }
            Os::Ubuntu2204 | Os::Ubuntu2404 => {
                vec![("type", "system".to_owned()), ("name", os.to_string()), architecture]
            }
        };
        let expected = format!("an image `{os}` for {ARCHITECTURE}");
        let images: Vec<Image> =
            api.list(cx, "images", &query, Purpose::Work).await.map_err(|e| e.failure(&expected))?;
        let newest = images.into_iter().filter(|i| i.status == "available").max_by_key(|i| (i.created, i.id));
        match newest {
            Some(image) => {
                known.insert(os, image.id);
                Ok(image.id)
            }
            None => Err(no_image(os, expected)),
        }
    }
}

fn no_image(os: Os, expected: String) -> Failure {
    let failure = Failure::environment("GSH-CLOUD-008", expected, "the account has none that is available");
    match os {
        Os::Ubuntu2004 => failure.cause(format!(
            "Hetzner no longer sells {os}: make a snapshot of such a machine and give it the label {SNAPSHOT_OF}={os}"
        )),
        Os::Ubuntu2204 | Os::Ubuntu2404 => failure,
    }
}
