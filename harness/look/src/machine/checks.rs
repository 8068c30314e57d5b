//! What is asked of a machine, and what its answers amount to.

use gsh_model::axis::Shift;
use jiff::{SignedDuration, Timestamp};

use super::{Answers, Machine};
use crate::checks::{Seen, Severity, Verdict};
use crate::record::Record;

/// The commands, by the names of their sections. None of them changes anything.
pub const COMMANDS: [(&str, &str); 24] = [
    ("user", "id -u"),
    ("clock", "date +%s"),
    ("kernel", "uname -r"),
    (
        "modules",
        "for m in br_netfilter overlay nf_tables vxlan; do test -d /sys/module/$m || modprobe -n $m; echo $m $?; done",
    ),
    ("filesystems", "cat /proc/filesystems"),
    ("fuse", "stat -c %t:%T /dev/fuse"),
    ("sources", "test -d /usr/src"),
    ("namespaces", "cat /proc/sys/user/max_user_namespaces"),
    ("unprivileged", "cat /proc/sys/kernel/unprivileged_userns_clone"),
    ("socket", "test -S SOCKET"),
    ("listeners", "ss -Hltn"),
    ("synchronized", "timedatectl show -p NTPSynchronized --value"),
    ("server", "systemctl is-active k3s"),
    ("agent", "systemctl is-active k3s-agent"),
    ("server-restarts", "systemctl show -p NRestarts --value k3s"),
    ("agent-restarts", "systemctl show -p NRestarts --value k3s-agent"),
    ("disk", "df -Pk /var/lib"),
    ("inodes", "df -Pi /var/lib"),
    ("cgroup", "stat -fc %T /sys/fs/cgroup"),
    ("runtimes", "systemctl is-active containerd docker"),
    ("swaps", "cat /proc/swaps"),
    ("watches", "cat /proc/sys/fs/inotify/max_user_watches"),
    ("reboot", "test -e /var/run/reboot-required"),
    ("failed", "systemctl --failed --no-legend --plain"),
];

/// Code, title and severity of each check.
pub const CODES: [(&str, &str, Severity); 17] = [
    ("GSH-LOOK-150", "every machine shows a known host key and lets us in", Severity::Fail),
    ("GSH-LOOK-151", "every machine's kernel is 5.4 or later", Severity::Fail),
    ("GSH-LOOK-152", "every machine has the kernel modules that pods and workspaces need", Severity::Fail),
    ("GSH-LOOK-153", "every machine can shift user ids as the record says", Severity::Fail),
    ("GSH-LOOK-154", "every machine has the folder /usr/src", Severity::Fail),
    ("GSH-LOOK-155", "every machine allows user namespaces", Severity::Fail),
    ("GSH-LOOK-156", "every machine has containerd's socket where Gitpod looks for it", Severity::Fail),
    ("GSH-LOOK-157", "port 22 of every machine is free of sshd", Severity::Fail),
    ("GSH-LOOK-158", "every machine's clock is right", Severity::Fail),
    ("GSH-LOOK-159", "k3s runs on every machine and is not restarted again and again", Severity::Fail),
    ("GSH-LOOK-160", "every machine has 30 GB and a tenth of its inodes free", Severity::Warn),
    ("GSH-LOOK-161", "all machines have one version of cgroups", Severity::Warn),
    ("GSH-LOOK-162", "no machine runs a second container runtime", Severity::Warn),
    ("GSH-LOOK-163", "no machine swaps", Severity::Warn),
    ("GSH-LOOK-164", "every machine allows a million inotify watches", Severity::Warn),
    ("GSH-LOOK-165", "no machine waits for a reboot", Severity::Warn),
    ("GSH-LOOK-166", "no unit of a machine has failed", Severity::Warn),
];

/// What one machine's answer amounts to.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Good,
    Bad(String),
    Unknown(String),
}

impl Told {
    fn bad_if(bad: bool, observed: impl Into<String>) -> Self {
        if bad { Self::Bad(observed.into()) } else { Self::Good }
    }
}

/// Judges all machines together, in the order of [`CODES`].
pub(super) fn judge(machines: &[Machine], record: &Record) -> Vec<Seen> {
    let shift = record.text("/workspace/runtime/fsShiftMethod").unwrap_or("fuse").parse::<Shift>();
    let all = |expected: &str, told: &dyn Fn(&Answers) -> Told| together(machines, expected, told);
    let verdicts = [
        entered(machines),
        all("a kernel of 5.4 or later", &kernel),
        all("br_netfilter, overlay, nf_tables and vxlan, loaded or to be loaded", &modules),
        match shift {
            Ok(Shift::Fuse) => all("the device /dev/fuse (10:229)", &fuse),
            Ok(Shift::Shiftfs) => all("shiftfs among the known file systems", &shiftfs),
            Err(e) => Verdict::Unknown(format!("the record's fsShiftMethod: {e}")),
        },
        all("the folder /usr/src", &|a| present(a, "sources", "it is not there")),
        all("user namespaces, also for users other than root", &namespaces),
        all("containerd's socket", &|a| present(a, "socket", "it is not there")),
        if record.gateway() {
            all("no listener on port 22, which belongs to Gitpod's gateway", &port_22)
        } else {
            Verdict::NotHere("the record has no SSH gateway: port 22 is the machine's own".to_owned())
        },
        all("a synchronised clock that differs from ours by less than two seconds", &clock),
        all("the unit active, with two restarts at most", &unit),
        all("30 GB and a tenth of the inodes free below /var/lib", &disk),
        one_cgroup(machines),
        all("neither containerd nor docker beside k3s", &runtimes),
        all("no swap", &swaps),
        all("1000000 watches and more", &watches),
        all("no reboot pending", &reboot),
        all("no failed unit", &failed),
    ];
    let rows = CODES.iter().zip(verdicts);
    rows.map(|((code, title, severity), verdict)| Seen { code, title, severity: *severity, verdict }).collect()
}

fn entered(machines: &[Machine]) -> Verdict {
    let (mut bad, mut wanted, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for verdict in machines.iter().filter_map(Machine::entered) {
        match verdict {
            Verdict::Bad { expected, observed } => {
                wanted.push(expected);
                bad.push(observed);
            }
            Verdict::Unknown(why) => unknown.push(why),
            Verdict::Good | Verdict::NotHere(_) => {}
        }
    }
    match (bad.is_empty(), unknown.is_empty()) {
        (false, _) => Verdict::Bad { expected: wanted.join("; "), observed: bad.join("; ") },
        (true, false) => Verdict::Unknown(unknown.join("; ")),
        (true, true) => Verdict::Good,
    }
}

/// Bad when one machine is; else unknown when one of them does not tell.
fn together(machines: &[Machine], expected: &str, told: &dyn Fn(&Answers) -> Told) -> Verdict {
    let (mut bad, mut unknown) = (Vec::new(), Vec::new());
    for machine in machines {
        let name = &machine.name;
        match machine.said.as_ref().map(told) {
            Ok(Told::Good) => {}
            Ok(Told::Bad(observed)) => bad.push(format!("{name}: {observed}")),
            Ok(Told::Unknown(why)) => unknown.push(format!("{name}: {why}")),
            Err(_) => unknown.push(format!("{name}: nobody could look, see GSH-LOOK-150")),
        }
    }
    if bad.is_empty() && !unknown.is_empty() {
        return Verdict::Unknown(unknown.join("; "));
    }
    Verdict::of(expected, bad)
}

/// A text that a command must give.
fn text<'a>(answers: &'a Answers, section: &str) -> Result<&'a str, Told> {
    match (answers.sections.get(section), answers.sections.status(section)) {
        (text, Some(_)) if !text.is_empty() => Ok(text),
        (_, status) => Err(silent(section, status)),
    }
}

fn silent(section: &str, status: Option<i32>) -> Told {
    let command = COMMANDS.iter().find(|(name, _)| *name == section).map_or(section, |(_, command)| *command);
    Told::Unknown(match status {
        Some(status) => format!("`{command}` says nothing and ends with {status}"),
        None => format!("`{command}` was not answered"),
    })
}

fn number(answers: &Answers, section: &str) -> Result<i64, Told> {
    let text = text(answers, section)?;
    text.parse().map_err(|_| Told::Unknown(format!("`{text}` is no number")))
}

fn told(judged: Result<Told, Told>) -> Told {
    judged.unwrap_or_else(|unknown| unknown)
}

/// A test of a file. Whoever is not root may be kept from seeing it.
fn present(answers: &Answers, section: &str, absent: &str) -> Told {
    match answers.sections.status(section) {
        Some(0) => Told::Good,
        Some(1) if answers.sections.get("user") == "0" || section == "sources" => Told::Bad(absent.to_owned()),
        Some(1) => Told::Unknown(format!("{absent}, or only root may see it")),
        status => silent(section, status),
    }
}

fn kernel(answers: &Answers) -> Told {
    let judge = || {
        let text = text(answers, "kernel")?;
        let mut parts = text.split(|c: char| !c.is_ascii_digit());
        let mut next = || parts.next()?.parse::<u32>().ok();
        match (next(), next()) {
            (Some(major), Some(minor)) => Ok(Told::bad_if((major, minor) < (5, 4), format!("`{text}`"))),
            _other => Ok(Told::Unknown(format!("`{text}` is no release of a kernel"))),
        }
    };
    told(judge())
}

fn modules(answers: &Answers) -> Told {
    let judge = || {
        let rows: Vec<(&str, &str)> =
            text(answers, "modules")?.lines().filter_map(|line| line.rsplit_once(' ')).collect();
        let with = |status: &str| rows.iter().filter(|(_, s)| *s == status).map(|(m, _)| *m).collect::<Vec<_>>();
        let missing = with("1");
        if rows.len() == 4 && missing.is_empty() && with("0").len() == 4 {
            return Ok(Told::Good);
        }
        if missing.is_empty() {
            return Ok(Told::Unknown("modprobe does not tell".to_owned()));
        }
        Ok(Told::Bad(format!("without {}", missing.join(", "))))
    };
    told(judge())
}

fn fuse(answers: &Answers) -> Told {
    match (answers.sections.get("fuse"), answers.sections.status("fuse")) {
        ("a:e5", _) => Told::Good,
        (other, Some(0)) => Told::Bad(format!("`{other}`")),
        (_, Some(1)) => Told::Bad("there is none".to_owned()),
        (_, status) => silent("fuse", status),
    }
}

fn shiftfs(answers: &Answers) -> Told {
    let judge = || {
        let known = text(answers, "filesystems")?.lines().any(|l| l.split_whitespace().last() == Some("shiftfs"));
        Ok(Told::bad_if(!known, "the module is not loaded"))
    };
    told(judge())
}

fn namespaces(answers: &Answers) -> Told {
    let judge = || {
        let most = number(answers, "namespaces")?;
        // Kernels of other distributions do not know this switch, and allow them.
        let refused = answers.sections.get("unprivileged") == "0";
        Ok(match (most, refused) {
            (..=0, _) => Told::Bad("user.max_user_namespaces is 0".to_owned()),
            (_, true) => Told::Bad("kernel.unprivileged_userns_clone is 0".to_owned()),
            (_, false) => Told::Good,
        })
    };
    told(judge())
}

fn port_22(answers: &Answers) -> Told {
    let judge = || {
        let lines = text(answers, "listeners")?;
        let listens = |port: u16| lines.lines().find(|l| l.contains(&format!(":{port} ")));
        Ok(match (listens(22), listens(answers.port)) {
            (Some(line), _) => Told::Bad(format!("`{}`", line.split_whitespace().collect::<Vec<_>>().join(" "))),
            // We came in by that port: a list without it is no list of listeners, or somebody forwards.
            (None, None) => {
                Told::Unknown(format!("port {}, by which we came, is not among its listeners", answers.port))
            }
            (None, Some(_)) => Told::Good,
        })
    };
    told(judge())
}

fn clock(answers: &Answers) -> Told {
    let judge = || {
        let (before, after) = answers.asked;
        let most = SignedDuration::from_secs(2);
        let shown = number(answers, "clock")?;
        let at = Timestamp::from_second(shown).map_err(|_| Told::Unknown(format!("`{shown}` is no time")))?;
        if at + most < before || at > after + most {
            return Ok(Told::Bad(format!("it shows {at} at {before}")));
        }
        Ok(match text(answers, "synchronized")? {
            "yes" => Told::Good,
            "no" => Told::Bad("nobody synchronises it".to_owned()),
            other => Told::Unknown(format!("`{other}`")),
        })
    };
    told(judge())
}

fn unit(answers: &Answers) -> Told {
    let judge = || {
        let (server, agent) = (text(answers, "server")?, text(answers, "agent")?);
        let (unit, restarts) = match (server, agent) {
            ("active", _) => ("k3s", "server-restarts"),
            (_, "active") => ("k3s-agent", "agent-restarts"),
            _neither => return Ok(Told::Bad(format!("k3s is {server}, k3s-agent is {agent}"))),
        };
        let restarts = number(answers, restarts)?;
        Ok(Told::bad_if(restarts > 2, format!("{unit} was restarted {restarts} times")))
    };
    told(judge())
}

/// Sizes in a line of `df -P`: all, and what is free.
fn free(answers: &Answers, section: &str) -> Result<(u64, u64), Told> {
    let text = text(answers, section)?;
    let line = text.lines().last().unwrap_or_default();
    let columns: Vec<&str> = line.split_whitespace().collect();
    let column = |at: usize| columns.get(at).and_then(|c| c.parse::<u64>().ok());
    let (all, free) = (column(1), column(3));
    all.zip(free).ok_or_else(|| Told::Unknown(format!("`{line}` is no line of df")))
}

fn disk(answers: &Answers) -> Told {
    let judge = || {
        let (_, kilobytes) = free(answers, "disk")?;
        let (inodes, left) = free(answers, "inodes")?;
        let gigabytes = kilobytes / 1_000_000 * 1024 / 1000;
        // File systems that make inodes as they go say that they have none.
        let few = inodes > 0 && left < inodes / 10;
        Ok(match (gigabytes < 30, few) {
            (true, _) => Told::Bad(format!("{gigabytes} GB are free")),
            (false, true) => Told::Bad(format!("{left} of {inodes} inodes are free")),
            (false, false) => Told::Good,
        })
    };
    told(judge())
}

fn one_cgroup(machines: &[Machine]) -> Verdict {
    let version = |answers: &Answers| match answers.sections.get("cgroup") {
        "cgroup2fs" => Some("version 2"),
        "tmpfs" => Some("version 1"),
        _other => None,
    };
    let known: Vec<(&str, Option<&str>)> =
        machines.iter().map(|m| (m.name.as_str(), m.said.as_ref().ok().and_then(version))).collect();
    if let Some((name, _)) = known.iter().find(|(_, version)| version.is_none()) {
        return Verdict::Unknown(format!("{name} does not tell its version of cgroups"));
    }
    let differ = known.windows(2).any(|pair| matches!(pair, [(_, one), (_, other)] if one != other));
    let all = known.iter().map(|(name, version)| format!("{name}: {}", version.unwrap_or_default()));
    Verdict::of("one version on all machines", if differ { all.collect() } else { Vec::new() })
}

fn runtimes(answers: &Answers) -> Told {
    let judge = || {
        let states = text(answers, "runtimes")?.lines();
        let active: Vec<&str> =
            states.zip(["containerd", "docker"]).filter(|(s, _)| *s == "active").map(|(_, n)| n).collect();
        Ok(Told::bad_if(!active.is_empty(), format!("{} runs too", active.join(" and "))))
    };
    told(judge())
}

fn swaps(answers: &Answers) -> Told {
    let judge = || {
        let swaps: Vec<&str> =
            text(answers, "swaps")?.lines().skip(1).filter_map(|l| l.split_whitespace().next()).collect();
        Ok(Told::bad_if(!swaps.is_empty(), swaps.join(", ")))
    };
    told(judge())
}

fn watches(answers: &Answers) -> Told {
    let judge = || {
        let most = number(answers, "watches")?;
        Ok(Told::bad_if(most < 1_000_000, format!("fs.inotify.max_user_watches is {most}")))
    };
    told(judge())
}

fn reboot(answers: &Answers) -> Told {
    match answers.sections.status("reboot") {
        Some(1) => Told::Good,
        Some(0) => Told::Bad("/var/run/reboot-required is there".to_owned()),
        status => silent("reboot", status),
    }
}

fn failed(answers: &Answers) -> Told {
    match (answers.sections.get("failed"), answers.sections.status("failed")) {
        ("", Some(0)) => Told::Good,
        (units, Some(0)) => {
            Told::Bad(units.lines().filter_map(|l| l.split_whitespace().next()).collect::<Vec<_>>().join(", "))
        }
        (_, status) => silent("failed", status),
    }
}

#[cfg(test)]
mod tests;
