//! The database that the server is configured with.

use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::Cluster;
use gsh_engine::secret::Secret;
use gsh_model::axis::Database as Axis;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Row, SslOpts, Value};

use super::{Place, Word, container, is_inside};
use crate::probe::Probe;

/// How long one conversation may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The logical database: its name is fixed.
const NAME: &str = "gitpod";

/// Where it is and as whom the server logs in.
#[derive(Clone)]
pub struct Database {
    /// Host as pods reach it.
    pub host: String,
    /// Port.
    pub port: u16,
    user: String,
    password: Secret,
    ca_pem: Option<String>,
}

/// Why there is no answer.
pub enum NoAnswer {
    /// The server refuses the login.
    Denied(String),
    /// Something else.
    Other(mysql_async::Error),
    /// It took too long.
    Slow,
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Denied(text) => f.write_str(text),
            Self::Other(e) => write!(f, "{e}"),
            Self::Slow => write!(f, "no answer within {PATIENCE:?}"),
        }
    }
}

impl Database {
    /// What the environment of the server's container says.
    ///
    /// # Errors
    /// When it does not name a database.
    pub async fn configured(cx: &Cx, cluster: &Cluster, namespace: &str, check: &'static str) -> Result<Self, Failure> {
        let place = Place::new(cx, &cluster.kube, namespace, check);
        let server = place.object("apps/v1", "Deployment", "server").await?;
        let expected = "the server's container has DB_HOST, DB_PORT, DB_USERNAME and DB_PASSWORD";
        let found = container(&server, "server");
        let found = found.ok_or_else(|| Failure::product(check, expected, "it has no container `server`"))?;
        let missing = |name: &str| Failure::product(check, expected, format!("{name} is missing"));
        let text =
            async |name: &str| Ok(place.env(found, name).await?.ok_or_else(|| missing(name))?.expose().to_owned());
        let port = text("DB_PORT").await?;
        Ok(Self {
            host: text("DB_HOST").await?,
            port: port.parse().map_err(|_| Failure::product(check, "DB_PORT is a port", format!("it is `{port}`")))?,
            user: text("DB_USERNAME").await?,
            password: place.env(found, "DB_PASSWORD").await?.ok_or_else(|| missing("DB_PASSWORD"))?,
            ca_pem: place.env(found, "DB_CA_CERT").await?.map(|ca| ca.expose().to_owned()),
        })
    }

    /// Whether this is the kind of database that a cell asks for.
    ///
    /// # Errors
    /// When it is another one.
    pub fn is_of(&self, axis: Axis, cluster: &Cluster, namespace: &str, check: &'static str) -> Result<(), Failure> {
        let seen = format!(
            "it is {}:{}{}",
            self.host,
            self.port,
            if self.ca_pem.is_some() { ", with an authority of its own" } else { "" }
        );
        let inside = is_inside(&self.host, namespace);
        let given = cluster.stores.database.as_ref();
        let at_given = given.is_none_or(|store| store.host == self.host && store.port == self.port);
        let (expected, good) = match axis {
            Axis::InCluster => ("a Service of the cluster".to_owned(), inside),
            Axis::External | Axis::ExternalTls => {
                let encrypted = axis == Axis::ExternalTls;
                let place = given.map_or("outside of the cluster".to_owned(), |s| format!("{}:{}", s.host, s.port));
                let how = if encrypted { " with an authority of its own" } else { "" };
                (format!("{place}{how}"), !inside && at_given && (self.ca_pem.is_some() || !encrypted))
            }
        };
        if good { Ok(()) } else { Err(Failure::product(check, format!("the server's database is {expected}"), seen)) }
    }

    /// Whether the server's connections are to be encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.ca_pem.is_some()
    }

    fn options(&self, at: std::net::SocketAddr, password: &str) -> Opts {
        let tls = self.ca_pem.as_ref().map(|pem| {
            // The certificate is for the host; the connection is to this machine's end of the relay.
            SslOpts::default()
                .with_root_certs(vec![pem.as_bytes().to_vec().into()])
                .with_disable_built_in_roots(true)
                .with_danger_tls_hostname_override(Some(self.host.clone()))
        });
        OptsBuilder::default()
            .ip_or_hostname(at.ip().to_string())
            .tcp_port(at.port())
            .user(Some(&self.user))
            .pass(Some(password))
            .db_name(Some(NAME))
            .prefer_socket(false)
            .ssl_opts(tls)
            .into()
    }

    /// Logs in anew as the server does, runs statements, and gives the first row of the last one; empty when it has none.
    ///
    /// # Errors
    /// [`NoAnswer`] within, where the database does not do as asked; a failure where there is no way to it.
    pub async fn run(
        &self,
        probe: &Probe,
        statements: &[String],
        check: &'static str,
    ) -> Result<Result<Vec<String>, NoAnswer>, Failure> {
        self.run_as(probe, self.password.expose(), statements, check).await
    }

    /// Removes the table that a word names; that there is none is fine.
    ///
    /// # Errors
    /// When the database does not do it.
    pub async fn erase(&self, probe: &Probe, word: Word, check: &'static str) -> Result<(), Failure> {
        let statement = format!("DROP TABLE IF EXISTS {}", word.table());
        let expected = format!("table `{}` is removed", word.table());
        let dropped = self.run(probe, &[statement], check).await?;
        dropped.map(drop).map_err(|e| Failure::environment(check, expected, e.to_string()))
    }

    /// As [`Self::run`] with another password.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_as(
        &self,
        probe: &Probe,
        password: &str,
        statements: &[String],
        check: &'static str,
    ) -> Result<Result<Vec<String>, NoAnswer>, Failure> {
        let work = |at| async move {
            let conversation = async {
                let mut connection = Conn::new(self.options(at, password)).await?;
                let mut last = None;
                for statement in statements {
                    last = connection.query_first::<Row, _>(statement).await?;
                }
                connection.disconnect().await?;
                Ok(last)
            };
            match tokio::time::timeout(PATIENCE, conversation).await {
                Ok(Ok(row)) => Ok(row.map(texts).unwrap_or_default()),
                Ok(Err(mysql_async::Error::Server(e))) if e.code == 1045 => Err(NoAnswer::Denied(e.to_string())),
                Ok(Err(e)) => Err(NoAnswer::Other(e)),
                Err(_late) => Err(NoAnswer::Slow),
            }
        };
        probe.relayed(&self.host, self.port, check, work).await
    }
}

/// The values of a row as the text protocol carries them.
fn texts(row: Row) -> Vec<String> {
    let text = |value: Value| match value {
        Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::NULL => String::new(),
        other => other.as_sql(true),
    };
    row.unwrap().into_iter().map(text).collect()
}
