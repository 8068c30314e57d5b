//! Proofs that the installer rendered the variant that the cell asks for: what must be there, and what must not.

use gsh_engine::failure::Failure;
use gsh_model::axis::{Cell, Database, Registry, Shift, SshGateway, Storage, Tls};
use serde_json::Value;

use super::manifest::Manifest;
use super::secrets;

/// One proof: code, title, and what was found.
pub(crate) type Proof = (&'static str, &'static str, Result<(), Failure>);

/// The proofs for a cell.
pub(crate) fn proofs(cell: &Cell, manifest: &Manifest) -> Vec<Proof> {
    // Machines, k3s and releases do not show in the set of objects.
    let Cell { shift, os: _, database, registry, storage, size: _, k3s: _, gitpod: _, tls, ssh_gateway, template: _ } =
        cell;
    vec![
        ("GSH-INS-010", "the database is where the cell wants it", of_database(*database, manifest)),
        ("GSH-INS-011", "the registry is where the cell wants it", of_registry(*registry, manifest)),
        ("GSH-INS-012", "object storage is where the cell wants it", of_storage(*storage, manifest)),
        ("GSH-INS-013", "user ids are shifted as the cell wants it", of_shift(*shift, manifest)),
        ("GSH-INS-014", "the SSH gateway is on exactly if the cell wants it", of_gateway(*ssh_gateway, manifest)),
        ("GSH-INS-015", "nodes are taught a private authority exactly if there is one", of_tls(*tls, manifest)),
    ]
}

fn members(
    code: &'static str,
    manifest: &Manifest,
    present: &[(&str, &str)],
    absent: &[(&str, &str)],
) -> Result<(), Failure> {
    let there = |(kind, name): &&(&str, &str)| manifest.get(kind, name).is_some();
    if let Some((kind, name)) = present.iter().find(|o| !there(o)) {
        return Err(Failure::product(code, format!("{kind} `{name}` is rendered"), "it is not"));
    }
    if let Some((kind, name)) = absent.iter().find(there) {
        return Err(Failure::product(code, format!("{kind} `{name}` is not rendered"), "it is"));
    }
    Ok(())
}

fn of_database(database: Database, manifest: &Manifest) -> Result<(), Failure> {
    let code = "GSH-INS-010";
    let inside = [
        ("StatefulSet", "mysql"),
        ("Service", "mysql"),
        ("Service", "db"),
        ("Secret", "mysql"),
        ("ConfigMap", "mysql"),
    ];
    let outside = [("Job", "dbinit-session"), ("ServiceAccount", "dbinit"), ("RoleBinding", "dbinit")];
    let secret = match database {
        Database::InCluster => {
            members(code, manifest, &inside, &outside)?;
            "mysql"
        }
        Database::External | Database::ExternalTls => {
            members(code, manifest, &outside, &inside)?;
            secrets::DATABASE
        }
    };
    let server = manifest.get("Deployment", "server").unwrap_or(&Value::Null);
    let found = env(server, "server", "DB_HOST").map(|e| e["valueFrom"]["secretKeyRef"]["name"].clone());
    let found = found.unwrap_or_default();
    if found != secret {
        return Err(Failure::product(
            code,
            format!("the server takes DB_HOST from Secret `{secret}`"),
            found.to_string(),
        ));
    }
    let ca = env(server, "server", "DB_CA_CERT").is_some();
    if ca != (database == Database::ExternalTls) {
        let expected = "the server has DB_CA_CERT exactly if the database's certificate has an authority of its own";
        return Err(Failure::product(code, expected, if ca { "it has" } else { "it has not" }));
    }
    Ok(())
}

/// An environment variable of a container of a workload.
fn env<'a>(workload: &'a Value, container: &str, name: &str) -> Option<&'a Value> {
    let containers = workload["spec"]["template"]["spec"]["containers"].as_array()?;
    let container = containers.iter().find(|c| c["name"] == container)?;
    container["env"].as_array()?.iter().find(|e| e["name"] == name)
}

fn of_registry(registry: Registry, manifest: &Manifest) -> Result<(), Failure> {
    let code = "GSH-INS-011";
    let workload = [("Deployment", "registry"), ("Service", "registry"), ("Secret", "builtin-registry-auth")];
    let certificate = ("Certificate", "builtin-registry-certs");
    let volume = ("PersistentVolumeClaim", "registry");
    let [deployment, service, login] = workload;
    match registry {
        Registry::InCluster => members(code, manifest, &[deployment, service, login, certificate, volume], &[]),
        Registry::InClusterS3 => members(code, manifest, &[deployment, service, login, certificate], &[volume]),
        Registry::External => members(code, manifest, &[], &[deployment, service, login, certificate, volume]),
    }
}

fn of_storage(storage: Storage, manifest: &Manifest) -> Result<(), Failure> {
    // The RoleBinding `minio` is always rendered, so it proves nothing.
    let minio =
        [("Deployment", "minio"), ("PersistentVolumeClaim", "minio"), ("Secret", "minio"), ("Service", "minio")];
    match storage {
        Storage::InCluster => members("GSH-INS-012", manifest, &minio, &[]),
        Storage::S3 | Storage::S3MultiBucket => members("GSH-INS-012", manifest, &[], &minio),
    }
}

fn of_shift(shift: Shift, manifest: &Manifest) -> Result<(), Failure> {
    let code = "GSH-INS-013";
    let (word, loader) = match shift {
        Shift::Fuse => ("FUSE", false),
        Shift::Shiftfs => ("SHIFTFS", true),
    };
    let config = manifest.get("ConfigMap", "ws-daemon").and_then(|m| m["data"]["config.json"].as_str());
    let config: Value = config.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let seen = &config["daemon"]["content"]["userNamespaces"]["fsShift"];
    if seen != word {
        return Err(Failure::product(code, format!("ws-daemon shifts user ids with {word}"), seen.to_string()));
    }
    // An annotation that names the loader is in both variants; only the init container tells them apart.
    let has = has_init_container(manifest, "ws-daemon", "shiftfs-module-loader");
    if has != loader {
        let expected = "ws-daemon loads the shiftfs module exactly if shiftfs is asked for";
        return Err(Failure::product(code, expected, if has { "it does" } else { "it does not" }));
    }
    Ok(())
}

fn has_init_container(manifest: &Manifest, daemon_set: &str, name: &str) -> bool {
    let init = manifest.get("DaemonSet", daemon_set).map(|d| &d["spec"]["template"]["spec"]["initContainers"]);
    init.and_then(Value::as_array).is_some_and(|all| all.iter().any(|c| c["name"] == name))
}

fn of_gateway(gateway: SshGateway, manifest: &Manifest) -> Result<(), Failure> {
    let proxy = manifest.get("Service", "proxy").unwrap_or(&Value::Null);
    let open = proxy["spec"]["ports"].as_array().is_some_and(|ports| ports.iter().any(|p| p["port"] == 22));
    if open == (gateway == SshGateway::On) {
        return Ok(());
    }
    let expected = "Service `proxy` has port 22 exactly if the gateway is on";
    Err(Failure::product("GSH-INS-014", expected, if open { "it has" } else { "it has not" }))
}

fn of_tls(tls: Tls, manifest: &Manifest) -> Result<(), Failure> {
    let has = has_init_container(manifest, "registry-facade", "update-containerd-certificates");
    match tls {
        Tls::PrivateCa if !has => Err(Failure::product(
            "GSH-INS-015",
            "registry-facade puts the private authority on the node",
            "its init container `update-containerd-certificates` is not rendered",
        )),
        // A given certificate may come with an authority of its own or without.
        Tls::PrivateCa | Tls::Byo => Ok(()),
    }
}
