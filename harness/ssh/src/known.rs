//! Host keys that somebody knows already: a known_hosts file.

use std::path::Path;

use crate::error::SshError;
use crate::key::HostKey;

/// The keys that a known_hosts file has for a host, plain or hashed. Marked lines (`@revoked`, `@cert-authority`) and
/// patterns are not taken for keys. A file that is not there knows nobody.
///
/// # Errors
/// [`SshError::BadKey`] when the key of that host cannot be read.
pub fn known_host_keys(file: &Path, host: &str, port: u16) -> Result<Vec<HostKey>, SshError> {
    let known = russh::keys::known_hosts::known_host_keys_path(host, port, file);
    let keys = known.map_err(|e| SshError::BadKey { what: "host key", reason: e.to_string() })?;
    Ok(keys.iter().map(|(_, key)| HostKey::of(key)).collect())
}
