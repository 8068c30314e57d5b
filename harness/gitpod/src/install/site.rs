//! Domain and certificate of a site, decided before the first machine is ordered.

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::Site;
use gsh_model::axis::Tls;
use gsh_model::lease::LeaseId;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::settings::Settings;

/// The site of a lease.
pub(crate) fn decide(cx: &Cx, settings: &Settings, lease: &LeaseId, tls: Tls) -> Result<Site, Failure> {
    match tls {
        Tls::PrivateCa => {
            // `internal` is set aside for private networks: no such name will ever be in public DNS.
            let domain = format!("{lease}.gsh.internal");
            let made = make(&domain).map_err(|e| {
                Failure::harness("GSH-INS-050", "a certificate for the site is made", "it was not").because(&e)
            })?;
            Ok(Site {
                node_registry: format!("reg.{domain}:20000"),
                ca_pem: Some(made.ca),
                cert_pem: made.cert,
                key: cx.secret("site certificate key", made.key),
                domain,
            })
        }
        Tls::Byo => {
            let given = settings.certificate.as_ref().ok_or_else(|| {
                Failure::harness(
                    "GSH-INS-051",
                    "a certificate and its domain are given, because the cell says `tls = byo`",
                    "none was given",
                )
            })?;
            cx.scrubber().learn(&given.key);
            Ok(Site {
                domain: given.domain.clone(),
                node_registry: format!("reg.{}:20000", given.domain),
                ca_pem: given.ca_pem.clone(),
                cert_pem: given.cert_pem.clone(),
                key: given.key.clone(),
            })
        }
    }
}

struct Made {
    ca: String,
    cert: String,
    key: String,
}

/// A private authority and a leaf for the three names that an installation needs. The authority's key is dropped: it
/// signs nothing else. P-256 because that is what every TLS stack from containerd to a JVM accepts.
fn make(domain: &str) -> Result<Made, rcgen::Error> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, format!("gsh private CA for {domain}"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let names = vec![domain.to_owned(), format!("*.{domain}"), format!("*.ws.{domain}")];
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name = rcgen::DistinguishedName::new();
    // At most 64 characters fit into a common name; clients read the alternative names anyway.
    leaf.distinguished_name.push(DnType::CommonName, domain.chars().take(64).collect::<String>());
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let leaf = leaf.signed_by(&key, &authority)?;
    Ok(Made { ca: authority.pem(), cert: leaf.pem() + &authority.pem(), key: key.serialize_pem() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gsh_engine::stop::Stop;
    use gsh_model::outcome::Blame;

    use super::*;

    #[test]
    fn a_byo_cell_without_a_certificate_is_refused_before_anything_is_ordered() {
        let cx = Cx::unrecorded(Stop::new(), Duration::from_secs(1));
        let lease = "g1-c1-a1".parse().expect("a lease id");
        let failure = decide(&cx, &Settings::default(), &lease, Tls::Byo).expect_err("nothing was given");
        assert_eq!(failure.blame, Blame::Harness);
        assert!(failure.to_string().contains("tls = byo"), "{failure}");
    }

    #[test]
    fn the_private_key_of_a_site_is_scrubbed_from_any_text() {
        let cx = Cx::unrecorded(Stop::new(), Duration::from_secs(1));
        let lease = "g1-c1-a1".parse().expect("a lease id");
        let site = decide(&cx, &Settings::default(), &lease, Tls::PrivateCa).expect("a site");
        assert_eq!(site.domain, "g1-c1-a1.gsh.internal");
        assert_eq!(site.node_registry, "reg.g1-c1-a1.gsh.internal:20000");
        let line = site.key.expose().lines().nth(1).expect("a body").to_owned();
        assert!(!cx.scrubber().scrub(&format!("leaked {line}")).contains(&line));
    }
}
