//! Observations about finished nodes, each a named check over all of them: what Gitpod will rely on.

use std::net::IpAddr;
use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::reach::Reach;
use gsh_model::axis::{Shift, Template};
use gsh_model::outcome::{Blame, SkipReason};
use gsh_ssh::SshError;
use gsh_ssh::sections::{Sections, section};
use k8s_openapi::api::core::v1::Node;
use tokio::time::Instant;

use super::WORKLOAD_LABELS;
use super::boot::{Machine, enter};
use super::node::SENTINEL;

/// Mounts shiftfs twice, as ws-daemon does, writes through it and reads back: a module that loads may still fail with
/// EOVERFLOW, as on Ubuntu's kernels from 5.15.0-48 on (Launchpad bug 1990849).
const SHIFTFS_WORKS: &str = "d=$(mktemp -d) && mkdir \"$d/a\" \"$d/b\" && mount -t shiftfs -o mark \"$d/a\" \"$d/a\" \
    && mount -t shiftfs \"$d/a\" \"$d/b\" && echo works > \"$d/b/f\" && cat \"$d/b/f\" && umount \"$d/b\" && umount \"$d/a\"";

/// A node with what it says about itself.
struct Facts<'a> {
    name: &'a str,
    address: IpAddr,
    port: u16,
    digest: Option<&'a str>,
    says: Sections,
}

/// Looks at every machine and records the checks.
///
/// # Errors
/// The first check that failed, after all were recorded.
pub async fn examine(
    cx: &Cx,
    reach: &Reach,
    machines: &[Machine<'_>],
    nodes: &[Node],
    labelled: &[&str],
    shift: Shift,
    template: Template,
) -> Result<(), Failure> {
    let ours = |blame: Blame| match template {
        Template::Gsh => blame,
        Template::Community => Blame::Product,
    };
    let looks = machines.iter().map(|machine| facts(cx, reach, machine, shift));
    let facts: Result<Vec<Facts<'_>>, Failure> = futures::future::join_all(looks).await.into_iter().collect();
    let reached = facts.as_ref().map(|_| ()).map_err(Clone::clone);
    let mut results = vec![
        cx.check("GSH-NODE-020", "every node's sshd answers on port 2244 with its pinned host key", async { reached })
            .await,
    ];
    let facts = facts?;

    if reach.is_direct(22) {
        let free = on_all(ours(Blame::Environment), "GSH-NODE-021", "no sshd on port 22", &facts, |f| {
            let listens = |port: u16| f.says.get("listeners").lines().find(|l| l.contains(&format!(":{port} ")));
            match (listens(22), listens(f.port)) {
                (Some(line), _) => Some(format!("it listens: {}", line.trim())),
                // We came in by that port: a list without it is no list of listeners.
                (None, None) => Some("its listeners cannot be seen".to_owned()),
                (None, Some(_)) => None,
            }
        });
        let outside = nobody_on_22(reach, &facts, ours(Blame::Environment));
        let both = async {
            free?;
            outside.await
        };
        results.push(cx.check("GSH-NODE-021", "port 22 of every node is free of sshd", both).await);
    } else {
        let reason = SkipReason("privileged ports are moved in this run".to_owned());
        cx.skip("GSH-NODE-021", "port 22 of every node is free of sshd", reason).await;
    }

    let kernels = on_all(Blame::Environment, "GSH-NODE-022", "a kernel of 5.4 or later", &facts, |f| {
        let kernel = f.says.get("kernel");
        (version(kernel) < Some((5, 4))).then(|| format!("`{kernel}`"))
    });
    results.push(cx.check("GSH-NODE-022", "every node's kernel is 5.4 or later", async { kernels }).await);

    match shift {
        Shift::Shiftfs => {
            let works = on_all(ours(Blame::Environment), "GSH-NODE-023", "a working shiftfs", &facts, |f| {
                let loaded = f.says.get("filesystems").lines().any(|l| l.split_whitespace().last() == Some("shiftfs"));
                match (loaded, f.says.get("shiftfs")) {
                    (true, "works") => None,
                    (true, _) => Some("loaded, but mounting it fails".to_owned()),
                    (false, _) => Some("not loaded".to_owned()),
                }
            });
            results.push(cx.check("GSH-NODE-023", "shiftfs is loaded and mounts on every node", async { works }).await);
        }
        Shift::Fuse => {
            let there = on_all(ours(Blame::Environment), "GSH-NODE-024", "the device /dev/fuse", &facts, |f| {
                let device = f.says.get("fuse");
                (device != "a:e5").then(|| format!("`{device}`"))
            });
            results.push(cx.check("GSH-NODE-024", "every node has /dev/fuse", async { there }).await);
        }
    }

    let labels = labels(nodes, labelled, ours(Blame::Harness));
    results
        .push(cx.check("GSH-NODE-025", "the nodes for workloads carry Gitpod's five labels", async { labels }).await);

    let sealed = on_all(ours(Blame::Environment), "GSH-NODE-026", "the digest of the template", &facts, |f| {
        let found = f.says.get("sentinel");
        f.digest.filter(|digest| *digest != found).map(|digest| format!("`{found}` instead of `{digest}`"))
    });
    match template {
        Template::Gsh => {
            let title = "every node was made from the template that was sent";
            results.push(cx.check("GSH-NODE-026", title, async { sealed }).await);
        }
        // The templates of a distribution leave no sentinel.
        Template::Community => {}
    }
    results.into_iter().collect()
}

async fn facts<'a>(cx: &Cx, reach: &Reach, machine: &'a Machine<'_>, shift: Shift) -> Result<Facts<'a>, Failure> {
    let mut commands = vec![
        ("kernel", "uname -r".to_owned()),
        ("filesystems", "cat /proc/filesystems".to_owned()),
        ("fuse", "stat -c %t:%T /dev/fuse".to_owned()),
        ("listeners", "ss -Hltn".to_owned()),
        ("sentinel", format!("cat {SENTINEL}")),
    ];
    match shift {
        Shift::Shiftfs => commands.push(("shiftfs", SHIFTFS_WORKS.to_owned())),
        Shift::Fuse => {}
    }
    let commands: Vec<(&str, &str)> = commands.iter().map(|(n, c)| (*n, c.as_str())).collect();
    let failed = |e: &gsh_ssh::SshError| {
        Failure::environment("GSH-NODE-020", format!("`{}` to answer", machine.name), e.to_string()).because(e)
    };
    let look = async {
        let session = enter(reach, machine.login, machine.login.port).await.map_err(|e| failed(&e))?;
        let deadline = cx.deadline().min(Instant::now() + Duration::from_secs(30));
        let output = session.exec(&section(&commands), b"", deadline).await.map_err(|e| failed(&e))?;
        session.close().await;
        Ok(output)
    };
    let output = tokio::select! {
        output = look => output?,
        () = cx.stopped() => return Err(Failure::stopped(format!("a look at `{}`", machine.name))),
    };
    let says = Sections::parse(&output.text());
    Ok(Facts {
        name: machine.name,
        address: machine.login.address,
        port: machine.login.port,
        digest: machine.digest,
        says,
    })
}

fn on_all(
    blame: Blame,
    code: &'static str,
    expected: &str,
    facts: &[Facts<'_>],
    wrong: impl Fn(&Facts<'_>) -> Option<String>,
) -> Result<(), Failure> {
    let bad: Vec<String> = facts.iter().filter_map(|f| wrong(f).map(|w| format!("{}: {w}", f.name))).collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(Failure::new(blame, code, format!("{expected} on {} nodes", facts.len()), bad.join(", ")))
}

async fn nobody_on_22(reach: &Reach, facts: &[Facts<'_>], blame: Blame) -> Result<(), Failure> {
    let mut bad = Vec::new();
    for fact in facts {
        let deadline = Instant::now() + Duration::from_secs(3);
        match gsh_ssh::banner(reach.at(fact.address, 22), deadline).await {
            Ok(banner) => bad.push(format!("{}: {banner}", fact.name)),
            // Refused or filtered: Gitpod is not installed yet, so nobody may answer.
            Err(
                SshError::Refused { .. }
                | SshError::Unreachable { .. }
                | SshError::TimedOut { during: "connecting", .. },
            ) => {}
            Err(e) => bad.push(format!("{}: {e}", fact.name)),
        }
    }
    if bad.is_empty() {
        return Ok(());
    }
    Err(Failure::new(blame, "GSH-NODE-021", "no sshd on port 22 from outside", bad.join(", ")))
}

fn labels(nodes: &[Node], labelled: &[&str], blame: Blame) -> Result<(), Failure> {
    let mut bad = Vec::new();
    for node in nodes {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        if !labelled.contains(&name) {
            continue;
        }
        let has =
            |label: &str| node.metadata.labels.as_ref().and_then(|l| l.get(label)).is_some_and(|value| value == "true");
        let missing: Vec<&str> = WORKLOAD_LABELS.into_iter().filter(|label| !has(label)).collect();
        if !missing.is_empty() {
            bad.push(format!("{name} lacks {}", missing.join(", ")));
        }
    }
    if bad.is_empty() {
        return Ok(());
    }
    Err(Failure::new(blame, "GSH-NODE-025", "the five workload labels with the value `true`", bad.join("; ")))
}

fn version(kernel: &str) -> Option<(u32, u32)> {
    let mut parts = kernel.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_compared_as_numbers() {
        assert!(version("5.15.0-91-generic") > Some((5, 4)));
        assert!(version("5.4.0") >= Some((5, 4)));
        assert!(version("4.15.0-20-generic") < Some((5, 4)));
        assert!(version("") < Some((5, 4)), "an unknown kernel is no good kernel");
    }
}
