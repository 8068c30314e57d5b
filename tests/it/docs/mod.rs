//! Every command in README and docs is run, page by page, or stands in `pages.toml` with the reason why it cannot be run here.

mod journey;
mod markdown;
mod scenario;
mod worked_example;

use std::collections::{BTreeMap, BTreeSet};

use crate::program::{Program, root};

/// A test for each page that has commands.
macro_rules! pages {
    ($($test:ident: $path:literal,)*) => {
        $(
            #[test]
            fn $test() {
                journey::walk($path);
            }
        )*
        const WALKED: &[&str] = &[$($path),*];
    };
}

pages! {
    readme: "README.md",
    adding_a_provider: "docs/adding-a-provider.md",
    first_run: "docs/first-run.md",
    gate: "docs/gate.md",
    hetzner: "docs/hetzner.md",
    money: "docs/money.md",
    nightly: "docs/nightly.md",
    performance: "docs/performance.md",
    planning: "docs/planning.md",
    reports: "docs/reports.md",
    verify: "docs/verify.md",
    worlds: "docs/worlds.md",
    writing_a_scenario: "docs/writing-a-scenario.md",
}

/// README, the pages in `docs` and what else people read, by their paths.
fn pages() -> BTreeMap<String, String> {
    let docs = std::fs::read_dir(root().join("docs")).expect("docs").flatten();
    let names = docs.map(|e| format!("docs/{}", e.file_name().to_string_lossy())).filter(|n| n.ends_with(".md"));
    names
        .chain(["README.md".to_owned(), "ARCHITECTURE.md".to_owned()])
        .map(|name| (name.clone(), std::fs::read_to_string(root().join(&name)).expect("a page")))
        .collect()
}

#[test]
fn every_page_with_commands_is_walked() {
    let have: BTreeSet<String> =
        pages().into_iter().filter(|(name, text)| !markdown::commands(name, text).is_empty()).map(|(n, _)| n).collect();
    let walked: BTreeSet<String> = WALKED.iter().map(|w| (*w).to_owned()).collect();
    assert_eq!(have, walked);
    let known: BTreeMap<String, toml::Value> = toml::from_str(include_str!("pages.toml")).expect("pages.toml");
    let unknown: Vec<&String> = known.keys().filter(|page| !walked.contains(*page)).collect();
    assert!(unknown.is_empty(), "pages.toml tells of pages that are not walked: {unknown:?}");
}

/// What pages name in passing is not run, but it exists: command and options.
#[test]
fn commands_named_in_passing_exist() {
    let program = Program::new();
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut missing = Vec::new();
    let mut seen = 0;
    for (page, text) in pages() {
        for (line, named) in markdown::named(&text) {
            let mut words = named.split(' ');
            let whole = match words.next() {
                Some("gsh") => words.next().unwrap_or_default().to_owned(),
                Some("gsh-verify") => "gsh-verify".to_owned(),
                _ => continue,
            };
            if whole.starts_with('-') || whole.is_empty() {
                continue;
            }
            seen += 1;
            let help = helps.entry(whole.clone()).or_insert_with(|| help(&program, &whole));
            for option in named.split([' ', '=', '[', ']']).filter(|word| word.starts_with("--")) {
                if !help.split([' ', '\n', ',', '=', '[']).any(|word| word == option) {
                    missing.push(format!("{page}:{line}: `{named}`: no {option}"));
                }
            }
            if help.is_empty() {
                missing.push(format!("{page}:{line}: `{named}`: no such command"));
            }
        }
    }
    assert!(seen > 40, "the walk must find what pages name: {seen}");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// The help of a command and of its own commands; empty where there is no such command.
fn help(program: &Program, name: &str) -> String {
    if name == "gsh-verify" {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gsh-verify"));
        let ended = command.arg("--help").env_clear().output().expect("gsh-verify starts");
        return String::from_utf8_lossy(&ended.stdout).into_owned();
    }
    let names: Vec<&str> = if name == "history" { vec!["add", "show", "flaky", "coverage"] } else { Vec::new() };
    let mut all = String::new();
    for args in std::iter::once(vec![name, "--help"]).chain(names.into_iter().map(|own| vec![name, own, "--help"])) {
        let ended = program.gsh(&args);
        if ended.code == 0 {
            all.push_str(&ended.stdout);
        }
    }
    all
}

/// The page about providers tells of every promise that the trait asks for.
#[test]
fn every_method_of_a_provider_is_told() {
    let source = std::fs::read_to_string(root().join("harness/engine/src/provider.rs")).expect("the trait");
    let (_, methods) = source.split_once("pub trait Provider").expect("the trait");
    let names: Vec<&str> =
        methods.split("\n    fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next()).collect();
    assert!(names.len() > 5, "{names:?}");
    let page = &pages()["docs/adding-a-provider.md"];
    for name in names {
        assert!(page.contains(&format!("| `{name}` |")), "docs/adding-a-provider.md says nothing of `{name}`");
    }
}

/// What pages show of files is what the programs read: worlds, and tags of a matrix.
#[test]
fn files_that_pages_show_can_be_read() {
    let pages = pages();
    let worlds = markdown::written_in("toml", &pages["docs/worlds.md"]);
    for world in &worlds {
        world.parse::<gsh_world::spec::WorldSpec>().unwrap_or_else(|e| panic!("docs/worlds.md: {e}\n{world}"));
    }
    let tags = markdown::written_in("toml", &pages["docs/planning.md"]);
    for tag in &tags {
        let matrix = format!("[axes]\nsize = [\"single\"]\ndatabase = [\"incluster\"]\n{tag}");
        gsh_model::matrix::Matrix::parse(&matrix).unwrap_or_else(|e| panic!("docs/planning.md: {e}\n{tag}"));
    }
    assert!(worlds.len() > 1 && !tags.is_empty(), "the walk must find them");
}
