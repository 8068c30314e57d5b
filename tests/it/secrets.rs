//! Canary secrets: nothing that is secret appears in any file of a run directory or on the terminal.

use std::path::Path;

use crate::program::Program;

fn files(directory: &Path, out: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(directory).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, out);
        } else {
            let bytes = std::fs::read(&path).expect("read");
            out.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}

#[test]
fn no_secret_reaches_a_file_or_the_terminal() {
    let program = Program::new();
    let canaries = program.folder().join("canaries");
    // A run with a failure keeps the most evidence: pods, logs, events.
    let world = format!("secrets-to = {canaries:?}\n[gitpod]\ndocker-broken = true\nworkspace-exit = 3\n");
    let world = program.write("world.toml", &world);
    let matrix = program.matrix(&[("database", &["external"]), ("storage", &["s3"]), ("registry", &["external"])]);
    let output = program
        .command()
        .args(["run", "--provider", "embedded", "--cover", "full", "-v", "--world"])
        .arg(&world)
        .arg("--matrix")
        .arg(&matrix)
        .arg("--out")
        .arg(program.out())
        .output()
        .expect("gsh starts");
    let ended = program.ended(output);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let secrets = std::fs::read_to_string(&canaries).expect("the world lists the secrets that it saw");
    let secrets: Vec<&str> = secrets.lines().filter(|s| s.len() >= 8).collect();
    assert!(secrets.len() > 20, "the world saw only {} secrets", secrets.len());
    let mut all = vec![("stdout".to_owned(), ended.stdout), ("stderr".to_owned(), ended.stderr)];
    files(&ended.out, &mut all);
    for (place, text) in &all {
        for secret in &secrets {
            assert!(!text.contains(secret), "{place} contains a secret that begins with {}…", &secret[..4]);
        }
    }
}
