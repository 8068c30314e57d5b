//! `gsh-verify` as a pod of the cluster runs it: no kubeconfig, but the variables that Kubernetes sets and the files that the
//! kubelet mounts. The place of those files is fixed, so the program gets a view of the file system of its own, in which they are
//! there; where that may not be made, the test says so.

use std::path::Path;
use std::process::{Command, Stdio};

use gsh_gitpod::install::found::decoded;
use serde_json::{Value, json};

use crate::intrusive::{Administrator, Cluster};
use crate::outside::present;
use crate::program::{Program, root};

/// Makes what the kubelet makes, in a `/var/run` that only this process and its children see, and becomes the program. The
/// files are links into a folder with a name of its own, so that the kubelet can exchange all of them at once.
const KUBELET: &str = r#"
set -eu
mount -t tmpfs tmpfs /var/run
at=/var/run/secrets/kubernetes.io/serviceaccount
mkdir -p "$at/..2022_12_01"
ln -s ..2022_12_01 "$at/..data"
for name in $(ls "$ACCOUNT"); do
  file=$ACCOUNT/$name
  cp "$file" "$at/..2022_12_01/$name"
  ln -s "..data/$name" "$at/$name"
done
unset ACCOUNT
exec "$@"
"#;

/// Whoever may mount does; whoever may not, and may be root among users of their own, does it as that.
const WAYS: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];

fn way() -> Option<&'static [&'static str]> {
    let may = |way: &&&[&str]| present("unshare", &[way, &["sh", "-c", "mount -t tmpfs tmpfs /var/run"][..]].concat());
    WAYS.iter().find(may).copied()
}

/// What a pod is given: where the API is, and the files of its account.
struct Given {
    host: String,
    port: String,
    files: Vec<(&'static str, String)>,
}

impl Given {
    /// What stands in a kubeconfig with a token.
    fn of(kubeconfig: &str) -> Self {
        let text = std::fs::read_to_string(kubeconfig).expect("the kubeconfig");
        let config: Value = serde_norway::from_str(&text).expect("YAML");
        let cluster = &config["clusters"][0]["cluster"];
        let server = cluster["server"].as_str().and_then(|s| s.strip_prefix("https://")).expect("a server");
        let (host, port) = server.trim_end_matches('/').rsplit_once(':').expect("a port");
        let ca = json!({"data": {"ca": cluster["certificate-authority-data"]}});
        let token = config["users"][0]["user"]["token"].as_str().expect("a token");
        let files = vec![
            ("ca.crt", decoded(&ca, "ca").expect("an authority")),
            ("namespace", "gitpod".to_owned()),
            ("token", token.to_owned()),
        ];
        Self { host: host.to_owned(), port: port.to_owned(), files }
    }

    /// The same with other content of a file, or without it.
    fn but(&self, file: &str, content: Option<&str>) -> Self {
        let other = |(name, text): &(&'static str, String)| match content {
            _ if *name != file => Some((*name, text.clone())),
            Some(content) => Some((*name, content.to_owned())),
            None => None,
        };
        Self { host: self.host.clone(), port: self.port.clone(), files: self.files.iter().filter_map(other).collect() }
    }

    /// Runs the program in the pod; exit code and everything that it said.
    fn run(&self, way: &[&str], args: &[&str]) -> (i32, String) {
        let program = Program::new();
        let account = program.folder().join("account");
        std::fs::create_dir(&account).expect("a folder");
        for (name, text) in &self.files {
            std::fs::write(account.join(name), text).expect("a file");
        }
        self.command(way, &account, &program, args)
    }

    fn command(&self, way: &[&str], account: &Path, program: &Program, args: &[&str]) -> (i32, String) {
        let mut command = Command::new("unshare");
        command.args(way).args(["sh", "-c", KUBELET, "pod", env!("CARGO_BIN_EXE_gsh-verify")]).args(args);
        command.current_dir(root()).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", program.folder()).env("TMPDIR", program.folder()).env("ACCOUNT", account);
        command.env("KUBERNETES_SERVICE_HOST", &self.host).env("KUBERNETES_SERVICE_PORT", &self.port);
        let output = tokio::task::block_in_place(|| command.stdin(Stdio::null()).output()).expect("unshare starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), format!("{}{}", text(&output.stdout), text(&output.stderr)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_pod_its_service_account_is_enough_and_what_is_wrong_with_it_is_told() {
    let Some(way) = way() else { return };
    let cluster = Cluster::start().await;
    let (program, administrator) = (Program::new(), Administrator::of(&cluster).await);
    let moved: Vec<String> =
        cluster.emulation.moved_ports().iter().map(|(from, to)| format!("--port={from}={to}")).collect();
    let mut site = vec!["--ingress", cluster.emulation.variable("GITPOD_INGRESS")];
    site.extend(moved.iter().map(String::as_str));

    // Reading, under exactly the printed roles.
    let given = Given::of(&administrator.grant(&program, &[]).await);
    let (code, said) = given.run(way, &site);
    assert_eq!(code, 0, "{said}");
    let server = format!("cluster     https://{}:{}/\n", given.host, given.port);
    assert!(said.contains(&server) && said.contains("namespace   gitpod\n"), "{said}");
    assert!(!said.contains("is forbidden"), "{said}");

    // Work needs more than that, and those roles are enough for it: connections through pods, too.
    let work = [&["--intrusive", "--scenario", "workspace-start"], &site[..]].concat();
    let (code, said) = given.run(way, &work);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("User \"system:serviceaccount:gitpod:gsh-verify\" cannot "), "{said}");
    let granted = administrator.grant(&program, &["--intrusive", "--scenario", "workspace-start"]).await;
    let (code, said) = Given::of(&granted).run(way, &work);
    assert_eq!(code, 0, "{said}");
    assert_eq!(cluster.workspaces().await, Vec::<Value>::new(), "{said}");

    // A pod without its account, or with half of it.
    let unusable = "error: there is no way to a cluster\n\
                    caused by: this is a pod of a cluster, but its service account cannot be used\n";
    let nobody = Given { files: Vec::new(), ..given.but("", None) };
    let (code, said) = nobody.run(way, &site);
    assert_eq!((code, said.starts_with(unusable)), (2, true), "{said}");
    for (file, words) in [("namespace", "default namespace"), ("ca.crt", "certificate bundle"), ("token", "token")] {
        let (code, said) = given.but(file, None).run(way, &site);
        assert_eq!(code, 2, "{file}: {said}");
        assert!(said.starts_with("error: there is no way to a cluster\n") && said.contains(words), "{file}: {said}");
        assert!(said.contains("No such file or directory"), "{file}: {said}");
    }

    // An account of another cluster: its token, its authority.
    let (code, said) = given.but("token", Some("somebody-elses")).run(way, &site);
    assert_eq!(code, 3, "{said}");
    assert!(said.starts_with(&format!("error: the cluster at https://{}:{}/ does not accept", given.host, given.port)));
    assert!(!said.contains("somebody-elses"), "{said}");
    let stranger = cluster.emulation.variable("GITPOD_CA");
    let stranger = std::fs::read_to_string(stranger).expect("an authority of something else");
    let (code, said) = given.but("ca.crt", Some(&stranger)).run(way, &site);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("cannot be reached: ") && said.contains("certificate"), "{said}");
    cluster.emulation.interrupt();
}
