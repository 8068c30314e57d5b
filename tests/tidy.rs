//! Rules of the house that no compiler checks: who may import whom, where versions stand, how files look.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn manifest(directory: &str) -> Table {
    read(&root().join(directory).join("Cargo.toml")).parse().unwrap_or_else(|e| panic!("{directory}/Cargo.toml: {e}"))
}

fn members() -> Vec<String> {
    let workspace = manifest("");
    let members = workspace["workspace"]["members"].as_array().expect("members");
    members.iter().map(|m| m.as_str().expect("a path").to_owned()).collect()
}

fn dependencies(manifest: &Table, section: &str) -> BTreeMap<String, Value> {
    manifest
        .get(section)
        .and_then(Value::as_table)
        .map(|t| t.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
        .unwrap_or_default()
}

/// Every source file that is ours, relative to the root.
fn sources() -> Vec<PathBuf> {
    fn walk(directory: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).expect("a folder").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    walk(&path, out);
                }
            } else if name.ends_with(".rs") {
                out.push(path);
            }
        }
    }
    let mut out = Vec::new();
    walk(root(), &mut out);
    out.sort();
    assert!(out.len() > 100, "the walk must find the sources");
    out
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Which of our crates each crate may use, and which foreign ones it must never use. (`ARCHITECTURE.md`, the import table)
const IMPORTS: &[(&str, &[&str], &[&str])] = &[
    ("gsh-model", &[], &["tokio", "kube", "rand", "hcloud", "russh", "reqwest", "tonic", "clap"]),
    ("gsh-engine", &["gsh-model"], &["hcloud", "russh", "tonic", "junit-report", "clap", "reqwest"]),
    ("gsh-ssh", &["gsh-model"], &["kube", "hcloud", "tonic", "clap"]),
    ("gsh-wsman", &[], &["tokio", "tonic", "kube", "russh", "hcloud", "clap"]),
    ("gsh-kube", &["gsh-model", "gsh-engine"], &["hcloud", "russh", "tonic", "clap", "junit-report", "reqwest"]),
    ("gsh-gitpod", &["gsh-model", "gsh-engine", "gsh-wsman", "gsh-kube"], &["hcloud", "russh", "clap", "junit-report"]),
    (
        "gsh-look",
        &["gsh-model", "gsh-engine", "gsh-gitpod", "gsh-ssh"],
        &["hcloud", "russh", "tonic", "clap", "junit-report", "reqwest"],
    ),
    ("gsh-providers", &["gsh-model", "gsh-engine", "gsh-ssh", "gsh-kube"], &["russh", "tonic", "clap", "junit-report"]),
    (
        "gsh-scenarios",
        &["gsh-model", "gsh-engine", "gsh-gitpod", "gsh-look", "gsh-ssh"],
        &["hcloud", "russh", "tonic", "clap", "junit-report", "reqwest"],
    ),
    ("gsh-verdict", &["gsh-model"], &["tokio", "kube", "rand", "hcloud", "russh", "tonic", "clap", "reqwest"]),
    ("gsh-reports", &["gsh-model"], &["tokio", "kube", "hcloud", "russh", "tonic", "clap", "reqwest"]),
    (
        "gsh-cli",
        &[
            "gsh-model",
            "gsh-engine",
            "gsh-providers",
            "gsh-gitpod",
            "gsh-look",
            "gsh-scenarios",
            "gsh-reports",
            "gsh-verdict",
            "gsh-ssh",
            "gsh-fixtures",
        ],
        &["hcloud", "russh", "tonic", "junit-report", "kube"],
    ),
    ("gsh-world", &["gsh-model"], HARNESS_ONLY),
    ("gsh-emu-hetzner", &["gsh-world"], HARNESS_ONLY),
    ("gsh-emu-shell", &["gsh-world"], HARNESS_ONLY),
    ("gsh-emu-host", &["gsh-world", "gsh-emu-shell", "gsh-emu-stores"], HARNESS_ONLY),
    ("gsh-emu-kube", &["gsh-world"], HARNESS_ONLY),
    ("gsh-emu-cluster", &["gsh-world", "gsh-emu-kube", "gsh-emu-shell"], HARNESS_ONLY),
    ("gsh-emu-stores", &[], HARNESS_ONLY),
    (
        "gsh-emu-gitpod",
        &["gsh-world", "gsh-emu-shell", "gsh-emu-kube", "gsh-emu-cluster", "gsh-emu-stores", "gsh-wsman"],
        HARNESS_ONLY,
    ),
    ("gsh-emu-installer", &["gsh-world", "gsh-emu-kube", "gsh-emu-cluster"], HARNESS_ONLY),
    (
        "gsh-fixtures",
        &[
            "gsh-model",
            "gsh-world",
            "gsh-emu-hetzner",
            "gsh-emu-host",
            "gsh-emu-kube",
            "gsh-emu-cluster",
            "gsh-emu-gitpod",
            "gsh-emu-installer",
            "gsh-emu-stores",
        ],
        HARNESS_ONLY,
    ),
];

/// What emulators must not build upon: the client libraries of the harness. An emulator that shares its decoder with the
/// client shares its mistakes.
const HARNESS_ONLY: &[&str] = &["kube", "hcloud", "reqwest", "clap", "junit-report", "mysql_async", "rusty-s3"];

#[test]
fn nobody_imports_what_the_table_forbids() {
    for member in members() {
        let manifest = manifest(&member);
        let name = manifest["package"]["name"].as_str().expect("a name").to_owned();
        let (_, ours, never) =
            IMPORTS.iter().find(|(n, ..)| *n == name).unwrap_or_else(|| panic!("`{name}` has no row in the table"));
        for dependency in dependencies(&manifest, "dependencies").keys() {
            if dependency.starts_with("gsh-") {
                assert!(ours.contains(&dependency.as_str()), "`{name}` must not use `{dependency}`");
            }
            assert!(!never.contains(&dependency.as_str()), "`{name}` must never use `{dependency}`");
        }
    }
}

#[test]
fn a_foreign_library_has_one_home() {
    let homes: &[(&str, &[&str])] = &[
        ("hcloud", &["gsh-providers"]),
        ("russh", &["gsh-ssh", "gsh-emu-host", "gsh-emu-gitpod"]),
        ("tonic", &["gsh-gitpod", "gsh-emu-gitpod"]),
        ("junit-report", &["gsh-reports"]),
        ("clap", &["gsh-cli"]),
        ("indicatif", &["gsh-cli"]),
    ];
    for member in members() {
        let manifest = manifest(&member);
        let name = manifest["package"]["name"].as_str().expect("a name").to_owned();
        for (library, at) in homes {
            if dependencies(&manifest, "dependencies").contains_key(*library) {
                assert!(at.contains(&name.as_str()), "`{library}` is at home in {at:?}, not in `{name}`");
            }
        }
    }
}

#[test]
fn versions_stand_in_the_workspace_and_nowhere_else() {
    for member in members() {
        let manifest = manifest(&member);
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, value) in dependencies(&manifest, section) {
                let from_workspace = value.get("workspace").and_then(Value::as_bool) == Some(true);
                assert!(from_workspace, "{member}: {name} must say `workspace = true`");
            }
        }
        assert_eq!(manifest["lints"]["workspace"].as_bool(), Some(true), "{member} must use the workspace's lints");
    }
}

#[test]
fn every_source_file_says_what_it_is_for_and_is_one_room() {
    let nobodys = ["util", "utils", "helper", "helpers", "common", "misc", "handler", "processor", "context"];
    for path in sources() {
        let text = read(&path);
        assert!(text.starts_with("//!"), "{}: the first line says what the file is for", shown(&path));
        let lines = text.lines().count();
        assert!(lines <= 800, "{}: {lines} lines; is it still one room with one job?", shown(&path));
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(!nobodys.contains(&stem.as_str()), "{}: a name that is nobody's", shown(&path));
    }
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_unfinished() {
    // Put together here, so that this file does not find itself.
    let marks = [["#[", "ignore"], ["todo", "!("], ["unimplemented", "!("], ["FIX", "ME"], ["allow(dead", "_code"]]
        .map(|m| m.concat());
    for path in sources() {
        let text = read(&path);
        for mark in &marks {
            assert!(!text.contains(mark.as_str()), "{}: `{mark}`", shown(&path));
        }
    }
}

#[test]
fn every_code_has_its_place_in_the_docs() {
    let docs = read(&root().join("docs/troubleshooting.md"));
    let mut missing = Vec::new();
    for path in sources() {
        let relative = shown(&path);
        let of_the_harness = ["harness", "scenarios"].iter().any(|d| relative.starts_with(d));
        if !of_the_harness || relative.contains("/tests") || relative.contains("snapshots") {
            continue;
        }
        for (at, _) in read(&path).match_indices("\"GSH-") {
            let text = read(&path);
            let code: String = text[at + 1..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            let complete = code.split('-').count() == 3 && code.chars().rev().take(3).all(|c| c.is_ascii_digit());
            if complete && !code.contains("TST") && !docs.contains(&code) {
                missing.push(format!("{code} ({relative})"));
            }
        }
    }
    missing.sort();
    missing.dedup();
    assert!(missing.is_empty(), "not in docs/troubleshooting.md: {}", missing.join(", "));
}

#[test]
fn every_scenario_has_a_world_where_it_fails_and_one_where_it_is_inconclusive() {
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(root().join("fixtures/worlds")).expect("the worlds").flatten() {
        let world: Table = read(&entry.path()).parse().unwrap_or_else(|e| panic!("{}: {e}", entry.path().display()));
        let outcomes = world.get("expect").and_then(|e| e.get("outcomes")).and_then(Value::as_table);
        for (subject, outcome) in outcomes.into_iter().flatten() {
            expected.entry(subject.clone()).or_default().push(outcome.as_str().unwrap_or_default().to_owned());
        }
    }
    let mut scenarios = 0;
    for path in sources().iter().filter(|p| shown(p).starts_with("scenarios/src")) {
        let text = read(path);
        let Some((_, rest)) = text.split_once("ScenarioId::of(\"") else { continue };
        let name = rest.split('"').next().unwrap_or_default();
        scenarios += 1;
        let outcomes = expected.get(name).cloned().unwrap_or_default();
        for wanted in ["failed", "inconclusive"] {
            let seen = outcomes.iter().any(|o| o.starts_with(wanted));
            assert!(seen, "no world in fixtures/worlds expects `{name}` to be {wanted}");
        }
    }
    assert!(scenarios >= 4, "the walk must find the scenarios");
}

/// README, ARCHITECTURE, CHANGELOG and the pages in `docs`.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(|p| root().join(p)).into();
    pages.extend(fs::read_dir(root().join("docs")).expect("docs").flatten().map(|e| e.path()));
    pages.retain(|p| p.extension().is_some_and(|e| e == "md"));
    pages
}

/// A page without its fenced blocks.
fn prose(page: &Path) -> Vec<String> {
    let mut fenced = false;
    let text = read(page);
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    });
    lines.map(str::to_owned).collect()
}

/// The anchors of a page's headings, as forges make them.
fn anchors(page: &Path) -> Vec<String> {
    let headings =
        prose(page).into_iter().filter_map(|l| Some(l.strip_prefix('#')?.trim_start_matches('#').to_owned()));
    headings
        .map(|heading| {
            let kept = heading.trim().to_lowercase();
            kept.chars()
                .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let folder = page.parent().expect("a folder");
        for line in prose(&page) {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if target.contains("://") {
                    continue;
                }
                seen += 1;
                let (path, anchor) = target.split_once('#').map_or((target, None), |(p, a)| (p, Some(a)));
                let file = if path.is_empty() { page.clone() } else { folder.join(path) };
                if !file.exists() || anchor.is_some_and(|a| !anchors(&file).iter().any(|known| known == a)) {
                    broken.push(format!("{}: {target}", shown(&page)));
                }
            }
        }
    }
    assert!(seen > 20, "the walk must find the links: {seen}");
    assert!(broken.is_empty(), "lead nowhere: {}", broken.join(", "));
}

#[test]
fn every_page_is_reached_from_the_readme() {
    let readme = read(&root().join("README.md"));
    for page in pages().iter().filter(|p| !p.ends_with("README.md")) {
        assert!(readme.contains(&format!("]({})", shown(page))), "README.md does not lead to {}", shown(page));
    }
}

#[test]
fn a_code_that_pages_name_has_one_row() {
    let rows = read(&root().join("docs/troubleshooting.md"));
    let mut wrong = Vec::new();
    for page in pages() {
        let text = read(&page);
        for (at, _) in text.match_indices("GSH-") {
            let code: String = text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            let number = code.rsplit('-').next().unwrap_or_default();
            let complete = code.split('-').count() == 3 && number.len() == 3 && number.parse::<u16>().is_ok();
            if complete && !code.contains("TST") && rows.matches(&format!("\n| {code} |")).count() != 1 {
                wrong.push(format!("{code} ({})", shown(&page)));
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "no row, or more than one, in docs/troubleshooting.md: {}", wrong.join(", "));
}
