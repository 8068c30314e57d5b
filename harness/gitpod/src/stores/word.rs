//! The one word that names everything which a scenario writes into the stores, so that it can be removed again: also by
//! another run, when the first one was killed.

use std::fmt;
use std::str::FromStr;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::Cluster;
use uuid::Uuid;

use super::{Database, Objects};
use crate::probe::Probe;

/// What every word begins with.
const PREFIX: &str = "gsh-";

/// A word that was never written before. Text is only taken for one when it is exactly of this form: whoever may label a
/// pod must not choose what is removed from a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word(Uuid);

/// Text that is no word of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no word that gsh writes into stores")]
pub struct NotOurs(String);

impl Word {
    /// Label of the pod through which it was written. The pod is there before anything is written, and goes after it.
    pub const LABEL: &'static str = "gsh-word";

    /// Name of the table.
    #[must_use]
    pub fn table(self) -> String {
        self.to_string().replace('-', "_")
    }

    /// Removes what was written from the stores, through a probe.
    ///
    /// # Errors
    /// When a store cannot be found or does not do as asked. Each store is asked, whatever the other one says.
    pub async fn erase(
        self,
        cx: &Cx,
        cluster: &Cluster,
        namespace: &str,
        probe: &Probe,
        check: &'static str,
    ) -> Result<(), Failure> {
        let table =
            async { Database::configured(cx, cluster, namespace, check).await?.erase(probe, self, check).await };
        let table = table.await;
        let objects =
            async { Objects::configured(cx, cluster, namespace, check).await?.erase(probe, self, check).await };
        table.and(objects.await)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0)
    }
}

impl FromStr for Word {
    type Err = NotOurs;

    fn from_str(text: &str) -> Result<Self, NotOurs> {
        let id = text.strip_prefix(PREFIX).and_then(|id| id.parse().ok()).map(Self);
        // The library reads other spellings of an id, too.
        id.filter(|word| word.to_string() == text).ok_or_else(|| NotOurs(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_word_of_ours_names_what_is_removed() {
        let text = "gsh-0b7e5a52-6f0c-4a8e-9d55-2f1f9f0f4a11";
        let word: Word = text.parse().expect("a word");
        assert_eq!(word.to_string(), text);
        assert_eq!(word.table(), "gsh_0b7e5a52_6f0c_4a8e_9d55_2f1f9f0f4a11");
        for other in [
            "gsh-",
            "gsh-x; DROP TABLE d_b_user",
            "0b7e5a52-6f0c-4a8e-9d55-2f1f9f0f4a11",
            "gsh-0b7e5a526f0c4a8e9d552f1f9f0f4a11",
            "gsh-{0b7e5a52-6f0c-4a8e-9d55-2f1f9f0f4a11}",
            "gsh-0B7E5A52-6F0C-4A8E-9D55-2F1F9F0F4A11",
            "gitpod-user-0b7e5a52-6f0c-4a8e-9d55-2f1f9f0f4a11",
        ] {
            assert_eq!(other.parse::<Word>(), Err(NotOurs(other.to_owned())));
        }
    }
}
