//! Can the user of a workspace run, build and network containers?

use gsh_engine::BoxFuture;
use gsh_engine::bench::{Bench, Scenario};
use gsh_engine::failure::Failure;
use gsh_gitpod::wsman::WsManager;
use gsh_model::scenario::{Impact, Need, ScenarioId, ScenarioSpec};

use crate::guest::{Guest, launch, succeeded};

pub(crate) const SCENARIO: Scenario = Scenario { spec, run };

fn spec() -> ScenarioSpec {
    ScenarioSpec {
        id: ScenarioId::of("docker-in-workspace"),
        asks: "can its user run, build and network containers".to_owned(),
        needs: vec![Need::Writable],
        impact: Impact::CreatesWorkspace,
        patience_s: 25 * 60,
        file: "scenarios/src/docker_in_workspace.rs".to_owned(),
    }
}

fn run(bench: &Bench) -> BoxFuture<'_, Result<(), Failure>> {
    Box::pin(examine(bench))
}

/// One command that must succeed, and what it must print.
struct Command {
    code: &'static str,
    title: &'static str,
    shell: &'static str,
    prints: &'static str,
}

/// In this order; each builds on the daemon that the first one wakes up.
const COMMANDS: &[Command] = &[
    Command { code: "GSH-DKR-002", title: "commands run as the workspace's user", shell: "id -u", prints: "33333" },
    Command {
        code: "GSH-DKR-003",
        title: "the Docker daemon comes up on its first call",
        shell: "docker info --format '{{.ServerVersion}}'",
        prints: ".",
    },
    Command {
        code: "GSH-DKR-004",
        title: "a container runs",
        shell: "docker run --rm hello-world",
        prints: "Hello from Docker!",
    },
    Command {
        code: "GSH-DKR-005",
        title: "an image is built",
        shell: "printf 'FROM alpine:3.16\\nRUN echo built > /gsh\\n' | docker build -q -t gsh-check - && docker run --rm gsh-check cat /gsh",
        prints: "built",
    },
    Command {
        code: "GSH-DKR-006",
        title: "a published port answers",
        shell: "docker run -d --name gsh-web -p 18080:80 nginx:alpine >/dev/null && for i in 1 2 3 4 5 6 7 8 9 10; do \
                curl -fsS http://localhost:18080/ && break; sleep 1; done; code=$?; docker rm -f gsh-web >/dev/null; exit $code",
        prints: "nginx",
    },
    Command {
        code: "GSH-DKR-007",
        title: "docker-compose is there",
        shell: "docker-compose version",
        prints: "version",
    },
];

async fn examine(bench: &Bench) -> Result<(), Failure> {
    let wsman = WsManager::new(bench.cluster(), bench.installation())?;
    let guest = Guest::open(bench, &wsman, launch(bench), "GSH-DKR-001", "a workspace starts and runs").await?;
    for command in COMMANDS {
        bench.check(command.code, command.title, works(bench, &guest, command)).await?;
    }
    bench.check("GSH-DKR-008", "an image that does not exist cannot be run", refuses(bench, &guest)).await
}

async fn works(bench: &Bench, guest: &Guest, command: &Command) -> Result<(), Failure> {
    let done = guest.run(bench, command.code, command.shell).await?;
    bench.keep(&format!("{}.txt", command.code), format!("{}\n{}", done.stdout, done.stderr).as_bytes()).await;
    succeeded(&done, command.code, &format!("`{}` succeeds", command.shell))?;
    if !done.stdout.contains(command.prints) {
        let expected = format!("`{}` prints `{}`", command.shell, command.prints);
        return Err(Failure::product(command.code, expected, format!("it printed `{}`", done.stdout.trim())));
    }
    Ok(())
}

/// Proves that the exit codes seen above are real ones.
async fn refuses(bench: &Bench, guest: &Guest) -> Result<(), Failure> {
    let code = "GSH-DKR-008";
    let done = guest.run(bench, code, "docker run --rm gsh-no-such-image:never").await?;
    let says = |word: &&str| done.stderr.contains(*word);
    let no_such_image = ["pull access denied", "does not exist", "not found", "manifest unknown"];
    match done.code {
        0 => Err(Failure::product(code, "`docker run` of an unknown image fails", "it succeeded")),
        // Docker's own code for "the container was not even made"; any other comes from somewhere else.
        125 if no_such_image.iter().any(says) => Ok(()),
        125 => Err(Failure::environment(code, "the registry says that there is no such image", done.stderr.trim())),
        other => {
            let observed = format!("exit code {other}: {}", done.stderr.trim());
            Err(Failure::product(code, "`docker run` of an unknown image ends with exit code 125", observed))
        }
    }
}
