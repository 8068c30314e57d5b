//! The Indexed Job of `ci/kubernetes/shards.yaml`: each completion is run as Kubernetes would start it, from an image that holds
//! the two programs and nothing else.

use serde_norway::Value;

use super::repository::{POLICY, Repository};
use crate::program::root;

fn manifest() -> Value {
    let text = std::fs::read_to_string(root().join("ci/kubernetes/shards.yaml")).expect("the manifest");
    serde_norway::from_str(&text).expect("YAML")
}

/// The one container of the Job's pods.
fn container(job: &Value) -> Value {
    let containers = job["spec"]["template"]["spec"]["containers"].as_sequence().expect("containers");
    assert_eq!(containers.len(), 1);
    containers[0].clone()
}

#[test]
fn the_job_starts_what_its_image_holds() {
    let image = std::fs::read_to_string(root().join("ci/Containerfile")).expect("the Containerfile");
    assert!(image.contains("FROM scratch") && image.contains(r#"ENTRYPOINT ["/usr/local/bin/gsh"]"#));
    let container = container(&manifest());
    assert!(container["command"].is_null(), "the image has no shell and nothing else to start");
    let name = container["image"].as_str().expect("an image");
    let version = name.rsplit_once(':').map(|(_, version)| version);
    assert_eq!(version, Some(env!("CARGO_PKG_VERSION")), "the image is this version's");
}

#[test]
fn completions_are_shards_and_make_one_night_together() {
    let repository = Repository::new("community", "");
    let folder = repository.folder().to_owned();
    let (etc, results) = (folder.join("etc"), folder.join("results"));
    std::fs::create_dir_all(&etc).expect("a folder");
    std::fs::write(etc.join("matrix.toml"), repository.show("main", "ci/matrix.toml")).expect("a matrix");
    let policy = repository.program().write("gate.toml", POLICY);
    let text = |path: &std::path::Path| path.display().to_string();
    let (matrix, plan) = (text(&etc.join("matrix.toml")), text(&etc.join("plan.json")));
    let planned =
        ["plan", "--matrix", &matrix, "--max-jobs", "2", "--scenario", "docker-in-workspace", "--output", &plan];
    let planned = repository.program().gsh(&planned);
    assert_eq!(planned.code, 0, "{}", planned.stderr);

    let container = container(&manifest());
    let known: Vec<&str> =
        container["env"].as_sequence().expect("env").iter().flat_map(|e| e["name"].as_str()).collect();
    assert!(known.contains(&"COMMIT") && known.contains(&"HCLOUD_TOKEN"));
    let mounts = container["volumeMounts"].as_sequence().expect("mounts");
    let mounted = |path: &str| mounts.iter().any(|m| m["mountPath"].as_str() == Some(path));
    assert!(mounted("/etc/gsh") && mounted("/results"));
    let commit = "4f1c2d3e4f5061728394a5b6c7d8e9f001122334";
    let completion = |index: u16| {
        // What the kubelet puts in, and what the volumes are.
        let args = container["args"].as_sequence().expect("arguments").iter().map(|arg| {
            let arg = arg.as_str().expect("a text").replace("$(JOB_COMPLETION_INDEX)", &index.to_string());
            let arg = arg.replace("$(COMMIT)", commit);
            assert!(!arg.contains("$("), "`{arg}` names a variable that the container does not have");
            let arg = arg.replace("=/etc/gsh/", &format!("={}/", etc.display()));
            arg.replace("=/results/", &format!("={}/", results.display())).replace("=hetzner", "=embedded")
        });
        let mut args: Vec<String> = args.collect();
        args.extend(["--community".to_owned(), text(&root().join("fixtures/templates/community"))]);
        repository.program().gsh(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    for index in [0, 1] {
        let ended = completion(index);
        assert_eq!(ended.code, 0, "completion {index}: {}", ended.stderr);
    }
    // More completions than shards are told apart from a night that went well.
    let beyond = completion(2);
    assert_eq!(beyond.code, 2, "{}", beyond.stderr);
    assert!(beyond.stderr.contains("the plan has no shard 03"), "{}", beyond.stderr);

    let (first, second, policy) = (text(&results.join("0")), text(&results.join("1")), text(&policy));
    let judge = |runs: &[&str]| {
        let mut args = vec!["gate"];
        args.extend(runs);
        args.extend(["--policy", &policy, "--matrix", &matrix, "--subject-commit", commit]);
        repository.program().gsh(&args)
    };
    let both = judge(&[&first, &second]);
    assert_eq!(both.code, 0, "{}{}", both.stdout, both.stderr);
    let one = judge(&[&first]);
    assert_eq!(one.code, 3, "a shard that is missing proves nothing: {}{}", one.stdout, one.stderr);
}
