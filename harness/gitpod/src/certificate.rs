//! A certificate that somebody already has, for cells with `tls = byo`; and what is wrong with it, before anything is ordered.

use gsh_engine::secret::Secret;
use jiff::Timestamp;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A certificate that somebody already has.
#[derive(Debug, Clone)]
pub struct GivenCertificate {
    /// Domain; the certificate must cover it, `*.<domain>` and `*.ws.<domain>`.
    pub domain: String,
    /// Certificate chain, PEM.
    pub cert_pem: String,
    /// Key, PEM.
    pub key: Secret,
    /// PEM of the authority behind it; absent when it is publicly trusted.
    pub ca_pem: Option<String>,
}

/// Why a certificate is of no use to an installation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The chain is no PEM file of certificates.
    #[error("the chain holds no certificate in PEM form that can be read")]
    NoCertificate,
    /// The key is no PEM file of a private key, or of a kind that TLS here does not know.
    #[error("the key is no private key in PEM form that can be read")]
    NoKey,
    /// They do not belong together.
    #[error("the key is not that of the first certificate of the chain")]
    OtherKey,
    /// A name is missing.
    #[error("the certificate does not name `{missing}`; it names {named}")]
    Name {
        /// What an installation of the domain needs.
        missing: String,
        /// What there is.
        named: String,
    },
    /// It has ended, or has not begun.
    #[error("the certificate is valid from {from} to {to} (Unix seconds), and now it is {now}")]
    Time {
        /// The first second.
        from: i64,
        /// The last one.
        to: i64,
        /// The time it was looked at.
        now: i64,
    },
}

impl GivenCertificate {
    /// Looks whether an installation can use it: key, names and time. Who signed it is for its visitors to judge.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, now: Timestamp) -> Result<(), CertificateError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.cert_pem.as_bytes()).collect();
        let chain = chain.map_err(|_| CertificateError::NoCertificate)?;
        let first = chain.first().ok_or(CertificateError::NoCertificate)?.clone();
        let (_, leaf) = X509Certificate::from_der(&first).map_err(|_| CertificateError::NoCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.expose().as_bytes()).map_err(|_| CertificateError::NoKey)?;
        let key = any_supported_type(&key).map_err(|_| CertificateError::NoKey)?;
        CertifiedKey::new(chain, key).keys_match().map_err(|_| CertificateError::OtherKey)?;

        let (from, to) = (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp());
        if !(from..=to).contains(&now.as_second()) {
            return Err(CertificateError::Time { from, to, now: now.as_second() });
        }
        let names = names(&leaf);
        for missing in [self.domain.clone(), format!("*.{}", self.domain), format!("*.ws.{}", self.domain)] {
            if !names.iter().any(|name| name.eq_ignore_ascii_case(&missing)) {
                let named = if names.is_empty() { "no DNS name".to_owned() } else { names.join(", ") };
                return Err(CertificateError::Name { missing, named });
            }
        }
        Ok(())
    }
}

/// The DNS names of a certificate. Its common name counts no more with anybody.
fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let extension = leaf.subject_alternative_name().ok().flatten();
    let all = extension.map(|e| e.value.general_names.as_slice()).unwrap_or_default();
    let dns = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    };
    all.iter().filter_map(dns).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    const DOMAIN: &str = "gitpod.example.org";

    fn given(names: &[&str]) -> GivenCertificate {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let cert = CertificateParams::new(names).expect("names").self_signed(&key).expect("a certificate");
        GivenCertificate {
            domain: DOMAIN.to_owned(),
            cert_pem: cert.pem(),
            key: Secret::new("key", key.serialize_pem()),
            ca_pem: None,
        }
    }

    fn whole() -> GivenCertificate {
        given(&[DOMAIN, &format!("*.{DOMAIN}"), &format!("*.ws.{DOMAIN}")])
    }

    #[test]
    fn what_an_installation_can_use_is_taken() {
        assert_eq!(whole().check(Timestamp::now()), Ok(()));
    }

    #[test]
    fn each_name_is_needed() {
        let names = [DOMAIN.to_owned(), format!("*.{DOMAIN}"), format!("*.ws.{DOMAIN}")];
        for missing in &names {
            let left: Vec<&str> = names.iter().filter(|name| *name != missing).map(String::as_str).collect();
            let error = given(&left).check(Timestamp::now()).expect_err("a name is missing");
            assert_eq!(error, CertificateError::Name { missing: missing.clone(), named: left.join(", ") });
        }
    }

    #[test]
    fn keys_of_others_and_files_of_other_things_are_told_apart() {
        let now = Timestamp::now();
        let key = whole().key;
        assert_eq!(GivenCertificate { key, ..whole() }.check(now), Err(CertificateError::OtherKey));
        let key = Secret::new("key", "not PEM");
        assert_eq!(GivenCertificate { key, ..whole() }.check(now), Err(CertificateError::NoKey));
        let cert_pem = "not PEM".to_owned();
        assert_eq!(GivenCertificate { cert_pem, ..whole() }.check(now), Err(CertificateError::NoCertificate));
    }

    #[test]
    fn one_whose_time_is_over_is_of_no_use() {
        let late: Timestamp = "9990-01-01T00:00:00Z".parse().expect("a time");
        assert!(matches!(whole().check(late), Err(CertificateError::Time { .. })));
        assert!(matches!(whole().check(Timestamp::UNIX_EPOCH), Err(CertificateError::Time { .. })));
    }
}
