//! Messages against golden bytes.
//!
//! The files in `fixtures/wire` were made by Google's Python implementation from a descriptor written down separately
//! from the field tables of the proto files, every field set, maps in key order. A wrong number or type in our structs shows as a
//! difference; so does a field that we forgot, because decoding would drop it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use gsh_wsman::calls::*;
use gsh_wsman::content::*;
use gsh_wsman::workspace::*;
use gsh_wsman::{rpc, words::*};
use prost::Message;
use prost_types::Timestamp;

const ID: &str = "0b8a4c1e-6f0d-4a9e-9c57-2d3f1e5a7b90";

fn golden(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/wire").join(format!("{name}.hex"));
    let text = std::fs::read_to_string(&path).expect("golden file");
    let digits: Vec<u8> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).expect("hex") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn check<M: Message + Default + PartialEq + Debug>(name: &str, message: M) {
    let bytes = golden(name);
    assert_eq!(M::decode(bytes.as_slice()).expect("decodes"), message, "{name}: decoded");
    assert_eq!(message.encode_to_vec(), bytes, "{name}: encoded");
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
}

fn metadata() -> WorkspaceMetadata {
    WorkspaceMetadata {
        owner: "owner-1".into(),
        meta_id: "amber-lynx-1a2b3c4d".into(),
        started_at: Some(Timestamp { seconds: 1_685_923_200, nanos: 7 }),
        annotations: map(&[("a-key", "1"), ("b-key", "2")]),
        // Present and empty is not absent: these two are `optional` in the proto file.
        team: Some(String::new()),
        project: Some("project-1".into()),
    }
}

fn port() -> PortSpec {
    PortSpec { port: 8080, visibility: PortVisibility::Public.into(), url: "https://8080-x.example.org".into() }
}

fn ide() -> IdeImage {
    IdeImage {
        web_ref: "w".into(),
        desktop_ref: "d".into(),
        supervisor_ref: "s".into(),
        desktop_plugin_ref: "p".into(),
    }
}

fn volume() -> VolumeSnapshotInfo {
    VolumeSnapshotInfo { volume_snapshot_name: "vsn".into(), volume_snapshot_handle: "vsh".into() }
}

fn git() -> GitInitializer {
    GitInitializer {
        remote_uri: "r".into(),
        upstream_remote_uri: "u".into(),
        target_mode: CloneTargetMode::RemoteBranch.into(),
        clone_target: "main".into(),
        checkout_location: "c".into(),
        config: Some(GitConfig {
            custom_config: map(&[("k", "v")]),
            authentication: GitAuthMethod::BasicAuth.into(),
            auth_user: "au".into(),
            auth_password: "ap".into(),
            auth_ots: "ao".into(),
        }),
    }
}

fn status() -> WorkspaceStatus {
    let yes = i32::from(WorkspaceConditionBool::True);
    WorkspaceStatus {
        id: ID.into(),
        metadata: Some(metadata()),
        spec: Some(WorkspaceSpec {
            workspace_image: "wi".into(),
            deprecated_ide_image: "di".into(),
            headless: true,
            url: "u".into(),
            exposed_ports: vec![port()],
            r#type: WorkspaceType::Prebuild.into(),
            timeout: "1h".into(),
            ide_image: Some(ide()),
            class: "c".into(),
            ide_image_layers: vec!["l".into()],
        }),
        phase: WorkspacePhase::Running.into(),
        conditions: Some(WorkspaceConditions {
            failed: "f".into(),
            timeout: "t".into(),
            pulling_images: yes,
            snapshot: "s".into(),
            final_backup_complete: yes,
            deployed: WorkspaceConditionBool::Empty.into(),
            network_not_ready: yes,
            first_user_activity: Some(Timestamp { seconds: -1, nanos: 1 }),
            headless_task_failed: "h".into(),
            stopped_by_request: yes,
            volume_snapshot: Some(volume()),
            aborted: yes,
        }),
        message: "m".into(),
        repo: Some(GitStatus {
            branch: "b".into(),
            latest_commit: "lc".into(),
            uncommited_files: vec!["1".into()],
            untracked_files: vec!["2".into()],
            unpushed_commits: vec!["3".into()],
            total_uncommited_files: 1,
            total_untracked_files: -1,
            total_unpushed_commits: 300,
        }),
        runtime: Some(WorkspaceRuntimeInfo { node_name: "n".into(), pod_name: "p".into(), node_ip: "i".into() }),
        auth: Some(WorkspaceAuthentication { admission: AdmissionLevel::Everyone.into(), owner_token: "ot".into() }),
        status_version: 1 << 63,
    }
}

#[test]
fn a_start_request_with_every_field_has_the_golden_bytes() {
    let spec = StartWorkspaceSpec {
        workspace_image: "wi".into(),
        deprecated_ide_image: "di".into(),
        feature_flags: vec![
            WorkspaceFeatureFlag::FullWorkspaceBackup.into(),
            WorkspaceFeatureFlag::PersistentVolumeClaim.into(),
            WorkspaceFeatureFlag::WorkspacePsi.into(),
        ],
        initializer: Some(WorkspaceInitializer::empty()),
        ports: vec![port()],
        envvars: vec![EnvironmentVariable {
            name: "N".into(),
            value: "V".into(),
            secret: Some(SecretKeyRef { secret_name: "sn".into(), key: "k".into() }),
        }],
        workspace_location: "/".into(),
        git: Some(GitSpec { username: "gu".into(), email: "ge".into() }),
        timeout: "30m".into(),
        admission: AdmissionLevel::Everyone.into(),
        ide_image: Some(ide()),
        class: "default".into(),
        volume_snapshot: Some(volume()),
        ssh_public_keys: vec!["k1".into(), "k2".into()],
        sys_envvars: vec![EnvironmentVariable { name: "S".into(), value: "T".into(), secret: None }],
        ide_image_layers: vec!["l1".into(), "l2".into()],
    };
    check(
        "start-workspace-request",
        StartWorkspaceRequest {
            id: ID.into(),
            service_prefix: "amber-lynx-1a2b3c4d".into(),
            metadata: Some(metadata()),
            spec: Some(spec),
            r#type: WorkspaceType::Imagebuild.into(),
        },
    );
    check("start-workspace-response", StartWorkspaceResponse { url: "u".into(), owner_token: "ot".into() });
}

#[test]
fn a_status_with_every_field_has_the_golden_bytes() {
    check("subscribe-response", SubscribeResponse { status: Some(status()), header: map(&[("h", "v")]) });
    let short = WorkspaceStatus { id: ID.into(), ..WorkspaceStatus::default() };
    check("describe-workspace-response", DescribeWorkspaceResponse { status: Some(short), last_activity: "la".into() });
    check(
        "get-workspaces-response",
        GetWorkspacesResponse {
            status: vec![
                WorkspaceStatus { id: "1".into(), ..WorkspaceStatus::default() },
                WorkspaceStatus {
                    id: "2".into(),
                    phase: WorkspacePhase::Interrupted.into(),
                    ..WorkspaceStatus::default()
                },
            ],
        },
    );
}

#[test]
fn small_messages_have_the_golden_bytes() {
    let id = String::from(ID);
    let filter = MetadataFilter { owner: "o".into(), meta_id: "m".into(), annotations: map(&[("k", "v")]) };
    check("get-workspaces-request", GetWorkspacesRequest { must_match: Some(filter.clone()) });
    // Same fields, same bytes.
    check("get-workspaces-request", SubscribeRequest { must_match: Some(filter) });
    let policy = StopWorkspacePolicy::Abort.into();
    check("stop-workspace-request", StopWorkspaceRequest { id: id.clone(), policy });
    check("mark-active-request", MarkActiveRequest { id: id.clone(), closed: true, ignore_if_active: true });
    check("set-timeout-request", SetTimeoutRequest { id: id.clone(), duration: "30m".into() });
    check("control-port-request", ControlPortRequest { id: id.clone(), expose: true, spec: Some(port()) });
    check("take-snapshot-request", TakeSnapshotRequest { id: id.clone(), return_immediately: true });
    let level = AdmissionLevel::Everyone.into();
    check("control-admission-request", ControlAdmissionRequest { id: id.clone(), level });
    check(
        "delete-volume-snapshot-request",
        DeleteVolumeSnapshotRequest {
            id: id.clone(),
            volume_handle: "h".into(),
            soft_delete: true,
            ws_type: WorkspaceType::Prebuild.into(),
        },
    );
    check("update-ssh-key-request", UpdateSshKeyRequest { id, keys: vec!["k1".into(), "k2".into()] });
    let class = WorkspaceClass { id: "default".into(), display_name: "Default".into() };
    check("describe-cluster-response", DescribeClusterResponse { workspace_classes: vec![class] });
    check("exposed-ports", ExposedPorts { ports: vec![port()] });
    check("ssh-public-keys", SshPublicKeys { keys: vec!["k1".into()] });
}

#[test]
fn every_kind_of_initializer_has_the_golden_bytes() {
    let one = |spec| WorkspaceInitializer { spec: Some(spec) };
    let snapshot = SnapshotInitializer { snapshot: "s".into(), from_volume_snapshot: true };
    let prebuild = PrebuildInitializer {
        prebuild: Some(SnapshotInitializer { snapshot: "s".into(), from_volume_snapshot: false }),
        git: vec![git()],
    };
    let download = FileDownloadInitializer {
        files: vec![FileInfo { url: "u".into(), file_path: "f".into(), digest: "d".into() }],
        target_location: "t".into(),
    };
    let backup = FromBackupInitializer { checkout_location: "c".into(), from_volume_snapshot: true };
    let all = vec![
        WorkspaceInitializer::empty(),
        one(Initializer::Git(git())),
        one(Initializer::Snapshot(snapshot)),
        one(Initializer::Prebuild(prebuild)),
        one(Initializer::Download(download)),
        one(Initializer::Backup(backup)),
    ];
    check("composite-initializer", one(Initializer::Composite(CompositeInitializer { initializer: all })));
}

#[test]
fn a_phase_is_found_by_the_name_it_prints() {
    for phase in WorkspacePhase::ALL {
        assert_eq!(WorkspacePhase::by_name(phase.name()), Some(phase));
        assert_eq!(WorkspacePhase::try_from(i32::from(phase)), Ok(phase));
    }
    assert_eq!(WorkspacePhase::by_name("running"), None);
}

#[test]
fn every_path_belongs_to_the_service() {
    for path in rpc::ALL {
        assert!(path.strip_prefix('/').is_some_and(|rest| rest.starts_with(&format!("{}/", rpc::SERVICE))), "{path}");
    }
}
