//! The program `gsh`. Everything is in the crate `gsh-cli`.

fn main() -> std::process::ExitCode {
    gsh_cli::gsh()
}
