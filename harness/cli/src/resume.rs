//! `gsh run --resume DIR`: reads what a process that died has recorded, and says what its successor must be given.

use std::path::{Path, PathBuf};

use gsh_engine::ledger::{self, Ledger, ResumeError};
use gsh_model::input::{Input, InputKind};
use gsh_model::matrix::{self, Matrix};
use gsh_model::outcome::Evidence;
use gsh_model::plan::Plan;
use gsh_model::run::{RunHeader, RunState};

use crate::args;
use crate::error::CliError;
use crate::terminal::say;

/// What a run directory says about the run to go on with.
pub(crate) struct Recorded {
    pub(crate) directory: PathBuf,
    pub(crate) ledger: Ledger,
    pub(crate) state: RunState,
    pub(crate) header: RunHeader,
    pub(crate) plan: Plan,
}

/// Opens the ledger of a run for appending. A last line that was being written when the process died is cut away.
pub(crate) fn open(directory: &Path) -> Result<Recorded, CliError> {
    let shown = directory.display();
    let (ledger, events) = Ledger::resume(directory).map_err(|e| {
        let error = CliError::usage(format!("the run in `{shown}` cannot be resumed")).because(&e);
        match e {
            ResumeError::Busy => error.hint("wait for it, or stop it; a run has one process"),
            ResumeError::Unreadable(_) => {
                error.hint("give the directory that `gsh run` printed; it holds ledger.jsonl")
            }
        }
    })?;
    let path = directory.join(ledger::FILE_NAME);
    let state = RunState::replay(&events)
        .map_err(|e| CliError::usage(format!("`{}` is damaged", path.display())).because(&e))?;
    let (Some(header), Some(plan)) = (state.header.clone(), state.plan.clone()) else {
        return Err(CliError::usage(format!("the run in `{shown}` died before its plan was recorded"))
            .hint("nothing was created for it; start a new one"));
    };
    let directory = std::path::absolute(directory)
        .map_err(|e| CliError::usage(format!("cannot use the run directory `{shown}`")).because(&e))?;
    Ok(Recorded { directory, ledger, state, header, plan })
}

/// The limits of the matrix file, when it is still the one that the plan was made from.
pub(crate) fn patience(file: &Path, plan: &Plan) -> matrix::Patience {
    let read = std::fs::read_to_string(file).ok().and_then(|text| Matrix::parse(&text).ok());
    match read.filter(|m| m.sha256 == plan.matrix_sha256) {
        Some(matrix) => matrix.patience,
        None => {
            say(&format!(
                "note: `{}` is not the matrix that this run was planned from, so the usual time limits hold; name it with --matrix",
                file.display()
            ));
            matrix::Patience::default()
        }
    }
}

/// What is examined must be the same before and after: the provider, and what is installed.
pub(crate) fn same(header: &RunHeader, provider: &str, evidence: Evidence, inputs: &[Input]) -> Result<(), CliError> {
    if (header.provider.as_str(), header.evidence) != (provider, evidence) {
        return Err(CliError::usage(format!(
            "the run was begun with provider {}, evidence {}, not with provider {provider}, evidence {evidence}",
            header.provider, header.evidence
        ))
        .hint("give the same --provider, HCLOUD_TOKEN and HCLOUD_ENDPOINT as before"));
    }
    // The plan is in the ledger; the matrix file may be gone or have moved.
    let installed = |all: &[Input]| {
        let mut kept: Vec<String> = all
            .iter()
            .filter(|i| i.kind != InputKind::Matrix)
            .map(|i| format!("{:?} {} {:?}", i.kind, i.name, i.digest))
            .collect();
        kept.sort();
        kept
    };
    if installed(&header.inputs) != installed(inputs) {
        return Err(CliError::usage("the run was begun with another installer, template, commit or given store")
            .hint("give the same --installer, --repository, --community and --subject-commit as before, and the matrix file with the same stores"));
    }
    Ok(())
}

/// The provider that the run was begun with, unless one is named.
pub(crate) fn account(args: &args::Account, header: &RunHeader) -> args::Account {
    let begun = match header.provider.as_str() {
        "hetzner" => Some(args::ProviderName::Hetzner),
        "embedded" => Some(args::ProviderName::Embedded),
        _ => None,
    };
    args::Account { provider: args.provider.or(begun), ..args.clone() }
}
