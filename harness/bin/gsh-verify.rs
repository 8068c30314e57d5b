//! The program `gsh-verify`. Everything is in the crate `gsh-cli`.

fn main() -> std::process::ExitCode {
    gsh_cli::gsh_verify()
}
