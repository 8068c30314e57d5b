//! The environment: the only place where it is read. Secrets become [`Secret`] at once.

use gsh_engine::secret::Secret;

/// The endpoint of the real Hetzner Cloud.
pub(crate) const HETZNER: &str = "https://api.hetzner.cloud/v1";

/// `HCLOUD_TOKEN`: the API token of the Hetzner project, read-write. The line break that a file or a secret store put behind
/// it is no part of it.
pub(crate) fn hcloud_token() -> Option<Secret> {
    text("HCLOUD_TOKEN").map(|value| Secret::new("HCLOUD_TOKEN", value.trim()))
}

/// `HCLOUD_ENDPOINT`: another base URL of the Hetzner API, with `/v1`. Evidence from there is not `cloud`.
pub(crate) fn hcloud_endpoint() -> String {
    text("HCLOUD_ENDPOINT").map_or_else(|| HETZNER.to_owned(), |value| value.trim().to_owned())
}

/// `GITHUB_REPOSITORY`, `CI_PROJECT_PATH` of GitLab, `USER`: the first that is set says whose the machines are, where
/// `--owner` does not.
pub(crate) fn owner() -> String {
    ["GITHUB_REPOSITORY", "CI_PROJECT_PATH", "USER"].into_iter().find_map(text).unwrap_or_default()
}

/// `PATH`: whether a program of this name is in one of its folders.
pub(crate) fn on_path(program: &str) -> bool {
    text("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// `NO_COLOR`: set to anything, no colour is used where `--color` is `auto`.
pub(crate) fn no_color() -> bool {
    text("NO_COLOR").is_some()
}

/// `SSH_AUTH_SOCK`: where the user's SSH agent listens.
pub(crate) fn ssh_auth_sock() -> Option<std::path::PathBuf> {
    text("SSH_AUTH_SOCK").map(Into::into)
}

/// `GSH_SSH_PASSPHRASE`: the passphrase of the key of `--ssh-key`, where nobody can be asked for it.
pub(crate) fn ssh_passphrase() -> Option<Secret> {
    text("GSH_SSH_PASSPHRASE").map(|value| Secret::new("GSH_SSH_PASSPHRASE", value))
}

/// `GITHUB_OUTPUT`: the file that takes the outputs of a GitHub Actions step.
pub(crate) fn github_output() -> Option<std::path::PathBuf> {
    text("GITHUB_OUTPUT").map(Into::into)
}

/// A variable that a matrix file names for a secret of a store, `secret-key-from = "GSH_S3_SECRET_KEY"`.
pub(crate) fn named(name: &str) -> Option<Secret> {
    text(name).map(|value| Secret::new(name, value))
}

#[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}
