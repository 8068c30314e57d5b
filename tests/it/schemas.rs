//! The published schemas say what the parsers say: the same keys and choices everywhere, and every file of ours keeps to them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use gsh_model::matrix::Matrix;
use gsh_verdict::policy::Policy;
use gsh_verdict::waiver::Waivers;
use gsh_world::WorldSpec;
use serde_json::{Value, json};

use crate::program::{Program, root};

/// What a parser says against a text.
type Parser = fn(&str) -> Option<String>;

const FILES: [(&str, Parser); 4] = [
    ("matrix", |text| Matrix::parse(text).err().map(|e| format!("{e} ({})", e.hint.as_deref().unwrap_or_default()))),
    ("world", |text| text.parse::<WorldSpec>().err().map(|e| e.to_string())),
    ("policy", |text| Policy::parse(text).err().map(|e| e.to_string())),
    ("waivers", |text| Waivers::parse(text).err().map(|e| e.to_string())),
];

fn schema(name: &str) -> Value {
    let ended = Program::new().gsh(&["schema", name]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).expect("a schema is JSON")
}

/// A step from the outside of a document to a place in it.
#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Item,
}

/// A document with this at the end of some steps, as TOML.
fn document(steps: &[Step], inner: Value) -> String {
    let whole = steps.iter().rev().fold(inner, |inner, step| match step {
        Step::Key(key) => json!({ key: inner }),
        Step::Item => json!([inner]),
    });
    toml::to_string(&whole).expect("what stands here has a TOML form")
}

/// The parts of a schema that hold at one place: itself, what it refers to, and its alternatives.
fn parts<'s>(whole: &'s Value, at: &'s Value) -> Vec<&'s Value> {
    let mut all = vec![at];
    if let Some(name) = at["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
        all.extend(parts(whole, &whole["$defs"][name]));
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        all.extend(at[several].as_array().into_iter().flatten().flat_map(|one| parts(whole, one)));
    }
    all
}

/// Compares what schema and parser know at one place and everywhere inside it; gives the number of names compared.
fn compare(file: &str, whole: &Value, at: &Value, steps: &[Step], parse: Parser) -> usize {
    let parts = parts(whole, at);
    let keys: BTreeSet<&str> =
        parts.iter().flat_map(|p| p["properties"].as_object()).flatten().map(|(k, _)| &**k).collect();
    let choices: BTreeSet<&str> = parts
        .iter()
        .flat_map(|p| p["enum"].as_array().into_iter().flatten().chain(p.get("const")))
        .filter_map(Value::as_str)
        .collect();
    let mut compared = 0;
    // What one may write for a key one may also write for a variant that holds something: the parser lists both.
    let names: BTreeSet<&str> = keys.union(&choices).copied().collect();
    let wrongs = [(!keys.is_empty()).then(|| json!({ "zzz": true })), (!choices.is_empty()).then(|| json!("zzz"))];
    for wrong in wrongs.into_iter().flatten() {
        let said = parse(&document(steps, wrong.clone())).unwrap_or_else(|| panic!("{file} {steps:?}: takes {wrong}"));
        let listed = listed(&said);
        assert!(!listed.is_empty(), "{file} {steps:?}: nothing is listed: {said}");
        let missing: Vec<_> = listed.iter().filter(|n| !names.contains(n.as_str())).collect();
        assert!(missing.is_empty(), "{file} {steps:?}: the parser knows {missing:?}, the schema does not");
        compared += names.len();
    }
    for key in &keys {
        // The parser knows it: it has something against the value, or nothing at all.
        let said = parse(&document(steps, json!({ *key: { "zzz": 1.5 } }))).unwrap_or_default();
        assert!(!unknown(&said, key), "{file} {steps:?}: the schema knows `{key}`, the parser does not: {said}");
    }
    for choice in &choices {
        let said = parse(&document(steps, json!(choice))).unwrap_or_default();
        assert!(!unknown(&said, choice), "{file} {steps:?}: the schema knows `{choice}`, the parser does not: {said}");
    }
    for part in parts {
        let inside = part["properties"].as_object().into_iter().flatten().map(|(k, v)| (Step::Key(k.clone()), v));
        let items = part.get("items").map(|items| (Step::Item, items));
        let any = part.get("additionalProperties").filter(|v| v.is_object()).map(|v| (Step::Key("any".to_owned()), v));
        for (step, schema) in inside.chain(items).chain(any) {
            compared += compare(file, whole, schema, &[steps, &[step]].concat(), parse);
        }
    }
    compared
}

/// The names that an error lists as known.
fn listed(said: &str) -> BTreeSet<String> {
    let after = |word: &str| said.split_once(word).map(|(_, rest)| rest);
    if let Some(rest) = after("(known: ") {
        return rest.trim_end_matches(')').split(", ").map(str::to_owned).collect();
    }
    if let Some(rest) = after("available keys: ") {
        return rest.trim().split(", ").map(str::to_owned).collect();
    }
    if let Some(rest) = after(": one of ") {
        return rest.split(" (").next().unwrap_or_default().split(' ').map(str::to_owned).collect();
    }
    after("expected ").map(|rest| rest.split('`').skip(1).step_by(2).map(str::to_owned).collect()).unwrap_or_default()
}

fn unknown(said: &str, name: &str) -> bool {
    const WHAT: [&str; 8] = [
        "unknown field",
        "unknown variant",
        "unknown key",
        "unknown axis",
        "unknown time limit",
        "unknown store",
        "unknown key of [stores.s3]",
        "unknown key of [stores.registry]",
    ];
    WHAT.iter().any(|what| said.contains(&format!("{what} `{name}`")))
        || said.contains(&format!("`{name}` is not a value of the axis"))
}

#[test]
fn schemas_and_parsers_know_the_same_keys_and_choices() {
    for (name, parse) in FILES {
        let schema = schema(name);
        let compared = compare(name, &schema, &schema, &[], parse);
        assert!(compared > 12, "{name}: {compared} names were compared");
        assert_eq!(parse(""), None, "{name}: an empty file is one");
    }
}

/// The files of a folder that end so, as JSON.
fn files(folder: &str, chosen: impl Fn(&str) -> bool) -> Vec<(String, Value)> {
    let mut all: Vec<(String, Value)> = std::fs::read_dir(root().join(folder))
        .expect("a folder")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|n| chosen(&n.to_string_lossy())))
        .map(|path| (path.display().to_string(), json_of(&std::fs::read_to_string(&path).expect("a file"), &path)))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn json_of(text: &str, path: &Path) -> Value {
    let table: toml::Table = text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::to_value(table).expect("our files have a JSON form")
}

const VALIDATE: &str = "import json, sys, jsonschema\n\
    given = json.load(sys.stdin)\n\
    jsonschema.Draft202012Validator.check_schema(given['schema'])\n\
    validator = jsonschema.Draft202012Validator(given['schema'])\n\
    for name, value in given['files']:\n\
    \x20   for error in validator.iter_errors(value):\n\
    \x20       print(f'{name}: {error.json_path}: {error.message[:200]}')\n";

/// What Python's validator has against documents; `None` where it is not there.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see what was not checked")]
fn python(schema: &Value, files: &[(String, Value)]) -> Option<String> {
    use std::io::Write as _;
    let quiet = || Stdio::null();
    let there = Command::new("python3").args(["-c", "import jsonschema"]).stdout(quiet()).stderr(quiet()).status();
    if !there.is_ok_and(|s| s.success()) {
        eprintln!("not checked: Python's jsonschema is absent: our files are not validated here");
        return None;
    }
    let piped = || Stdio::piped();
    let mut child = Command::new("python3")
        .args(["-c", VALIDATE])
        .stdin(piped())
        .stdout(piped())
        .stderr(piped())
        .spawn()
        .expect("python3 starts");
    let given = json!({ "schema": schema, "files": files }).to_string();
    child.stdin.take().expect("piped").write_all(given.as_bytes()).expect("python3 reads");
    let output = child.wait_with_output().expect("python3 ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn our_files_keep_to_the_published_schemas_and_broken_ones_do_not() {
    let waivers = std::fs::read_to_string(root().join("docs/gate.md")).expect("docs/gate.md");
    let waivers = waivers.split("```toml\n").find(|block| block.starts_with("[[waiver]]")).expect("an example");
    let waivers = waivers.split("```").next().expect("an end");
    let ours = [
        ("matrix", files("ci", |n| n == "matrix.toml")),
        ("world", files("fixtures/worlds", |n| n.ends_with(".toml"))),
        ("policy", files("ci", |n| n == "gate.toml")),
        ("waivers", vec![("docs/gate.md".to_owned(), json_of(waivers, Path::new("docs/gate.md")))]),
    ];
    let broken = [
        ("matrix", "[axes]\nshfit = [\"fuse\"]"),
        ("matrix", "[axes]\nk3s = [\"stable\"]"),
        ("matrix", "[[exclude]]\nsize = \"small\""),
        ("matrix", "[[exclude]]\nsise = \"small\"\nbecause = \"slow\""),
        ("matrix", "[[tag]]\nsize = \"small\"\nbecause = \"slow\""),
        ("matrix", "[patience]\ninstall = \"soon\""),
        ("world", "[gitpod]\nmigration = \"fail\""),
        ("world", "[gitpod]\nmigrations = \"fails\""),
        ("world", "[[host.fault]]\nservers = \"*\"\neffect = { private-nic-late = { ms = 3, seconds = 1 } }"),
        ("world", "[[kube.image]]\nmatch = \"*\"\nresult = \"ok\"\nalways = true"),
        ("policy", "max_agee = \"72h\""),
        ("waivers", "[[waiver]]\nid = \"a\""),
    ];
    for (name, files) in ours {
        let (schema, parse) = (schema(name), FILES.iter().find(|(n, _)| *n == name).expect("a file").1);
        assert!(!files.is_empty(), "{name}");
        for (file, value) in &files {
            assert_eq!(parse(&toml::to_string(value).expect("TOML")), None, "{file}");
        }
        let broken: Vec<(String, Value)> = broken
            .iter()
            .filter(|(n, _)| *n == name)
            .enumerate()
            .map(|(n, (_, text))| {
                assert!(parse(text).is_some(), "{name}: {text}");
                (format!("broken {n}"), json_of(text, Path::new(name)))
            })
            .collect();
        assert!(!broken.is_empty(), "{name}");
        let Some(said) = python(&schema, &[&files[..], &broken[..]].concat()) else { return };
        let ours: Vec<&str> = said.lines().filter(|l| !l.starts_with("broken ")).collect();
        assert!(ours.is_empty(), "{name}: {ours:?}");
        for (which, value) in &broken {
            assert!(said.contains(&format!("{which}: ")), "{name}: the schema takes {value}");
        }
    }
}
