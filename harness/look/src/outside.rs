//! The site as its users meet it: names, certificate, answers, SSH. Sends what any visitor sends.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use gsh_engine::failure::chain;
use gsh_gitpod::http::{Front, FrontError};
use gsh_model::outcome::Blame;
use gsh_ssh::{HostKey, SshError, banner, host_key};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::checks::{Seen, Severity, Verdict};
use crate::record::Record;

/// One look at a port.
const LOOK: Duration = Duration::from_secs(10);
/// A certificate that ends sooner than this should be renewed already.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
/// How Gitpod's gateway introduces itself.
const GATEWAY: &str = "SSH-2.0-GITPOD-GATEWAY";

/// What is looked at from outside.
#[derive(Clone)]
pub struct Outside {
    /// Domain of the site.
    pub domain: String,
    /// Where it answers HTTPS; nothing when that could not be found out, and why.
    pub address: Result<IpAddr, String>,
    /// How ports are reached there.
    pub reach: gsh_engine::reach::Reach,
    /// PEM of the authority behind its certificate; `Ok(None)` for the public ones, `Err` when it could not be read.
    pub authority: Result<Option<String>, String>,
    /// Release that the installer recorded.
    pub version: Option<String>,
    /// Whether the SSH gateway is on; nothing when that is not recorded.
    pub gateway: Option<bool>,
    /// Public host key that the gateway must show, where it is known.
    pub host_key: Option<String>,
    /// Whether the registry is in the cluster.
    pub registry: bool,
    /// What time it is.
    pub now: Timestamp,
}

impl Outside {
    /// Of what the installer wrote down and what the caller knows.
    #[must_use]
    pub fn of(record: &Record, caller: Caller, now: Timestamp) -> Self {
        let Caller { domain, ingress, reach, ca_pem, host_key } = caller;
        let known = !ingress.is_unspecified() && !domain.is_empty();
        let private = record.field("/customCACert").is_some();
        Self {
            address: known
                .then_some(ingress)
                .ok_or_else(|| "nobody knows where the site answers: its domain cannot be resolved here".to_owned()),
            domain,
            reach,
            authority: match ca_pem {
                None if private => Err("the certificate of the private authority could not be read".to_owned()),
                pem => Ok(pem),
            },
            version: record.version.clone(),
            gateway: record.config.as_ref().map(|_| record.gateway()),
            host_key,
            registry: record.config.is_some() && record.in_cluster("containerRegistry"),
            now,
        }
    }
}

/// What whoever looks knows beside the record.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Domain of the site.
    pub domain: String,
    /// Where it answers; unspecified when nobody knows.
    pub ingress: IpAddr,
    /// How ports are reached there.
    pub reach: gsh_engine::reach::Reach,
    /// PEM of the authority behind its certificate.
    pub ca_pem: Option<String>,
    /// Public host key that the gateway must show.
    pub host_key: Option<String>,
}

/// Every observation from outside, in the order of a report.
pub async fn look(site: &Outside) -> Vec<Seen> {
    let seen = |code, title, severity, verdict| Seen { code, title, severity, verdict };
    let (address, front) = match front(site) {
        Ok(both) => both,
        Err(why) => {
            let unknown = || Verdict::Unknown(why.clone());
            return TITLES.iter().map(|(code, title, severity)| seen(code, title, *severity, unknown())).collect();
        }
    };
    let ((names, soon), version, dashboard, ((banner, key), registry, metrics)) = futures::future::join4(
        certificate(site, &front),
        version(site, &front),
        dashboard(&front),
        futures::future::join3(ssh(site, address), registry(site, &front), metrics(site, address)),
    )
    .await;
    let verdicts = [names, soon, version, dashboard, banner, key, registry, metrics];
    let rows = TITLES.iter().zip(verdicts);
    rows.map(|((code, title, severity), verdict)| seen(code, title, *severity, verdict)).collect()
}

/// Code, title and severity of each, in the order in which [`look`] gives them.
pub const TITLES: [(&str, &str, Severity); 8] = [
    ("GSH-LOOK-801", "HTTPS: chain and names of the site's certificate are good", Severity::Fail),
    ("GSH-LOOK-802", "the site's certificate is renewed in time", Severity::Warn),
    ("GSH-LOOK-803", "the site answers as the release that was installed", Severity::Fail),
    ("GSH-LOOK-804", "the site shows its dashboard", Severity::Fail),
    ("GSH-LOOK-805", "port 22 belongs to whom the record says", Severity::Fail),
    ("GSH-LOOK-806", "the SSH gateway shows its host key", Severity::Fail),
    ("GSH-LOOK-807", "the registry of the site asks who is there", Severity::Fail),
    ("GSH-LOOK-808", "the port of metrics is closed to the outside", Severity::Warn),
];

fn front(site: &Outside) -> Result<(IpAddr, Front), String> {
    let address = site.address.clone()?;
    let authority = site.authority.clone()?;
    let front =
        Front::at(site.reach.at(address, 443), &site.domain, authority.as_deref()).map_err(|f| f.to_string())?;
    Ok((address, front))
}

/// What no answer amounts to: a network in between tells nothing about the site.
fn no_answer(error: &FrontError, expected: String) -> Verdict {
    let observed = chain(error);
    match error.blame() {
        Blame::Environment | Blame::Harness => Verdict::Unknown(observed),
        Blame::Product => Verdict::Bad { expected, observed },
    }
}

/// The three names of the certificate, and how long it lasts.
async fn certificate(site: &Outside, front: &Front) -> (Verdict, Verdict) {
    let domain = &site.domain;
    let names = [domain.clone(), format!("ide.{domain}"), format!("gsh-verify.ws.{domain}")];
    let mut ends = None;
    for name in &names {
        match front.certificate(name).await {
            Ok(der) => ends = ends.or(not_after(&der)),
            Err(e) => {
                let verdict = no_answer(&e, format!("a certificate for `{name}` that can be trusted"));
                return (verdict, Verdict::NotHere("there is no trusted certificate".to_owned()));
            }
        }
    }
    (Verdict::Good, lasts(ends, site.now))
}

fn lasts(ends: Option<Timestamp>, now: Timestamp) -> Verdict {
    match ends {
        None => Verdict::Unknown("the certificate does not say when it ends".to_owned()),
        Some(end) if end - SOON > now => Verdict::Good,
        Some(end) => Verdict::Bad {
            expected: "two weeks and more until the certificate ends".to_owned(),
            observed: format!("it ends at {end}"),
        },
    }
}

fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

async fn version(site: &Outside, front: &Front) -> Verdict {
    let Some(version) = &site.version else {
        return Verdict::NotHere("the record names no release".to_owned());
    };
    let expected = format!("https://{}/api/version says `{version}`", site.domain);
    match front.get("/api/version").await {
        Ok(reply) if reply.status == 200 && reply.text().trim() == version => Verdict::Good,
        Ok(reply) if reply.is_sorry() => Verdict::Bad { expected, observed: "a redirect to /sorry".to_owned() },
        Ok(reply) => {
            let text: String = reply.text().trim().chars().take(80).collect();
            Verdict::Bad { expected, observed: format!("{} `{text}`", reply.status) }
        }
        Err(e) => no_answer(&e, expected),
    }
}

async fn dashboard(front: &Front) -> Verdict {
    let expected = format!("https://{}/ shows the dashboard", front.domain());
    match front.get("/").await {
        Ok(reply) if reply.is_sorry() => Verdict::Bad { expected, observed: "a redirect to /sorry".to_owned() },
        Ok(reply) if reply.status == 200 => Verdict::Good,
        Ok(reply) => Verdict::Bad { expected, observed: reply.status.to_string() },
        Err(e) => no_answer(&e, expected),
    }
}

/// Who answers on port 22, and with which key.
async fn ssh(site: &Outside, address: IpAddr) -> (Verdict, Verdict) {
    let Some(on) = site.gateway else {
        let why = || Verdict::NotHere("the record does not say whether the SSH gateway is on".to_owned());
        return (why(), why());
    };
    let at: SocketAddr = site.reach.at(address, 22);
    let seen = banner(at, Instant::now() + LOOK).await;
    let bad = |expected: &str, observed: String| Verdict::Bad { expected: expected.to_owned(), observed };
    let wanted = "Gitpod's gateway answers on port 22";
    let who = match (on, seen) {
        (true, Ok(ident)) if ident.starts_with(GATEWAY) => Verdict::Good,
        (false, Ok(ident)) if ident.starts_with(GATEWAY) => bad("no gateway on port 22", format!("{ident} answers")),
        (true, Ok(ident)) => bad(wanted, format!("{ident} answers")),
        // Without a gateway the port is whose it likes to be.
        (false, _) => Verdict::Good,
        (true, Err(e @ (SshError::Unreachable { .. } | SshError::TimedOut { during: "connecting", .. }))) => {
            Verdict::Unknown(e.to_string())
        }
        (true, Err(e)) => bad(wanted, e.to_string()),
    };
    if !on || who != Verdict::Good {
        return (who, Verdict::NotHere("no gateway answers on port 22".to_owned()));
    }
    let shown = match host_key(at, Instant::now() + LOOK).await {
        Ok(shown) => shown,
        Err(e) => return (who, bad("the gateway shows a host key", e.to_string())),
    };
    let key = match site.host_key.as_deref().map(str::parse::<HostKey>) {
        Some(Ok(known)) if known == shown => Verdict::Good,
        Some(Ok(known)) => {
            bad(&format!("the host key {}", known.fingerprint()), format!("it shows {}", shown.fingerprint()))
        }
        Some(Err(e)) => Verdict::Unknown(format!("the host key to compare with cannot be read: {e}")),
        None => Verdict::NotHere(format!("it shows {}; nobody said which one it should be", shown.fingerprint())),
    };
    (who, key)
}

/// The registry's vhost asks for a login: proxy, certificate and registry work together.
async fn registry(site: &Outside, front: &Front) -> Verdict {
    if !site.registry {
        return Verdict::NotHere("the registry is outside of the cluster".to_owned());
    }
    let host = format!("registry.{}", site.domain);
    let expected = format!("https://{host}/v2/ asks for a login");
    match front.get_from(&host, "/v2/", &[]).await {
        Ok(reply) if reply.status == 401 => Verdict::Good,
        Ok(reply) => Verdict::Bad { expected, observed: reply.status.to_string() },
        Err(e) => no_answer(&e, expected),
    }
}

/// Metrics are for the cluster; servicelb opens their port on every node all the same.
async fn metrics(site: &Outside, address: IpAddr) -> Verdict {
    let (at, front) = (site.reach.at(address, 9500), site.reach.at(address, 443));
    let (metrics, site) = tokio::join!(knock(at), knock(front));
    closed(at, &metrics, front, &site)
}

/// A host that says no shows that its port is closed. Silence shows it only where the same host answers on the port of
/// the site: otherwise nothing of it was seen.
fn closed(at: SocketAddr, metrics: &std::io::Result<()>, front: SocketAddr, site: &std::io::Result<()>) -> Verdict {
    match metrics {
        Ok(()) => {
            Verdict::Bad { expected: "port 9500 does not answer here".to_owned(), observed: format!("{at} answers") }
        }
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => Verdict::Good,
        Err(_) if site.is_ok() => Verdict::Good,
        Err(e) => Verdict::Unknown(format!("neither {at} nor {front} can be reached from here: {e}")),
    }
}

/// Whether anybody answers there.
async fn knock(at: SocketAddr) -> std::io::Result<()> {
    let connecting = tokio::net::TcpStream::connect(at);
    let connected = tokio::time::timeout(LOOK, connecting).await;
    connected.unwrap_or_else(|_late| Err(ErrorKind::TimedOut.into())).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_lasts_two_weeks_more_or_should_be_renewed() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(lasts(Some(now + SignedDuration::from_hours(15 * 24)), now), Verdict::Good);
        let soon = lasts(Some(now + SignedDuration::from_hours(13 * 24)), now);
        assert!(matches!(soon, Verdict::Bad { .. }), "{soon:?}");
        assert!(matches!(lasts(None, now), Verdict::Unknown(_)));
    }

    #[test]
    fn a_port_is_closed_only_where_its_host_was_seen() {
        let (at, front) = (SocketAddr::from(([192, 0, 2, 7], 9500)), SocketAddr::from(([192, 0, 2, 7], 443)));
        let answer = |kind: Option<ErrorKind>| kind.map_or(Ok(()), |kind| Err(kind.into()));
        let judged = |metrics, site| closed(at, &answer(metrics), front, &answer(site));
        let (silent, unreachable) = (Some(ErrorKind::TimedOut), Some(ErrorKind::NetworkUnreachable));
        assert!(matches!(judged(None, None), Verdict::Bad { .. }));
        assert!(matches!(judged(None, silent), Verdict::Bad { .. }), "whatever the site does");
        assert_eq!(judged(Some(ErrorKind::ConnectionRefused), silent), Verdict::Good);
        assert_eq!(judged(silent, None), Verdict::Good, "a firewall that says nothing");
        for nobody in [silent, unreachable] {
            let Verdict::Unknown(why) = judged(nobody, nobody) else { panic!("nothing was seen") };
            assert!(why.starts_with("neither 192.0.2.7:9500 nor 192.0.2.7:443 can be reached from here: "), "{why}");
        }
    }
}
