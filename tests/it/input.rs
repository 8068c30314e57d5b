//! Bad input: one clear error, exit 2, nothing created.

use crate::program::Program;

/// Runs with these arguments and gives the error, after checking that nothing was created.
fn refused(program: &Program, args: &[&str]) -> String {
    let ended = program.run(args);
    assert_eq!(ended.code, 2, "{args:?}: {}", ended.stderr);
    assert!(!ended.out.exists(), "{args:?} created a run directory");
    assert!(ended.stdout.is_empty(), "{args:?}: data on stdout: {}", ended.stdout);
    ended.stderr.replace(&program.folder().display().to_string(), "<folder>")
}

#[test]
fn bad_input_gets_a_clear_error_and_creates_nothing() {
    let program = Program::new();
    let good = program.matrix(&[("size", &["single"])]).display().to_string();
    let write = |name: &str, text: &str| program.write(name, text).display().to_string();
    let broken = write("broken.toml", "[axes\n");
    let unknown_axis = write("axis.toml", "[axes]\nshfit = [\"fuse\"]\n");
    let unknown_value = write("value.toml", "[axes]\nshift = [\"fuze\"]\n");
    let idle_exclude =
        write("exclude.toml", "[axes]\nsize = [\"single\"]\n[[exclude]]\nsize = \"small\"\nbecause = \"slow\"\n");
    let bad_world = write("world.toml", "[gitpod]\nmigration = \"fail\"\n");
    let lost_world = write(
        "lost.toml",
        "[hetzner.quota]\nserver = 1\n[[hetzner.existing]]\npath = \"/volumes\"\n\
         body = { name = \"data\", size = 10, server = { existing = \"servers/prod\" } }\n",
    );
    let missing = program.folder().join("missing.toml").display().to_string();
    let no_pem = write("certificate.pem", "-----BEGIN NOTHING-----\n");
    let tables: Vec<Vec<&str>> = vec![
        vec!["--matrix", &missing],
        vec!["--matrix", &broken],
        vec!["--matrix", &unknown_axis],
        vec!["--matrix", &unknown_value],
        vec!["--matrix", &idle_exclude],
        vec!["--matrix", &good, "--select", "size=medium"],
        vec!["--matrix", &good, "--select", "sise=single"],
        vec!["--matrix", &good, "--select", "single"],
        vec!["--matrix", &good, "--scenario", "ssh-on-2"],
        vec!["--matrix", &good, "--world", &bad_world],
        vec!["--matrix", &good, "--world", &missing],
        vec!["--matrix", &good, "--world", &lost_world],
        vec!["--matrix", &good, "--cover", "pairs"],
        vec!["--matrix", &good, "--max-clusters", "0"],
        vec!["--matrix", &good, "--installer", &missing],
        vec!["--matrix", &good, "--tls-cert", &no_pem],
        vec!["--matrix", &good, "--tls-cert", &no_pem, "--tls-key", &no_pem, "--tls-domain", "gitpod.example.org"],
    ];
    let shown: Vec<String> = tables.iter().map(|args| refused(&program, args)).collect();
    insta::assert_snapshot!(shown.join("\n---\n"));
}

#[test]
fn the_real_cloud_needs_a_token() {
    let program = Program::new();
    let matrix = program.matrix(&[]).display().to_string();
    let ended = program.gsh(&["run", "--provider", "hetzner", "--matrix", &matrix]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("HCLOUD_TOKEN is not set"), "{}", ended.stderr);
}

#[test]
fn an_existing_run_directory_is_never_written_over() {
    let program = Program::new();
    let matrix = program.matrix(&[]).display().to_string();
    std::fs::create_dir(program.out()).expect("create");
    let ended = program.run(&["--matrix", &matrix]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("there is something already at"), "{}", ended.stderr);
    assert_eq!(std::fs::read_dir(program.out()).expect("list").count(), 0);
}

#[test]
fn an_unwritable_place_is_named() {
    let program = Program::new();
    let matrix = program.matrix(&[]).display().to_string();
    let file = program.write("file", "");
    let inside = file.join("run").display().to_string();
    let ended = program.gsh(&["run", "--provider", "embedded", "--matrix", &matrix, "--out", &inside]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("cannot create the run directory"), "{}", ended.stderr);
}

#[test]
fn a_run_that_is_none_is_named() {
    let program = Program::new();
    let nowhere = program.folder().join("nowhere").display().to_string();
    let ended = program.gsh(&["report", &nowhere]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("ledger.jsonl"), "{}", ended.stderr);
}
