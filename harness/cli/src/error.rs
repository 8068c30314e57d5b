//! Errors as people see them: `error:`, `caused by:`, `hint:`. A hint says what to do next.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use gsh_model::exit::Exit;

/// An error that ends a command.
#[derive(Debug)]
pub(crate) struct CliError {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    exit: Exit,
}

impl CliError {
    /// Wrong usage or configuration: nothing was done.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), hint: None, exit: Exit::Usage }
    }

    /// The environment did not let us.
    pub(crate) fn inconclusive(message: impl Into<String>) -> Self {
        Self { exit: Exit::Inconclusive, ..Self::usage(message) }
    }

    /// A bug in gsh.
    pub(crate) fn bug(message: impl Into<String>) -> Self {
        Self { exit: Exit::Bug, ..Self::usage(message) }
    }

    /// A file that was named and cannot be read.
    pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::usage(format!("cannot read `{}`", path.display())).because(error)
    }

    /// With the chain of an error.
    pub(crate) fn because(mut self, error: &dyn Error) -> Self {
        self.causes.push(error.to_string());
        let mut next = error.source();
        while let Some(e) = next {
            self.causes.push(e.to_string());
            next = e.source();
        }
        self
    }

    /// With what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Prints it and gives the exit code.
    pub(crate) fn report(&self) -> Exit {
        let mut err = std::io::stderr().lock();
        // When even stderr is gone there is nobody left to tell.
        let _nobody = writeln!(err, "error: {}", plain(&self.message));
        for cause in &self.causes {
            let _nobody = writeln!(err, "caused by: {}", plain(cause));
        }
        if let Some(hint) = &self.hint {
            let _nobody = writeln!(err, "hint: {}", plain(hint));
        }
        self.exit
    }
}

/// A text that may come from elsewhere: nothing in it moves a cursor or changes colours.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || ['\n', '\t'].contains(c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_leaves_the_terminal_as_it_is() {
        assert_eq!(plain("no `\u{1b}[2J\u{9b}31mred\u{7}`\r\n\tline 2"), "no `[2J31mred`\n\tline 2");
    }
}
