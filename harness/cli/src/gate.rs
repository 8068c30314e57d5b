//! `gsh gate`: may this be shipped? Reads files, asks the pure gate, writes its answer as a whole or not at all.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use gsh_engine::ledger;
use gsh_engine::secret::Secret;
use gsh_model::axis::Cell;
use gsh_model::exit::Exit;
use gsh_model::history::Forecast;
use gsh_model::input::Input;
use gsh_model::lease::RunId;
use gsh_model::merge::merge;
use gsh_model::outcome::Evidence;
use gsh_model::run::RunState;
use gsh_model::scenario::ScenarioSpec;
use gsh_verdict::FileError;
use gsh_verdict::dsse;
use gsh_verdict::gate::{Case, Cost, Expected, Ledger, Seal, judge};
use gsh_verdict::index::Index;
use gsh_verdict::key::{Private, Public};
use gsh_verdict::past::Past;
use gsh_verdict::policy::Policy;
use gsh_verdict::statement::{self, NothingToState, Statement};
use gsh_verdict::support::Support;
use gsh_verdict::verdict::{Source, Verdict};
use gsh_verdict::waiver::Waivers;
use jiff::Timestamp;

use crate::args::{self, GateFormat};
use crate::error::CliError;
use crate::inputs;
use crate::read;
use crate::seal;
use crate::terminal::say;
use crate::whole::write_whole;

/// Names of the files in `--output`.
const GATE: &str = "gate.json";
const TEST_RESULT: &str = "test-result.dsse.json";
const SUMMARY: &str = "verification.dsse.json";

/// Judges, verifies, or makes a key.
pub(crate) fn gate(args: &args::Gate) -> Result<Exit, CliError> {
    match (&args.new_key, &args.verify) {
        (Some(path), _) => new_key(path),
        (None, Some(file)) => verify(args, file),
        (None, None) => decide(args),
    }
}

fn decide(args: &args::Gate) -> Result<Exit, CliError> {
    let key = args.attest.as_deref().map(private_key).transpose()?;
    judged(&args.policy, &args.grounds, &args.runs, |case, verdict| {
        if let Some(directory) = &args.output {
            // Everything is made before anything is written.
            let support = Support::of(case, verdict);
            let mut files = vec![
                ("support.md", support.markdown()),
                ("support.json", support.json()),
                ("badge.svg", support.badge()),
            ];
            if let Some(key) = &key {
                files.extend(signed(case, verdict, key)?);
            }
            // Last, so that whoever sees it sees all of it.
            files.push((GATE, verdict.json()));
            write(directory, &files)?;
        }
        let text = match args.format {
            GateFormat::Text => verdict.text(),
            GateFormat::Json => verdict.json(),
        };
        out(&text)?;
        Ok(verdict.verdict.exit())
    })
}

/// Reads everything that a verdict is made from, judges, and hands over both.
pub(crate) fn judged<T>(
    policy: &Path,
    grounds: &args::Grounds,
    runs: &[PathBuf],
    then: impl FnOnce(&Case<'_>, &Verdict) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let (policy_text, policy_source) = sourced(policy, "policy")?;
    let policy = Policy::parse(&policy_text).map_err(|e| placed(policy, &e))?;
    let (waivers, waiver_source) = match &grounds.waivers {
        Some(path) => {
            let (text, source) = sourced(path, "waiver file")?;
            (Waivers::parse(&text).map_err(|e| placed(path, &e))?, Some(source))
        }
        None => (Waivers::default(), None),
    };
    let matrix = read::matrix(&grounds.matrix)?;
    let mut ledgers = Vec::new();
    let mut states = Vec::new();
    for run in runs {
        let (ledger, state) = load(run)?;
        ledgers.push(ledger);
        states.push(state);
    }
    let state = merge(states).map_err(|e| {
        CliError::usage("these runs cannot be judged together")
            .because(&e)
            .hint("give the runs of one plan: all of its shards, and nothing else")
    })?;
    let history = grounds.history.as_deref().map(read::history).transpose()?.unwrap_or_default();
    let past: Vec<Past> = history.runs().iter().map(Past::of_summary).collect();
    let index = grounds.index.as_deref().map(index).transpose()?;
    let suite: Vec<ScenarioSpec> = gsh_scenarios::CATALOGUE.iter().map(|s| (s.spec)()).collect();
    let template = grounds.community.as_deref().map(inputs::template).transpose()?;
    let prices = grounds.prices.as_deref().map(read::prices).transpose()?;
    let forecast = Forecast::of(&history);
    let cost = |cell: &Cell| {
        let (seconds, amount) = forecast.cell(cell, &matrix.stores, suite.len(), prices.as_ref());
        Cost { cents: amount.map(|a| a.gross.cents()), minutes: Some(seconds.div_ceil(60)) }
    };
    let case = Case {
        policy: &policy,
        policy_source,
        waivers: &waivers,
        waiver_source,
        state: &state,
        ledgers: &ledgers,
        past: &past,
        index: index.as_ref(),
        matrix: Some(&matrix),
        suite: &suite,
        expected: Expected { commit: grounds.subject_commit.clone(), template: template.and_then(|t| t.digest) },
        cost: &cost,
        now: grounds.now.unwrap_or_else(Timestamp::now),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    then(&case, &judge(&case))
}

/// The statements of a verdict, signed.
fn signed(case: &Case<'_>, verdict: &Verdict, key: &Private) -> Result<Vec<(&'static str, String)>, CliError> {
    let refused = |e: NothingToState| CliError::inconclusive("nothing can be attested").because(&e);
    let results = match statement::test_result(case, verdict) {
        Ok(text) => text,
        Err(e @ NothingToState::Inconclusive) => {
            say(&format!("nothing is attested: {e}"));
            return Ok(Vec::new());
        }
        Err(e @ NothingToState::NoSubject) => return Err(refused(e)),
    };
    let mut files = vec![(TEST_RESULT, dsse::sign(&results, key).json())];
    if let Some(summary) = statement::summary(verdict).map_err(refused)? {
        files.push((SUMMARY, dsse::sign(&summary, key).json()));
    }
    Ok(files)
}

/// Writes the files. A statement of an earlier verdict must not outlive it.
fn write(directory: &Path, files: &[(&str, String)]) -> Result<(), CliError> {
    let refused =
        |path: &Path, e: &std::io::Error| CliError::usage(format!("cannot write `{}`", path.display())).because(e);
    std::fs::create_dir_all(directory).map_err(|e| refused(directory, &e))?;
    for stale in [GATE, TEST_RESULT, SUMMARY] {
        let path = directory.join(stale);
        if let Err(e) = std::fs::remove_file(&path)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            return Err(refused(&path, &e));
        }
    }
    for (name, text) in files {
        let path = directory.join(name);
        write_whole(&path, text.as_bytes()).map_err(|e| refused(&path, &e))?;
    }
    Ok(())
}

fn out(text: &str) -> Result<(), CliError> {
    crate::terminal::print(text, "the verdict")
}

fn sourced(path: &Path, what: &str) -> Result<(String, Source), CliError> {
    let refused = || CliError::usage(format!("cannot read the {what} `{}`", path.display()));
    let bytes = std::fs::read(path).map_err(|e| refused().because(&e))?;
    let source = Source { name: path.display().to_string(), sha256: seal::sha256(&bytes) };
    let text = String::from_utf8(bytes).map_err(|e| refused().because(&e))?;
    Ok((text, source))
}

fn placed(path: &Path, error: &FileError) -> CliError {
    CliError::usage(format!("{}:{}:{}: {}", path.display(), error.line, error.column, error.message))
        .hint("`gsh schema policy` and `gsh schema waivers` say what may stand there; docs/gate.md says what it means")
}

/// Reads a ledger and says whether it is sealed. One that is sealed and does not match is damaged.
fn load(directory: &Path) -> Result<(Ledger, RunState), CliError> {
    let path = directory.join(ledger::FILE_NAME);
    let state = read::run(directory)?;
    let (sha256, sealed) = seal::sealed(directory)?;
    let seal = if sealed { Seal::Whole } else { Seal::Absent };
    let run = state.header.as_ref().map(|h| h.run.clone());
    Ok((Ledger { source: Source { name: path.display().to_string(), sha256 }, run, seal }, state))
}

/// The JSON files of a folder, sorted by name.
fn files(folder: &Path, what: &str) -> Result<Vec<(PathBuf, Vec<u8>)>, CliError> {
    let refused =
        |e: &std::io::Error| CliError::usage(format!("cannot read the {what} `{}`", folder.display())).because(e);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| refused(&e))? {
        let path = entry.map_err(|e| refused(&e))?.path();
        if path.extension().is_some_and(|e| e == "json") {
            let bytes = std::fs::read(&path).map_err(|e| refused(&e))?;
            files.push((path, bytes));
        }
    }
    files.sort();
    Ok(files)
}

/// The index of started runs.
fn index(folder: &Path) -> Result<Index, CliError> {
    let files = files(folder, "index of started runs")?;
    let named: Vec<(String, &[u8])> = files.iter().map(|(p, b)| (p.display().to_string(), b.as_slice())).collect();
    Index::read(named.iter().map(|(name, bytes)| (name.as_str(), *bytes))).map_err(|e| {
        CliError::usage(format!("the index of started runs `{}` is damaged", folder.display())).because(&e)
    })
}

/// Enters a run into the index, before it creates anything.
pub(crate) fn enter(folder: &Path, run: &RunId, evidence: Evidence, made_from: &[Input]) -> Result<(), CliError> {
    std::fs::create_dir_all(folder)
        .map_err(|e| CliError::usage(format!("cannot make the index `{}`", folder.display())).because(&e))?;
    let (name, bytes) = index(folder)?.next(run, Timestamp::now(), evidence, made_from);
    write_whole(&folder.join(name), &bytes)
        .map_err(|e| CliError::usage(format!("cannot enter the run into `{}`", folder.display())).because(&e))
}

fn private_key(path: &Path) -> Result<Private, CliError> {
    let refused = || CliError::usage(format!("cannot sign with `{}`", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| refused().because(&e))?;
    let text = Secret::new("signing key", text);
    Private::parse(text.expose()).map_err(|e| {
        refused().because(&e).hint("make one with `gsh gate --new-key FILE`, or `openssl genpkey -algorithm ed25519`")
    })
}

/// Makes a pair of keys: FILE and FILE.pub. Neither is ever written over.
fn new_key(path: &Path) -> Result<Exit, CliError> {
    let key = Private::of_seed(&rand::random());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".pub");
    let public = path.with_file_name(name);
    for (file, text) in [(path, key.pem()), (public.as_path(), key.public().pem())] {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, if file == path { 0o600 } else { 0o644 });
        options
            .open(file)
            .and_then(|mut f| f.write_all(text.as_bytes()))
            .map_err(|e| CliError::usage(format!("cannot make the key `{}`", file.display())).because(&e))?;
    }
    out(&format!("{}\n", public.display()))?;
    Ok(Exit::Pass)
}

/// Verifies a signed statement and prints it: first the signature, and then nothing but the bytes that it covers.
fn verify(args: &args::Gate, file: &Path) -> Result<Exit, CliError> {
    let Some(key) = &args.key else {
        return Err(CliError::usage("--verify needs the public key of whom you trust: --key FILE"));
    };
    let refused = || CliError::usage(format!("`{}` proves nothing", file.display()));
    let bytes = std::fs::read(file).map_err(|e| refused().because(&e))?;
    let pem = std::fs::read_to_string(key)
        .map_err(|e| CliError::usage(format!("cannot read the key `{}`", key.display())).because(&e))?;
    let public = Public::parse(&pem)
        .map_err(|e| CliError::usage(format!("cannot verify with `{}`", key.display())).because(&e))?;
    let verified = dsse::open(&bytes, &public).map_err(|e| refused().because(&e))?;
    let statement = Statement::parse(&verified)
        .map_err(|e| refused().hint(format!("its signature is good, but what it signs is no statement: {e}")))?;
    if let Some(commit) = &args.grounds.subject_commit {
        let about = |s: &statement::Descriptor| s.digest.get(commit.algorithm()).is_some_and(|d| d == commit.hex());
        if !statement.subject.iter().any(about) {
            return Err(refused().hint(format!("its signature is good, but it is not about {commit}")));
        }
    }
    out(&format!("{}\n", String::from_utf8_lossy(&verified)))?;
    Ok(if statement.says_yes() { Exit::Pass } else { Exit::Fail })
}
