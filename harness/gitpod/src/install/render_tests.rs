//! Reading what the real installer rendered: the reference renders are read in place, and where they are absent each test
//! says so.

use std::path::{Path, PathBuf};

use gsh_model::axis::{Cell, Database, Registry, SshGateway, Storage, Tls};
use serde_json::Value;

use super::manifest::Manifest;
use super::ready::Awaited;
use super::variant;

const CHECK: &str = "GSH-INS-006";

#[expect(clippy::print_stderr, reason = "a test that could not look must say so")]
fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/gitpod-2022.11.3/render");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: the reference renders are not at {}", folder.display());
    None
}

fn render(case: &str) -> Option<Manifest> {
    let text = std::fs::read_to_string(folder()?.join(case).join("output.yaml")).expect("the output of the case");
    Some(Manifest::parse(&text, "gitpod", CHECK).expect("objects"))
}

/// A cell as the cases were rendered: no gateway, a given certificate.
fn cell() -> Cell {
    Cell { ssh_gateway: SshGateway::Off, tls: Tls::Byo, ..Cell::default() }
}

#[test]
fn every_object_of_every_case_is_read() {
    let Some(folder) = folder() else { return };
    let mut cases = 0;
    for entry in std::fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let Ok(inventory) = std::fs::read_to_string(path.join("inventory.json")) else { continue };
        let inventory: Vec<Value> = serde_json::from_str(&inventory).expect("an inventory");
        let text = std::fs::read_to_string(path.join("output.yaml")).expect("an output");
        let manifest = Manifest::parse(&text, "gitpod", CHECK).expect("objects");
        assert_eq!(manifest.objects().len(), inventory.len(), "{}", path.display());
        for (object, fact) in manifest.objects().iter().zip(&inventory) {
            assert_eq!((&object["kind"], &object["metadata"]["name"]), (&fact["kind"], &fact["name"]));
            assert!(object["status"].is_null());
        }
        cases += 1;
    }
    assert_eq!(cases, 9);
}

#[test]
fn everything_that_has_readiness_is_awaited_by_name() {
    let Some(manifest) = render("minimal") else { return };
    let awaited = Awaited::from(&manifest);
    assert_eq!(awaited.of_kind("Deployment").len(), 15);
    assert_eq!(awaited.of_kind("StatefulSet"), ["messagebus", "mysql", "openvsx-proxy"]);
    assert_eq!(awaited.of_kind("DaemonSet"), ["agent-smith", "registry-facade", "ws-daemon"]);
    assert_eq!(awaited.of_kind("Job"), ["migrations"]);
    assert_eq!(awaited.of_kind("Issuer").len() + awaited.of_kind("Certificate").len(), 8);
    assert_eq!(
        awaited.of_kind("PersistentVolumeClaim"),
        ["minio", "registry", "data-mysql-0", "redis-data-openvsx-proxy-0"]
    );
}

#[test]
fn a_render_proves_its_own_variant_and_no_other() {
    let variants = [
        ("minimal", cell()),
        ("external-registry", Cell { registry: Registry::External, ..cell() }),
        ("insecure-s3-setup", Cell { storage: Storage::S3, ..cell() }),
    ];
    for (case, _) in &variants {
        let Some(manifest) = render(case) else { return };
        for (of, cell) in &variants {
            let wrong: Vec<String> =
                variant::proofs(cell, &manifest).into_iter().filter_map(|p| p.2.err()).map(|f| f.to_string()).collect();
            assert_eq!(wrong.is_empty(), case == of, "render {case}, cell of {of}: {wrong:?}");
        }
    }
}

#[test]
fn the_secret_behind_the_servers_database_is_looked_at() {
    let Some(manifest) = render("aws-setup") else { return };
    let cell = Cell { database: Database::External, registry: Registry::InClusterS3, storage: Storage::S3, ..cell() };
    let wrong: Vec<String> =
        variant::proofs(&cell, &manifest).into_iter().filter_map(|p| p.2.err()).map(|f| f.to_string()).collect();
    // The case's Secret has a name of its own; all else fits.
    let expected = "GSH-INS-010: expected the server takes DB_HOST from Secret `database`, observed \"aws-database\"";
    assert_eq!(wrong, [expected]);
}

#[test]
fn a_shift_or_gateway_that_was_not_rendered_is_noticed() {
    let Some(manifest) = render("minimal") else { return };
    let asked = Cell { shift: gsh_model::axis::Shift::Shiftfs, ..Cell::default() };
    let codes: Vec<&str> =
        variant::proofs(&asked, &manifest).into_iter().filter(|p| p.2.is_err()).map(|p| p.0).collect();
    assert_eq!(codes, ["GSH-INS-013", "GSH-INS-014", "GSH-INS-015"]);
}
