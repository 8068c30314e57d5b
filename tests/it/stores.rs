//! Stores of one's own: what a matrix file with `[stores]` changes before anything is created.

use std::collections::BTreeMap;

use crate::program::Program;

const AXES: &str = "[axes]\nregistry = [\"incluster\", \"incluster-s3\", \"external\"]\nstorage = [\"incluster\", \"s3\"]\n\
                    database = [\"incluster\", \"external\"]\n";
const S3: &str = "[stores.s3]\nendpoint = \"https://s3.example.com\"\nregion = \"eu-central-1\"\nbucket = \"content\"\n\
                  registry-bucket = \"images\"\naccess-key-from = \"GSH_S3_ACCESS_KEY\"\nsecret-key-from = \"GSH_S3_SECRET_KEY\"\n";

fn plan(text: &str) -> String {
    let program = Program::new();
    let matrix = program.write("matrix.toml", text).display().to_string();
    let ended = program.gsh(&["plan", "--cover", "full", "--matrix", &matrix]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended.stdout
}

/// Servers of a cell in a plan for people.
fn servers(plan: &str, cell: &str) -> String {
    let line = plan.lines().find(|l| l.contains(&format!(" {cell}  ("))).unwrap_or_else(|| panic!("{cell}\n{plan}"));
    line.split_once('(').expect("servers").1.split(' ').next().expect("a number").to_owned()
}

#[test]
fn a_store_that_is_given_opens_a_value_and_takes_away_a_machine() {
    let without = plan(AXES);
    let reason = "registry = incluster-s3, taken out by registry-on-s3-needs-a-given-store";
    assert!(without.contains(reason) && without.contains("give one in [stores.s3]"), "{without}");
    let with = plan(&format!("{AXES}{S3}"));
    assert!(!with.contains("taken out"), "{with}");
    assert!(with.contains("stores given by the matrix: https://s3.example.com, used by 8 cells"), "{with}");
    // One node more for the scenario that adds one.
    for (cell, machines) in [
        ("registry-incluster-s3", ("", "2")),
        ("storage-s3", ("3", "2")),
        ("registry-external", ("3", "3")),
        ("database-external--storage-s3", ("3", "3")),
    ] {
        if !machines.0.is_empty() {
            assert_eq!(servers(&without, cell), machines.0, "{cell}\n{without}");
        }
        assert_eq!(servers(&with, cell), machines.1, "{cell}\n{with}");
    }
    let plain = plan(&format!("{AXES}{}", S3.replace("https", "http")));
    assert!(plain.contains("taken out by registry-on-s3-needs-https"), "{plain}");
}

#[test]
fn a_secret_that_is_not_there_is_told_before_anything_is_created() {
    let program = Program::new();
    let matrix = program.write("matrix.toml", &format!("[axes]\nregistry = [\"incluster-s3\"]\n{S3}"));
    let matrix = matrix.display().to_string();
    let mut env = BTreeMap::from([("GSH_S3_ACCESS_KEY".to_owned(), "an access key".to_owned())]);
    let ended = program.run_with(&["--matrix", &matrix], &env);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    for said in ["matrix.toml: `secret-key-from` of [stores.s3]", "GSH_S3_SECRET_KEY, and that is not set"] {
        assert!(ended.stderr.contains(said), "{said}\n{}", ended.stderr);
    }
    assert!(!ended.out.exists(), "no run directory");
    // Nobody asks for the keys of a store that no cell uses.
    env.clear();
    let unused = program.write("unused.toml", &format!("[axes]\nshift = [\"fuse\"]\n{S3}")).display().to_string();
    let ended = program.run_with(&["--matrix", &unused, "--scenario", "install-conformance"], &env);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(!ended.file("results.json").contains("s3.example.com"), "a store that was not used is no input");
}

#[test]
fn an_authority_that_is_not_there_is_told_with_its_place() {
    let program = Program::new();
    let registry = "[stores.registry]\nurl = \"registry.example.com\"\nusername = \"gsh\"\n\
                    password-from = \"GSH_REGISTRY_PASSWORD\"\nca = \"ca.pem\"\n";
    let matrix = program.write("matrix.toml", &format!("[axes]\nregistry = [\"external\"]\n{registry}"));
    let matrix = matrix.display().to_string();
    let env = BTreeMap::from([("GSH_REGISTRY_PASSWORD".to_owned(), "a password".to_owned())]);
    let ended = program.run_with(&["--matrix", &matrix], &env);
    assert!(ended.code == 2 && ended.stderr.contains("`ca` of [stores.registry]: cannot use `"), "{}", ended.stderr);
    program.write("ca.pem", "no certificate");
    let ended = program.run_with(&["--matrix", &matrix], &env);
    assert!(ended.code == 2 && ended.stderr.contains("certificates in PEM form"), "{}", ended.stderr);
}

#[test]
fn a_shard_whose_cells_use_no_store_needs_no_keys_and_belongs_to_the_others() {
    let program = Program::new();
    let matrix = program.write("matrix.toml", &format!("[axes]\nregistry = [\"incluster\", \"incluster-s3\"]\n{S3}"));
    let matrix = matrix.display().to_string();
    let (access, secret) = ("the access key of this world", "the secret key of this world");
    let world = format!(
        "[outside.s3]\nhost = \"s3.example.com\"\naccess-key = {access:?}\nsecret-key = {secret:?}\nbuckets = [\"content\", \"images\"]\n"
    );
    let world = program.write("world.toml", &world).display().to_string();
    let file = program.folder().join("plan.json").display().to_string();
    let scenario = ["--scenario", "install-conformance"];
    let planned = program.gsh(
        &[&["plan", "--cover", "full", "--matrix", &matrix, "--max-jobs", "2", "--output", &file][..], &scenario]
            .concat(),
    );
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    let keys = BTreeMap::from([("GSH_S3_ACCESS_KEY", access), ("GSH_S3_SECRET_KEY", secret)]);
    let mut runs = Vec::new();
    for (shard, env) in [("01", BTreeMap::new()), ("02", keys)] {
        let out = program.folder().join(shard).display().to_string();
        let mut command = program.command();
        command.args(["run", "--provider", "embedded", "--world", &world, "--matrix", &matrix, "--plan", &file]);
        let ended =
            program.ended(command.args(["--shard", shard, "--out", &out]).envs(env).output().expect("gsh starts"));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        runs.push(out);
    }
    let report = program.gsh(&["report", &runs[0], &runs[1], "--format", "json"]);
    assert_eq!(report.code, 0, "{}", report.stderr);
    assert!(report.stdout.contains("s3 https://s3.example.com, buckets content and images"), "{}", report.stdout);
    assert!(!report.stdout.contains(secret), "{}", report.stdout);
}
