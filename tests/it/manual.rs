//! Completions and manual pages, as packagers write them, and the script that makes a release.

use std::process::Command;

use crate::program::{Program, root};

#[test]
fn both_programs_have_completions_and_manual_pages() {
    let program = Program::new();
    for name in ["gsh", "gsh-verify"] {
        for shell in ["bash", "zsh", "fish"] {
            let ended = program.command().args(["completions", shell, "--program", name]).output().expect("gsh runs");
            let script = String::from_utf8(ended.stdout).expect("text");
            let own = if name == "gsh" { "emulate" } else { "print-rbac" };
            assert!(
                ended.status.success() && script.contains(name) && script.contains(own),
                "{name} {shell}: {script}"
            );
        }
    }
    let folder = program.folder().join("man");
    let ended = program.command().args(["man", "--dir"]).arg(&folder).output().expect("gsh runs");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    for page in ["gsh.1", "gsh-run.1", "gsh-verify.1"] {
        let text = std::fs::read_to_string(folder.join(page)).expect(page);
        assert!(text.contains(".SH NAME"), "{page}: {text}");
    }
}

/// A release takes a quarter of an hour to build, so it is not built here; wrong usage is told before anything is.
#[test]
fn the_release_script_says_what_is_wrong_with_its_arguments() {
    for (args, says) in [
        (vec!["--nonsense"], "there is no argument `--nonsense`"),
        (vec!["--target"], "--target wants a triple"),
        (vec!["--image", ""], "--image wants a name"),
    ] {
        let ended = Command::new("bash").arg(root().join("ci/package")).args(&args).output().expect("bash starts");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{args:?}: {said}");
        assert!(
            said.contains(says) && said.contains("ci/package [--target TRIPLE] [--image NAME]"),
            "{args:?}: {said}"
        );
    }
}

/// The image is built from a folder: what it copies is what the script puts there.
#[test]
fn the_image_copies_what_the_script_lays_out() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let (image, script) = (read("ci/Containerfile"), read("ci/package"));
    let laid =
        script.lines().find(|l| l.trim_start().starts_with("cp ") && l.ends_with("dist/image/")).expect("a copy");
    let names: Vec<&str> = laid.split(|c: char| !c.is_alphanumeric() && !"-.".contains(c)).collect();
    let copied: Vec<&str> = image.lines().filter_map(|l| l.strip_prefix("COPY ")).flat_map(sources).collect();
    assert!(copied.len() > 5 && copied.iter().all(|name| names.contains(name)), "{copied:?} of {names:?}");
}

/// What a `COPY` takes: all of its words but the last.
fn sources(copy: &str) -> Vec<&str> {
    let mut words: Vec<&str> = copy.split_whitespace().collect();
    words.pop();
    words
}
