//! A repository that has copied the pipeline files, and the released program that its pipelines install.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{Program, root};

/// What a night on the embedded world is judged by. Everything else as in the project's own policy.
pub(crate) const POLICY: &str = r#"
evidence = ["emulated"]
seal     = "required"
[require]
scenarios = ["docker-in-workspace"]
coverage  = { t = 1, ratio = 0.1 }
"#;

/// Two cells: gsh's own machine templates, and the distribution's.
const MATRIX: &str = "[axes]\ntemplate = [\"gsh\", \"community\"]\n";

/// A repository with a bare origin, both in a folder of their own.
pub(crate) struct Repository {
    program: Program,
    sha256: String,
}

pub(crate) fn git(folder: &Path, args: &[&str]) -> String {
    let done = Command::new("git").current_dir(folder).args(args).env("HOME", folder).output().expect("git starts");
    assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// The newest commit of a branch.
pub(crate) fn head(folder: &Path, branch: &str) -> String {
    git(folder, &["rev-parse", branch]).trim().to_owned()
}

/// A program of this text.
pub(crate) fn script(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(path, text).expect("a program");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(path, mode).expect("it can be run");
}

/// Copies a file or a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("it can be listed").flatten() {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
        return;
    }
    std::fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");
    std::fs::copy(from, to).expect("it can be copied");
}

impl Repository {
    /// `template` is the distribution's folder; `wrap` are lines of a shell script before `gsh` is started.
    pub(crate) fn new(template: &str, wrap: &str) -> Self {
        let program = Program::new();
        let folder = program.folder().to_owned();
        let work = folder.join("repository");
        for name in ["gsh-nightly.yml", "gsh-gate.yml", "gsh-janitor.yml"] {
            copy(&root().join("ci/github").join(name), &work.join(".github/workflows").join(name));
        }
        copy(&root().join("ci/github/gsh"), &work.join(".github/actions/gsh"));
        copy(&root().join("ci/gitlab/gsh.gitlab-ci.yml"), &work.join(".gitlab-ci.yml"));
        std::fs::create_dir_all(work.join("ci")).expect("a folder");
        std::fs::write(work.join("ci/matrix.toml"), MATRIX).expect("a matrix");
        std::fs::write(work.join("ci/gate.toml"), POLICY).expect("a policy");
        git(&folder, &["init", "-q", "-b", "main", "repository"]);
        git(&work, &["config", "user.name", "t"]);
        git(&work, &["config", "user.email", "t@example.org"]);
        git(&work, &["add", "."]);
        git(&work, &["commit", "-q", "-m", "Start"]);
        git(&folder, &["clone", "-q", "--bare", "repository", "origin.git"]);
        let origin = folder.join("origin.git");
        // As forges do: what a pull request consists of can be fetched by its commit.
        git(&origin, &["config", "uploadpack.allowAnySHA1InWant", "true"]);
        git(&work, &["remote", "add", "origin", &origin.display().to_string()]);

        // The program as a release has it, on the world of this test and with one scenario only.
        let template = root().join("fixtures/templates").join(template).display().to_string();
        let gsh = env!("CARGO_BIN_EXE_gsh");
        let text = format!(
            "#!/usr/bin/env bash\nset -u\ncase \"$1\" in\n  plan) set -- \"$@\" --scenario docker-in-workspace ;;\n  \
             run) set -- \"$@\" --community {template} ;;\nesac\n{wrap}\nexec {gsh} \"$@\"\n"
        );
        script(&folder.join("release/gsh-0.1.0/gsh"), &text);
        let run = |program: &str, args: &[&str]| {
            let done = Command::new(program).current_dir(folder.join("release")).args(args).output();
            let done = done.unwrap_or_else(|e| panic!("{program}: {e}"));
            assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
            String::from_utf8_lossy(&done.stdout).into_owned()
        };
        run("tar", &["-czf", "gsh.tar.gz", "gsh-0.1.0"]);
        let sum = run("sha256sum", &["gsh.tar.gz"]);
        let sha256 = sum.split_whitespace().next().expect("a checksum").to_owned();
        Self { program, sha256 }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.program.folder()
    }

    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    pub(crate) fn origin(&self) -> PathBuf {
        self.folder().join("origin.git")
    }

    /// The variables by which pipelines find the program.
    pub(crate) fn variables(&self) -> [(String, String); 2] {
        let url = format!("file://{}", self.folder().join("release/gsh.tar.gz").display());
        [("GSH_URL".to_owned(), url), ("GSH_SHA256".to_owned(), self.sha256.clone())]
    }

    /// A file as a branch has it.
    pub(crate) fn show(&self, branch: &str, path: &str) -> String {
        git(&self.origin(), &["show", &format!("{branch}:{path}")])
    }

    /// Commits a file to a branch, which grows from `main` where there is none yet, and pushes it.
    pub(crate) fn commit(&self, branch: &str, path: &str, text: &str) {
        let work = self.folder().join("repository");
        let known = !git(&self.origin(), &["branch", "--list", branch]).is_empty();
        let start = head(&self.origin(), if known { branch } else { "main" });
        git(&work, &["fetch", "-q", "origin"]);
        git(&work, &["checkout", "-q", "-B", branch, &start]);
        std::fs::write(work.join(path), text).expect("a file");
        git(&work, &["add", "."]);
        git(&work, &["commit", "-q", "-m", "Change"]);
        git(&work, &["push", "-q", "origin", &format!("{branch}:{branch}")]);
    }
}

/// Lines before a released program that show which certificate a run would be given, instead of running.
pub(super) const SHOW_CERTIFICATE: &str = r#"
if [ "$1" = run ]; then
  while [ $# -gt 0 ]; do
    case "$1" in
      --tls-cert | --tls-key) echo "given $1: $(cat "$2")" ;;
      --tls-domain) echo "given $1: $2" ;;
    esac
    shift
  done
  exit 0
fi
"#;

/// What [`SHOW_CERTIFICATE`] shows of a whole one.
pub(super) const WHOLE_CERTIFICATE: [&str; 3] =
    ["given --tls-cert: the chain", "given --tls-key: the key", "given --tls-domain: gitpod.example.org"];
