//! A page walked from top to bottom: each of its commands in one folder and one environment, on the embedded world. What a page
//! presupposes, what its placeholders stand for and what cannot be run here stands in `pages.toml`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::markdown;
use crate::account::Account;
use crate::emulate::Emulation;
use crate::outside::present;
use crate::pipeline::{copy, git};
use crate::program::{Program, root};

/// For a program that is left running to say that it is there, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a page's commands meet here.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Page {
    /// An emulated account lives on for as long as the page takes; `HCLOUD_TOKEN=…` is its token.
    account: bool,
    /// A cluster with Gitpod on it is there; what `gsh emulate --installed` prints about it is in the environment.
    installed: bool,
    /// `ci/matrix.toml`, instead of one cell.
    matrix: Option<String>,
    /// What stands in commands, and what it stands for here.
    places: BTreeMap<String, String>,
    /// What the page presupposes: commands run before its own.
    before: String,
    /// Commands that are not simply run as they stand and end with 0.
    command: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Row {
    /// The command as the page has it, or the name of its block.
    is: String,
    /// What is run instead.
    r#as: Option<String>,
    /// The exit code that the page promises.
    #[serde(default)]
    exit: i32,
    /// A program without which it is not run.
    needs: Option<String>,
    /// It is left running, and is there as soon as this succeeds.
    until: Option<String>,
    /// It is not run here at all.
    #[serde(default)]
    not_run: bool,
    because: String,
}

const ONE_CELL: &str = "[axes]\nsize = [\"single\"]\nshift = [\"fuse\"]\nssh-gateway = [\"on\"]\n";

/// The default policy, but for how real the evidence is.
const POLICY: &str = "evidence = [\"emulated\"]\n";

/// A folder like a checkout of this project, and what runs beside it.
struct Place {
    program: Program,
    account: Option<Account>,
    installed: Option<Emulation>,
    left_running: Vec<(String, Child)>,
}

impl Drop for Place {
    fn drop(&mut self) {
        for (_, child) in &mut self.left_running {
            // Only where the walk has failed already.
            let _gone = (child.kill(), child.wait());
        }
    }
}

fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl Place {
    fn new(page: &Page) -> Self {
        let program = Program::new();
        let here = program.folder().to_owned();
        std::fs::create_dir_all(here.join("ci")).expect("a folder");
        std::fs::create_dir_all(here.join(".programs")).expect("a folder");
        program.write("ci/matrix.toml", page.matrix.as_deref().unwrap_or(ONE_CELL));
        program.write("ci/gate.toml", POLICY);
        for folder in ["worlds", "templates"] {
            copy(&root().join("fixtures").join(folder), &here.join("fixtures").join(folder));
        }
        for (name, path) in [("gsh", env!("CARGO_BIN_EXE_gsh")), ("gsh-verify", env!("CARGO_BIN_EXE_gsh-verify"))] {
            std::os::unix::fs::symlink(path, here.join(".programs").join(name)).expect("a link");
        }
        git(&here, &["init", "-q", "-b", "main", "."]);
        git(&here, &["add", "ci"]);
        git(&here, &["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "Start"]);
        let account = page.account.then(|| Account::start(""));
        let installed = page.installed.then(Emulation::installed);
        Self { program, account, installed, left_running: Vec::new() }
    }

    fn here(&self) -> &Path {
        self.program.folder()
    }

    /// A script in the page's environment: what earlier ones exported is known, and what this one exports will be.
    fn shell(&self, script: &str) -> Command {
        let mut path = vec![self.here().join(".programs")];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let mut command = Command::new("bash");
        command
            .args(["--noprofile", "--norc", "-c"])
            .arg(format!(
                "if [ -f .exported ]; then . ./.exported; fi\nset -euo pipefail\n{script}\nexport -p > .exported"
            ))
            .current_dir(self.here())
            .env_clear()
            .env("PATH", std::env::join_paths(path).expect("a PATH"))
            .env("HOME", self.here())
            .env("TMPDIR", self.here())
            .stdin(Stdio::null());
        if let Some(account) = &self.account {
            command.env("HCLOUD_ENDPOINT", &account.endpoint);
        }
        if let Some(installed) = &self.installed {
            command.envs(installed.environment());
        }
        command
    }

    /// A script with what its placeholders stand for. Longer ones first: one may be part of another.
    fn meant(&self, page: &Page, script: &str) -> String {
        let mut script = script.to_owned();
        let mut places: Vec<(&String, &String)> = page.places.iter().collect();
        places.sort_by_key(|(placeholder, _)| std::cmp::Reverse(placeholder.len()));
        for (placeholder, meant) in places {
            script = script.replace(placeholder, meant);
        }
        if let Some(account) = &self.account {
            script = script.replace("HCLOUD_TOKEN=…", &format!("HCLOUD_TOKEN={}", account.token));
        }
        script
    }

    fn run(&self, script: &str) -> Output {
        self.shell(script).output().expect("bash starts")
    }

    /// Starts what is left running and waits until it is there.
    fn start(&mut self, what: &str, script: &str, until: &str) {
        let said = std::fs::File::create(self.here().join(".said")).expect("a file");
        let too = said.try_clone().expect("the same file");
        let script = format!("exec {}", script.trim_end_matches('&').trim_end());
        let child = self.shell(&script).stdout(said).stderr(too).spawn().expect("bash starts");
        self.left_running.push((what.to_owned(), child));
        let began = Instant::now();
        while !self.run(until).status.success() {
            let (_, child) = self.left_running.last_mut().expect("it was started");
            let ended = child.try_wait().expect("its state");
            let said = std::fs::read_to_string(self.here().join(".said")).unwrap_or_default();
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "{what}: not there: {ended:?}\n{said}");
        }
    }

    /// Ends what was left running as a user does.
    fn end(mut self) {
        for (what, mut child) in std::mem::take(&mut self.left_running) {
            let pid = child.id().to_string();
            let told = Command::new("kill").args(["-INT", &pid]).status();
            let ended = child.wait().expect("it ends");
            assert!(told.is_ok_and(|t| t.success()) && ended.success(), "{what}: ended with {ended}");
        }
    }
}

/// A line without what differs from run to run: numbers, names of runs, and how wide columns are.
fn alike(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let name: String = word.chars().filter(|c| !c.is_ascii_hexdigit()).collect();
        let of_a_run = name.contains("r--") || name.ends_with("r--:");
        if of_a_run { "RUN".to_owned() } else { word.replace(|c: char| c.is_ascii_digit(), "0") }
    });
    let line = words.collect::<Vec<_>>().join(" ");
    let mut short = String::new();
    for c in line.chars() {
        if !(c == '0' && short.ends_with('0')) {
            short.push(c);
        }
    }
    // 184 ms and 1.1 s are both a time that something took.
    short.replace("0.0 s", "TIME").replace("0 ms", "TIME").replace("0 s", "TIME")
}

fn rule(line: &str) -> bool {
    line.chars().all(|c| "─═⋮ ".contains(c))
}

/// Runs every command of a page.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see what was not run")]
pub(super) fn walk(path: &str) {
    let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut pages: BTreeMap<String, Page> = toml::from_str(include_str!("pages.toml")).expect("pages.toml");
    let page = pages.remove(path).unwrap_or_default();
    let commands = markdown::commands(path, &text);
    assert!(!commands.is_empty(), "{path} has no commands any more");
    for row in &page.command {
        assert!(commands.iter().any(|c| c.is == row.is), "pages.toml: {path} has no command `{}` any more", row.is);
        assert!(!row.because.is_empty(), "pages.toml: `{}` says why", row.is);
    }

    let mut place = Place::new(&page);
    if place.installed.as_ref().is_some_and(|installed| !installed.moved_ports().is_empty()) {
        eprintln!("{path} is not walked here: ports below 1024 cannot be bound");
        return;
    }
    let prepared = place.run(&place.meant(&page, &page.before));
    assert!(prepared.status.success(), "what {path} presupposes: {}", both(&prepared));
    for command in &commands {
        let at = format!("{path}:{}: {}", command.line, command.is);
        let row = page.command.iter().find(|row| row.is == command.is);
        if let Some(row) = row.filter(|row| row.not_run) {
            eprintln!("{at}: not run here: {}", row.because);
            continue;
        }
        if let Some(needs) = row.and_then(|row| row.needs.as_deref())
            && !present("sh", &["-c", &format!("command -v {needs}")])
        {
            eprintln!("{at}: not run here: {needs} is absent");
            continue;
        }
        let script = place.meant(&page, row.and_then(|row| row.r#as.as_deref()).unwrap_or(&command.script));
        assert!(!script.contains('…'), "{at}: what `…` stands for is said in pages.toml: {script}");
        if let Some(until) = row.and_then(|row| row.until.as_deref()) {
            place.start(&at, &script, until);
            continue;
        }
        let ended = place.run(&script);
        let wanted = row.map_or(0, |row| row.exit);
        assert_eq!(ended.status.code(), Some(wanted), "{at}\nrun as {script}\n{}", both(&ended));
        let printed: Vec<String> = both(&ended).lines().map(alike).collect();
        for line in command.shown.iter().filter(|line| !rule(line)) {
            assert!(printed.contains(&alike(line)), "{at}: prints no line like `{line}`\n{}", both(&ended));
        }
    }
    place.end();
}
