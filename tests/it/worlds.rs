//! Every world file is a test: the real program runs in it, and exit code, outcome, blame and message must be as it says.

use std::collections::BTreeSet;

use gsh_world::WorldSpec;

use crate::program::{Program, root};

/// Runs a world and compares.
fn check(name: &str) {
    let path = root().join("fixtures/worlds").join(format!("{}.toml", name.replace('_', "-")));
    let world_text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let world: WorldSpec = world_text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let expect = &world.expect;
    let program = Program::new();
    let axes: Vec<(&str, Vec<&str>)> =
        expect.axes.iter().map(|(a, v)| (a.as_str(), v.iter().map(String::as_str).collect())).collect();
    let axes: Vec<(&str, &[&str])> = axes.iter().map(|(a, v)| (*a, v.as_slice())).collect();
    let matrix = program.matrix(&axes);
    let mut limits = "\n[patience]\n".to_owned();
    for (what, limit) in &expect.patience {
        limits.push_str(&format!("{what} = {limit:?}\n"));
    }
    for (store, section) in &expect.stores {
        limits.push_str(&format!("[stores.{store}]\n"));
        for (key, value) in section.as_table().into_iter().flatten() {
            limits.push_str(&format!("{key} = {value}\n"));
        }
    }
    let text = std::fs::read_to_string(&matrix).expect("the matrix") + &limits;
    let matrix = program.write("limited.toml", &text).display().to_string();
    let log = program.folder().join("world.log");
    let logged = format!("log-to = {:?}\n{}", log.display().to_string(), world_text);
    let world_file = program.write("world.toml", &logged).display().to_string();
    let mut args = vec!["--cover", "full", "--matrix", &matrix, "--world", &world_file];
    for scenario in &expect.scenarios {
        args.extend(["--scenario", scenario]);
    }
    args.extend(expect.args.iter().map(String::as_str));
    let ended = program.run_with(&args, &expect.env);
    let shown = format!("{name}: {}\n{}\n{}", world.title, ended.stderr, ended.stdout);

    for (cell, subject, outcome) in ended.outcomes() {
        match expect.outcomes.get(&subject) {
            Some(wanted) => assert_eq!(outcome, *wanted, "{cell} {subject}\n{shown}"),
            None => assert!(
                ["passed", "skipped", "inconclusive blocked"].contains(&outcome.as_str()),
                "{cell} {subject} is {outcome}\n{shown}"
            ),
        }
    }
    for subject in expect.outcomes.keys() {
        assert!(ended.outcomes().iter().any(|(_, s, _)| s == subject), "{subject} was not planned\n{shown}");
    }
    assert_eq!(ended.code, i32::from(expect.exit), "{shown}");
    let results = ended.file("results.json");
    for text in &expect.says {
        assert!(results.contains(text.as_str()), "nothing says `{text}`\n{shown}");
    }
    let mut left = std::collections::BTreeMap::new();
    for resource in ended.results()["leftovers"].as_array().expect("leftovers") {
        *left.entry(resource["kind"].as_str().unwrap_or_default().to_owned()).or_insert(0_usize) += 1;
    }
    assert_eq!(left, expect.left, "{shown}");
    // Nothing of a deleted server stays in memory, and the world file names nothing that does not exist.
    let log = std::fs::read_to_string(log).expect("the world writes its log");
    let wrong: Vec<&str> =
        log.lines().filter(|l| l.contains("\"forgotten\"") || l.contains("\"world-file\"")).collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{shown}");
}

macro_rules! worlds {
    ($($name:ident),+ $(,)?) => {
        $(#[test] fn $name() { check(stringify!($name)); })+

        #[test]
        fn every_world_file_is_a_test() {
            let listed: BTreeSet<String> = [$(stringify!($name)),+].iter().map(|n| n.replace('_', "-")).collect();
            let there: BTreeSet<String> = std::fs::read_dir(root().join("fixtures/worlds"))
                .expect("fixtures/worlds")
                .flatten()
                .filter_map(|e| e.file_name().to_string_lossy().strip_suffix(".toml").map(str::to_owned))
                .collect();
            assert_eq!(listed, there);
        }
    };
}

worlds!(
    api_429_storm,
    api_errors_now_and_then,
    api_refuses_an_object,
    backup_in_no_store,
    backup_lost,
    certificate_never_ready,
    cloud_init_error,
    community_template,
    component_never_ready,
    content_goes_elsewhere,
    create_times_out_after_taking_effect,
    database_refuses,
    delete_lag,
    disk_full,
    docker_broken,
    docker_hub_rate_limited,
    external_database_secret_lacks_a_key,
    first_pull_fails,
    gateway_accepts_any_token,
    gateway_refuses_the_owner,
    gateway_shows_another_host_key,
    given_registry_wrong_password,
    given_s3_unknown_authority,
    given_s3_unreachable,
    given_s3_without_bucket,
    given_s3_wrong_key,
    healthy,
    healthy_external_stores,
    healthy_given_stores,
    healthy_medium,
    healthy_shiftfs,
    healthy_small,
    image_not_pullable,
    installer_image_gone,
    installer_refuses_the_config,
    k3s_download_fails,
    kube_api_hiccups,
    migrations_fail,
    new_node_without_ready_labels,
    no_node_takes_workspaces,
    node_never_joins,
    node_short_of_disk,
    policies_hidden,
    private_ca_not_trusted_by_nodes,
    probe_image_rate_limited,
    quota_exceeded,
    reboot_before_runcmd,
    registry_rate_limited_at_install,
    registry_without_authorities,
    scale_out_without_capacity,
    server_cannot_be_deleted,
    server_never_boots,
    server_stuck_initializing,
    service_lacks_a_port,
    shiftfs_absent,
    slow_everything,
    sold_out_everywhere,
    sold_out_here,
    sshd_stays_on_22,
    storage_classes_hidden,
    template_label_workload_services,
    two_clusters_at_once,
    workspaces_reach_each_other,
    workspaces_reach_the_metadata_service,
    workspace_ends_by_itself,
    workspace_image_rate_limited,
    workspace_stuck_initializing,
    ws_manager_silent,
    ws_manager_wrong_certificate,
);
