//! Running the installer: as a Kubernetes Job from its image, or as a local binary.
//!
//! Logs of a container hold standard output and standard error in one; a local process keeps them apart. Parsers of either
//! must cope with both.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::secret::Secret;
use gsh_engine::wait::Progress;
use gsh_model::outcome::Blame;
use kube::core::subresource::LogParams;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::prepare::{ACCOUNT, NAMESPACE, put};
use super::trouble;
use gsh_kube::api::{self, Api, Kind};
use gsh_kube::follow::{Follow, Scope, View, name_of};

const CONFIG_MAP: &str = "gsh-installer-config";
const CONFIG_FILE: &str = "gitpod.config.yaml";
const CONFIG_FOLDER: &str = "/config";
const CONTAINER: &str = "installer";

/// What an errand printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    /// Exit code.
    pub(crate) code: i64,
    /// Standard output; from a Job, everything.
    pub(crate) text: String,
    /// Standard error, where it can be told apart.
    pub(crate) errors: String,
}

/// How the installer runs.
pub(crate) enum Tool<'a> {
    /// From its image, in the cluster.
    Image { api: &'a Api, image: &'a str, patience: Duration },
    /// From a file on this machine.
    Binary { path: &'a Path, kubeconfig: tempfile::NamedTempFile, config: tempfile::NamedTempFile, patience: Duration },
}

/// What the installer is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Say what it is. Also the image probe.
    Version,
    /// Check the configuration alone.
    ValidateConfig,
    /// Check the cluster against it.
    ValidateCluster,
    /// Print the objects.
    Render,
}

impl Errand {
    fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::ValidateConfig => "validate-config",
            Self::ValidateCluster => "validate-cluster",
            Self::Render => "render",
        }
    }

    fn args(self, config: &str, kubeconfig: Option<&str>) -> Vec<String> {
        let mut args: Vec<&str> = match self {
            Self::Version => vec!["version"],
            Self::ValidateConfig => vec!["validate", "config", "-c", config],
            Self::ValidateCluster => vec!["validate", "cluster", "-c", config, "-n", NAMESPACE],
            Self::Render => vec!["render", "-c", config, "-n", NAMESPACE],
        };
        if let (Self::ValidateCluster, Some(path)) = (self, kubeconfig) {
            args.extend(["--kubeconfig", path]);
        }
        args.into_iter().map(str::to_owned).collect()
    }
}

impl<'a> Tool<'a> {
    /// A local binary, with its kubeconfig and configuration in files that only we can read.
    pub(crate) fn binary(
        path: &'a Path,
        kubeconfig: &Secret,
        config: &str,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let file = |text: &str| {
            let file = tempfile::NamedTempFile::new()?;
            std::fs::write(file.path(), text)?;
            Ok::<_, std::io::Error>(file)
        };
        let trouble = |e: std::io::Error| {
            Failure::harness("GSH-INS-055", "a temporary file is written", "it was not").because(&e)
        };
        let kubeconfig = file(kubeconfig.expose()).map_err(trouble)?;
        Ok(Self::Binary { path, kubeconfig, config: file(config).map_err(trouble)?, patience })
    }

    /// Puts the configuration where the errands find it.
    pub(crate) async fn give(&self, cx: &Cx, config: &str) -> Result<(), Failure> {
        match self {
            Self::Image { api, .. } => {
                let map = json!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": { "name": CONFIG_MAP, "namespace": NAMESPACE },
                    "data": { CONFIG_FILE: config },
                });
                put(cx, api, "GSH-INS-001", &map).await
            }
            Self::Binary { .. } => Ok(()),
        }
    }

    /// Runs an errand to its end. A failure means that it could not be run; what it found is in the output.
    pub(crate) async fn run(&self, cx: &Cx, check: &'static str, errand: Errand) -> Result<Output, Failure> {
        match self {
            Self::Image { api, image, patience } => in_cluster(cx, api, image, *patience, check, errand).await,
            Self::Binary { path, kubeconfig, config, patience } => {
                let kubeconfig = kubeconfig.path().to_string_lossy().into_owned();
                let args = errand.args(&config.path().to_string_lossy(), Some(&kubeconfig));
                local(cx, path, args, &kubeconfig, *patience, check).await
            }
        }
    }
}

async fn in_cluster(
    cx: &Cx,
    api: &Api,
    image: &str,
    patience: Duration,
    check: &'static str,
    errand: Errand,
) -> Result<Output, Failure> {
    let name = format!("gsh-{}", errand.name());
    let pods = Scope::new("v1", "Pod", NAMESPACE).labelled(format!("gsh-errand={name}"));
    let mut follow = Follow::start(cx, api, check, vec![pods]).await?;
    put(cx, api, check, &job(&name, image, errand, patience)).await?;
    let what = format!("the installer's image {image} runs `{}`", errand.name());
    let seen = follow.until(&what, patience, |view| ended(view, check, &what)).await;
    let (pod, code) = match seen {
        Ok(end) => end,
        Err(e) => {
            let failure = e.blame(Blame::Environment, check);
            return Err(super::evidence::explain(cx, api, NAMESPACE, follow.view(), failure).await);
        }
    };
    let params = LogParams { container: Some(CONTAINER.to_owned()), ..LogParams::default() };
    let log = format!("the log of the installer's `{}`", errand.name());
    let text = api::patiently(cx, &log, Blame::Environment, check, || api.log(NAMESPACE, &pod, &params)).await?;
    let job = Kind::new("batch/v1", "Job");
    api::patiently(cx, "the errand's Job is removed", Blame::Harness, check, || {
        api.delete(&job, Some(NAMESPACE), &name)
    })
    .await?;
    Ok(Output { code, text, errors: String::new() })
}

/// Pod and exit code, once there is one.
fn ended(view: &View, check: &'static str, what: &str) -> Result<Progress<(String, i64)>, Failure> {
    // A pod on its way out belongs to an earlier try.
    let Some(pod) = view.all("Pod").find(|p| p["metadata"]["deletionTimestamp"].is_null()) else {
        return Ok(Progress::NotYet("no pod yet".to_owned()));
    };
    let container = &pod["status"]["containerStatuses"][0];
    if let Some(code) = container["state"]["terminated"]["exitCode"].as_i64() {
        return Ok(Progress::Ready((name_of(pod), code)));
    }
    if let Some(found) = trouble::of_pod(pod, 1) {
        return Err(Failure::environment(check, what, found.observed()));
    }
    let reason = container["state"]["waiting"]["reason"].as_str();
    let phase = pod["status"]["phase"].as_str().unwrap_or("no phase");
    Ok(Progress::NotYet(format!("pod `{}`: {}", name_of(pod), reason.unwrap_or(phase))))
}

fn job(name: &str, image: &str, errand: Errand, patience: Duration) -> Value {
    let mut container = json!({
        "name": CONTAINER,
        "image": image,
        "args": errand.args(&format!("{CONFIG_FOLDER}/{CONFIG_FILE}"), None),
    });
    let mut pod = json!({ "restartPolicy": "Never", "serviceAccountName": ACCOUNT });
    if errand != Errand::Version {
        container["volumeMounts"] = json!([{ "name": "config", "mountPath": CONFIG_FOLDER, "readOnly": true }]);
        pod["volumes"] = json!([{ "name": "config", "configMap": { "name": CONFIG_MAP } }]);
    }
    pod["containers"] = json!([container]);
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": patience.as_secs().max(1),
            "template": { "metadata": { "labels": { "gsh-errand": name } }, "spec": pod },
        },
    })
}

async fn local(
    cx: &Cx,
    path: &Path,
    args: Vec<String>,
    kubeconfig: &str,
    patience: Duration,
    check: &'static str,
) -> Result<Output, Failure> {
    let what = format!("{} {} runs", path.display(), args.join(" "));
    let trouble = |e: std::io::Error| Failure::harness(check, what.clone(), "it does not").because(&e);
    let mut child = tokio::process::Command::new(path)
        .args(&args)
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(trouble)?;
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let (mut text, mut errors) = (Vec::new(), Vec::new());
    let work = async {
        // Both at once: a child that fills one pipe while we read the other would wait for ever.
        tokio::try_join!(
            async {
                if let Some(out) = stdout.as_mut() {
                    out.read_to_end(&mut text).await?;
                }
                Ok::<_, std::io::Error>(())
            },
            async {
                if let Some(err) = stderr.as_mut() {
                    err.read_to_end(&mut errors).await?;
                }
                Ok(())
            }
        )?;
        child.wait().await
    };
    let status = tokio::select! {
        ended = tokio::time::timeout(patience.min(cx.left()), work) => match ended {
            Ok(status) => status.map_err(trouble)?,
            Err(_late) => return Err(Failure::harness(check, what, format!("it did not end within {patience:?}"))),
        },
        () = cx.stopped() => return Err(Failure::stopped(what)),
    };
    let read = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Output { code: i64::from(status.code().unwrap_or(-1)), text: read(&text), errors: read(&errors) })
}
