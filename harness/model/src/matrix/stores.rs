//! The section `[stores]` of a matrix file.
//!
//! ```toml
//! [stores.s3]
//! endpoint        = "https://s3.example.com"
//! region          = "eu-central-1"
//! bucket          = "gitpod-content"
//! registry-bucket = "gitpod-registry"
//! access-key-from = "GSH_S3_ACCESS_KEY"    # names of environment variables, never the keys themselves
//! secret-key-from = "GSH_S3_SECRET_KEY"
//!
//! [stores.registry]
//! url           = "registry.example.com/gitpod"
//! username      = "gsh"
//! password-from = "GSH_REGISTRY_PASSWORD"
//! ca            = "registry-ca.pem"        # beside this file; left out where a public authority signed
//! ```

use toml_edit::{Key, Table};

use super::{MatrixError, Reader};
use crate::stores::{GivenRegistry, GivenS3, GivenStores};

/// Stores that can be given.
pub(super) const KINDS: [&str; 2] = ["s3", "registry"];
/// Keys of `[stores.s3]`.
pub(super) const S3_KEYS: [&str; 6] =
    ["endpoint", "region", "bucket", "registry-bucket", "access-key-from", "secret-key-from"];
/// Keys of `[stores.registry]`.
pub(super) const REGISTRY_KEYS: [&str; 4] = ["url", "username", "password-from", "ca"];

/// Reads the section.
pub(super) fn read(reader: &Reader<'_>, table: &Table) -> Result<GivenStores, MatrixError> {
    let mut given = GivenStores::default();
    for (key, item) in table {
        let span = table.key(key).and_then(Key::span);
        match key {
            "s3" => {
                given.s3 = Some(s3(&Section { reader, name: "stores.s3", table: reader.table("stores.s3", item)? })?)
            }
            "registry" => {
                let table = reader.table("stores.registry", item)?;
                given.registry = Some(registry(&Section { reader, name: "stores.registry", table })?);
            }
            "database" => {
                return Err(reader.error(
                    span,
                    "a database cannot be given".to_owned(),
                    Some("its schemas have fixed names, so it would serve one cell and then have to be emptied; gsh brings one up for each cell".to_owned()),
                ));
            }
            _ => return Err(reader.unknown(span, "store", key, KINDS)),
        }
    }
    Ok(given)
}

fn s3(section: &Section<'_>) -> Result<GivenS3, MatrixError> {
    section.only(&S3_KEYS)?;
    let is_endpoint = |text: &str| {
        let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        authority.is_some_and(is_authority)
    };
    Ok(GivenS3 {
        endpoint: section.text("endpoint", "`https://host` or `https://host:port`, without a path", is_endpoint)?,
        region: section.text("region", "the region of its buckets, `us-east-1` where it has none", is_name)?,
        bucket: section.text("bucket", "the name of a bucket", is_bucket)?,
        registry_bucket: section.text("registry-bucket", "the name of a bucket", is_bucket)?,
        access_key_from: section.variable("access-key-from")?,
        secret_key_from: section.variable("secret-key-from")?,
    })
}

fn registry(section: &Section<'_>) -> Result<GivenRegistry, MatrixError> {
    section.only(&REGISTRY_KEYS)?;
    let is_url = |text: &str| {
        let (authority, path) = text.split_once('/').unwrap_or((text, "none"));
        is_authority(authority)
            && !path.is_empty()
            && !path.ends_with('/')
            && path.chars().all(|c| c.is_ascii_graphic())
    };
    let ca = section.table.contains_key("ca");
    Ok(GivenRegistry {
        url: section.text("url", "`host`, `host:port` or `host/path`, without a scheme", is_url)?,
        username: section.text("username", "the name of a user", is_name)?,
        password_from: section.variable("password-from")?,
        ca: ca.then(|| section.text("ca", "the name of a file in PEM form", |t| !t.trim().is_empty())).transpose()?,
    })
}

struct Section<'a> {
    reader: &'a Reader<'a>,
    name: &'static str,
    table: &'a Table,
}

impl Section<'_> {
    fn only(&self, known: &'static [&'static str]) -> Result<(), MatrixError> {
        match self.table.iter().find(|(key, _)| !known.contains(key)) {
            None => Ok(()),
            Some((key, _)) => {
                let span = self.table.key(key).and_then(Key::span);
                Err(self.reader.unknown(span, &format!("key of [{}]", self.name), key, known.iter().copied()))
            }
        }
    }

    fn text(&self, key: &str, what: &str, good: impl Fn(&str) -> bool) -> Result<String, MatrixError> {
        let Some(item) = self.table.get(key) else {
            let message = format!("[{}] has no `{key}`", self.name);
            return Err(self.reader.error(self.table.span(), message, Some(format!("it is {what}"))));
        };
        let text = item.as_str().filter(|text| good(text));
        text.map(str::to_owned).ok_or_else(|| self.reader.error(item.span(), format!("`{key}` is {what}"), None))
    }

    /// The name of an environment variable. What stands there instead is not repeated: it may be the secret itself.
    fn variable(&self, key: &str) -> Result<String, MatrixError> {
        self.text(
            key,
            "the name of an environment variable such as `GSH_S3_KEY`; the secret itself stands in no file",
            |text| {
                text.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
                    && text.contains('_')
                    && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
            },
        )
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic())
}

/// `host` or `host:port`.
fn is_authority(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "443"));
    let is_host = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    !host.is_empty() && host.chars().all(is_host) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// As S3 has them: 3 to 63 lower-case letters, digits, dots and dashes.
fn is_bucket(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    (3..=63).contains(&text.len()) && text.chars().all(legal)
}

#[cfg(test)]
mod tests {
    use crate::matrix::Matrix;

    const S3: &str = "[stores.s3]\nendpoint = \"https://s3.example.com\"\nregion = \"eu\"\nbucket = \"content\"\n\
                      registry-bucket = \"images\"\naccess-key-from = \"GSH_ACCESS\"\nsecret-key-from = \"GSH_SECRET\"\n";
    const REGISTRY: &str = "[stores.registry]\nurl = \"registry.example.com:5000/gitpod\"\nusername = \"gsh\"\n\
                            password-from = \"GSH_PASSWORD\"\nca = \"ca.pem\"\n";

    #[test]
    fn what_is_given_is_read() {
        let given = Matrix::parse(&format!("{S3}{REGISTRY}")).expect("a matrix").stores;
        let (s3, registry) = (given.s3.expect("a store"), given.registry.expect("a registry"));
        assert_eq!((s3.authority(), s3.is_secure()), ("s3.example.com", true));
        assert_eq!((s3.bucket.as_str(), s3.registry_bucket.as_str()), ("content", "images"));
        assert_eq!(
            (registry.url.as_str(), registry.ca.as_deref()),
            ("registry.example.com:5000/gitpod", Some("ca.pem"))
        );
        assert!(Matrix::parse("").expect("a matrix").stores.is_empty());
    }

    #[test]
    fn mistakes_are_shown_with_place_and_remedy_and_a_secret_is_not_repeated() {
        let refused = |from: &str, to: &str| {
            let text = format!("{S3}{REGISTRY}");
            let changed = text.replacen(from, to, 1);
            assert_ne!(text, changed, "{from}");
            let e = Matrix::parse(&changed).expect_err("must be refused");
            format!("{e}{}", e.hint.as_ref().map(|h| format!(" ({h})")).unwrap_or_default())
        };
        let all = [
            refused("[stores.s3]", "[stores.s4]"),
            refused("[stores.s3]", "[stores.database]"),
            refused("https://s3.example.com", "s3.example.com"),
            refused("https://s3.example.com", "https://s3.example.com/path"),
            refused("region = \"eu\"\n", ""),
            refused("registry-bucket", "registry_bucket"),
            refused("\"images\"", "\"Images\""),
            refused("\"GSH_SECRET\"", "\"the secret itself\""),
            refused("registry.example.com:5000/gitpod", "https://registry.example.com"),
            refused("\"ca.pem\"", "7"),
        ]
        .join("\n");
        assert!(!all.contains("`the secret"), "{all}");
        insta::assert_snapshot!(all);
    }
}
