//! The folder of a look whose results nobody asked to keep: gone with its process, and where that was killed with the next one.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::program::Program;
use crate::verify::{Installed, command, text, verify};

/// Temporary folders of looks.
fn folders(program: &Program) -> BTreeSet<String> {
    let entries = Path::new(program.folder()).read_dir().expect("the folder").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("gsh-verify-")).collect()
}

/// A watch that runs.
struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        // It still runs only where a test has failed already.
        let _gone = (self.0.kill(), self.0.wait());
    }
}

/// A watch that has shown its first look.
fn watching(program: &Program, args: &[&str]) -> Watch {
    let mut child =
        command(program).args(args).arg("--watch").stdout(Stdio::piped()).spawn().expect("gsh-verify starts");
    let mut first = String::new();
    let stdout = child.stdout.as_mut().expect("piped");
    BufReader::new(stdout).read_line(&mut first).expect("a line");
    assert!(first.contains("cells"), "{first}");
    Watch(child)
}

#[test]
fn a_killed_look_leaves_its_folder_to_the_next_one_and_nobody_takes_that_of_the_living() {
    let installed = Installed::start();
    let program = Program::new();
    let mut args = vec!["--kubeconfig", installed.emulation.variable("KUBECONFIG"), "--format", "json", "--quiet"];
    args.extend(installed.args());

    let mut killed = watching(&program, &args);
    let its = folders(&program);
    let mut living = watching(&program, &args);
    let both = folders(&program);
    assert!(its.len() == 1 && both.len() == 2 && its.is_subset(&both), "{its:?} {both:?}");
    killed.0.kill().expect("it runs");
    killed.0.wait().expect("it is dead");
    assert_eq!(folders(&program), both, "whoever is killed removes nothing");

    let (code, stdout, stderr) = text(&verify(&program, &args));
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert_eq!(folders(&program), &both - &its, "the dead one's, and no other");

    assert!(Command::new("kill").args(["-INT", &living.0.id().to_string()]).status().expect("kill").success());
    assert!(living.0.wait().expect("it ends").success());
    assert_eq!(folders(&program), BTreeSet::new());
    installed.emulation.interrupt();
}
