//! The exit codes, one home for all commands.

/// What a process says by ending. The numbers are part of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Everything planned passed.
    Pass = 0,
    /// The product is at fault somewhere.
    Fail = 1,
    /// Wrong usage or configuration; nothing was done.
    Usage = 2,
    /// Cannot tell: environment, harness, stopped, or nothing was planned.
    Inconclusive = 3,
    /// Everything passed, but something was left behind in the account.
    Leftovers = 4,
    /// A bug in gsh.
    Bug = 70,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
