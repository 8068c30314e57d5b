//! Programs that nobody here wrote read what gsh writes and drive what it emulates. Where one is absent, the test says so.

use std::process::{Command, Stdio};

use crate::program::Program;

/// Whether a program is there; says so where it is not.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see what was not checked")]
pub(crate) fn present(program: &str, args: &[&str]) -> bool {
    let there = Command::new(program)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success());
    if !there {
        eprintln!("not checked: `{program} {}` is not there", args.join(" "));
    }
    there
}

#[test]
fn strict_readers_of_junit_agree_with_our_numbers() {
    let program = Program::new();
    let world = program.write("world.toml", "[gitpod]\ngateway-accepts-any-token = true\n").display().to_string();
    let matrix = program.matrix(&[("ssh-gateway", &["on", "off"])]).display().to_string();
    let ended = program.run(&["--matrix", &matrix, "--cover", "full", "--world", &world]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let file = ended.out.join("junit.xml");
    let count = |word: &str| ended.outcomes().iter().filter(|(_, _, o)| o.starts_with(word)).count();
    roxmltree::Document::parse(&ended.file("junit.xml")).expect("a strict parser accepts it");
    if present("xmllint", &["--version"]) {
        let checked = Command::new("xmllint").arg("--noout").arg(&file).output().expect("xmllint starts");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
    if present("python3", &["-c", "import junitparser"]) {
        let script = "import sys, junitparser\n\
                      x = junitparser.JUnitXml.fromfile(sys.argv[1])\n\
                      cases = [c for s in x for c in s]\n\
                      bad = [c for c in cases if any(isinstance(r, junitparser.Failure) for r in c.result)]\n\
                      skipped = [c for c in cases if any(isinstance(r, junitparser.Skipped) for r in c.result)]\n\
                      print(len(cases), len(bad), len(skipped))";
        let read = Command::new("python3").args(["-c", script]).arg(&file).output().expect("python3 starts");
        let text = String::from_utf8_lossy(&read.stdout).into_owned();
        let wanted = format!("{} {} {}", ended.outcomes().len(), count("failed"), count("skipped"));
        assert_eq!(text.trim(), wanted, "{}", String::from_utf8_lossy(&read.stderr));
    }
}
