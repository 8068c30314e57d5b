//! The embedded nightly, measured from outside: wall time, CPU time, peak memory and API requests of one whole run.
//!
//! `cargo bench --bench nightly` builds the release program and runs it; `cargo bench --bench nightly -- PROGRAM…` runs
//! others instead, those of `ci/package` for instance, in turn. The figures stand beside what the same machine needs for one
//! cell alone, because seconds of different machines cannot be compared; ratios can.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

struct Measured {
    wall: Duration,
    cpu: Duration,
    /// Largest resident size of any child so far, in KiB.
    peak_kib: i64,
    subjects: usize,
}

fn children_cpu() -> (Duration, i64) {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the system accounts for children");
    let time = |t: nix::sys::time::TimeVal| {
        Duration::from_secs(u64::try_from(t.tv_sec()).unwrap_or(0))
            + Duration::from_micros(u64::try_from(t.tv_usec()).unwrap_or(0))
    };
    (time(usage.user_time()) + time(usage.system_time()), usage.max_rss())
}

fn run(program: &Path, name: &str, folder: &Path, args: &[&str]) -> Measured {
    let out = folder.join(name);
    let (before, _) = children_cpu();
    let began = Instant::now();
    let status = Command::new(program)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["run", "--provider", "embedded", "--quiet", "--out"])
        .arg(&out)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("gsh starts");
    let wall = began.elapsed();
    assert!(status.success(), "{name}: {status}");
    let (after, peak_kib) = children_cpu();
    let results = std::fs::read_to_string(out.join("results.json")).expect("results.json");
    let results: serde_json::Value = serde_json::from_str(&results).expect("JSON");
    let subjects = results["cells"]
        .as_array()
        .map_or(0, |cells| cells.iter().map(|c| c["subjects"].as_array().map_or(0, Vec::len)).sum());
    Measured { wall, cpu: after - before, peak_kib, subjects }
}

/// One cell alone, and the whole night.
fn measure(program: &Path) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let matrix = folder.path().join("one.toml");
    std::fs::write(&matrix, "[axes]\nsize = [\"single\"]\n").expect("write");
    let matrix = matrix.display().to_string();
    let one = run(program, "one", folder.path(), &["--matrix", &matrix, "--cover", "full"]);
    let all = run(program, "all", folder.path(), &["--cover", "pairwise"]);
    let show = |name: &str, m: &Measured| {
        println!(
            "{name:<28} {:6.2} s wall  {:6.2} s CPU  {:5} MiB peak  {:3} subjects",
            m.wall.as_secs_f64(),
            m.cpu.as_secs_f64(),
            m.peak_kib / 1024,
            m.subjects
        );
    };
    println!("{}", program.display());
    show("one cell", &one);
    show("pairwise plan of ci/matrix", &all);
    println!(
        "ratio of the nightly to one cell alone, per subject: wall {:.2}, CPU {:.2}",
        (all.wall.as_secs_f64() / all.subjects as f64) / (one.wall.as_secs_f64() / one.subjects as f64),
        (all.cpu.as_secs_f64() / all.subjects as f64) / (one.cpu.as_secs_f64() / one.subjects as f64),
    );
}

fn main() {
    // Cargo adds flags of its own.
    let given: Vec<PathBuf> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).map(PathBuf::from).collect();
    if given.is_empty() {
        measure(Path::new(env!("CARGO_BIN_EXE_gsh")));
    }
    for program in given {
        measure(&program.canonicalize().unwrap_or(program));
    }
}
