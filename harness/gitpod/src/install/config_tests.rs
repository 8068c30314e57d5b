//! The configuration of cells: the whole file once, then what each axis changes in it.

use std::time::Duration;

use gsh_engine::cx::Cx;
use gsh_engine::provider::{DatabaseStore, Origin, RegistryStore, S3Store, Site, Stores};
use gsh_engine::secret::Secret;
use gsh_engine::stop::Stop;
use gsh_model::axis::{AxisName, Cell};
use gsh_model::outcome::Blame;
use serde_json::Value;

use super::{config, hostkey, secrets};
use crate::settings::DEFAULT_REPOSITORY;

fn site() -> Site {
    Site {
        domain: "g1-c1-a1.gsh.internal".to_owned(),
        node_registry: "reg.g1-c1-a1.gsh.internal:20000".to_owned(),
        ca_pem: Some("authority".to_owned()),
        cert_pem: "certificate".to_owned(),
        key: Secret::new("key", "certificate-key"),
    }
}

fn stores() -> Stores {
    Stores {
        database: Some(DatabaseStore {
            host: "10.2.0.9".to_owned(),
            port: 3307,
            username: "gitpod".to_owned(),
            password: Secret::new("password", "database-password"),
            ca_pem: Some("database authority".to_owned()),
        }),
        registry: Some(RegistryStore {
            url: "registry.example.org/team".to_owned(),
            username: "robot".to_owned(),
            password: Secret::new("password", "registry-password"),
            ca_pem: Some("registry authority\n".to_owned()),
            origin: Origin::Given,
        }),
        s3: Some(S3Store {
            endpoint: "s3.example.org".to_owned(),
            region: "eu-1".to_owned(),
            bucket: "workspaces".to_owned(),
            registry_bucket: "layers".to_owned(),
            access_key: Secret::new("access", "access-key"),
            secret_key: Secret::new("secret", "secret-key"),
            insecure: false,
            origin: Origin::Given,
        }),
    }
}

fn cell(choices: &[(AxisName, &str)]) -> Cell {
    let mut cell = Cell::default();
    for (axis, value) in choices {
        cell.set(*axis, value).expect("a value of the axis");
    }
    cell
}

fn config(choices: &[(AxisName, &str)]) -> config::Config {
    config::of(&cell(choices), &site(), &stores(), DEFAULT_REPOSITORY).expect("a configuration")
}

/// What choices change in the file, as `path: value` lines; `-` for what they take away.
fn difference(choices: &[(AxisName, &str)]) -> String {
    let lines = |config: &config::Config| {
        let mut lines = Vec::new();
        flatten("", &serde_json::to_value(config).expect("JSON"), &mut lines);
        lines
    };
    let (default, changed) = (lines(&config(&[])), lines(&config(choices)));
    let gone = default.iter().filter(|l| !changed.contains(l)).map(|l| format!("- {l}"));
    let new = changed.iter().filter(|l| !default.contains(l)).map(|l| format!("+ {l}"));
    gone.chain(new).collect::<Vec<_>>().join("\n")
}

fn flatten(path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(k, v)| flatten(&format!("{path}.{k}"), v, lines)),
        other => lines.push(format!("{} {other}", path.trim_start_matches('.'))),
    }
}

#[test]
fn the_default_cell_is_written_in_full() {
    insta::assert_snapshot!(config(&[]).yaml().expect("YAML"));
}

#[test]
fn every_axis_changes_what_it_should_and_nothing_else() {
    let mut report = String::new();
    for (axis, value) in [
        (AxisName::Shift, "shiftfs"),
        (AxisName::Database, "external"),
        (AxisName::Database, "external-tls"),
        (AxisName::Registry, "incluster-s3"),
        (AxisName::Registry, "external"),
        (AxisName::Storage, "s3"),
        (AxisName::Storage, "s3-multibucket"),
        (AxisName::SshGateway, "off"),
        (AxisName::Size, "medium"),
        (AxisName::Os, "ubuntu-20.04"),
    ] {
        report += &format!("{axis} {value}\n{}\n\n", difference(&[(axis, value)]));
    }
    insta::assert_snapshot!(report);
}

#[test]
fn a_store_that_the_cell_wants_and_nobody_hands_out_is_our_own_mistake() {
    for (axis, value) in [(AxisName::Database, "external"), (AxisName::Registry, "external"), (AxisName::Storage, "s3")]
    {
        let failure = config::of(&cell(&[(axis, value)]), &site(), &Stores::default(), DEFAULT_REPOSITORY);
        assert_eq!(failure.expect_err("no stores").blame, Blame::Harness, "{axis} {value}");
    }
}

#[test]
fn the_authorities_of_site_and_registry_share_one_secret() {
    use gsh_model::axis::Registry;
    let both = secrets::authorities(&site(), &stores(), Registry::External);
    assert_eq!(both.as_deref(), Some("authority\nregistry authority\n"));
    let public = Site { ca_pem: None, ..site() };
    assert_eq!(secrets::authorities(&public, &stores(), Registry::InCluster), None);
}

#[test]
fn a_configuration_survives_being_written() {
    let config =
        config(&[(AxisName::Database, "external-tls"), (AxisName::Registry, "external"), (AxisName::Storage, "s3")]);
    let read: config::Config = serde_norway::from_str(&config.yaml().expect("YAML")).expect("our own YAML");
    assert_eq!(read, config);
}

#[test]
fn secrets_have_exactly_the_keys_that_the_installer_checks() {
    let cx = Cx::unrecorded(Stop::new(), Duration::from_secs(1));
    let host_key = hostkey::make(&cx).expect("a host key");
    let mut report = String::new();
    for choices in [
        &[][..],
        &[(AxisName::Database, "external-tls"), (AxisName::Registry, "external"), (AxisName::Storage, "s3")],
        &[(AxisName::Database, "external"), (AxisName::Registry, "incluster-s3"), (AxisName::SshGateway, "off")],
    ] {
        let config = config(choices);
        for secret in secrets::of(&cx, &config, &site(), &stores(), Some(&host_key), "gitpod") {
            let keys: Vec<&String> = secret["data"].as_object().expect("data").keys().collect();
            report += &format!("{} {keys:?}\n", secret["metadata"]["name"].as_str().expect("a name"));
        }
        report += "\n";
    }
    insta::assert_snapshot!(report, @r#"
    https-certificates ["tls.crt", "tls.key"]
    ca-certificate ["ca.crt"]
    ssh-gateway-host-key ["host.key"]

    https-certificates ["tls.crt", "tls.key"]
    ca-certificate ["ca.crt"]
    ssh-gateway-host-key ["host.key"]
    database ["encryptionKeys", "host", "password", "port", "username"]
    database-ca ["ca.crt"]
    container-registry [".dockerconfigjson"]
    storage-s3 ["accessKeyId", "secretAccessKey"]

    https-certificates ["tls.crt", "tls.key"]
    ca-certificate ["ca.crt"]
    database ["encryptionKeys", "host", "password", "port", "username"]
    container-registry-s3-backend ["s3AccessKey", "s3SecretKey"]
    "#);
}

#[test]
fn what_is_secret_in_a_secret_is_scrubbed_in_its_encoded_form_too() {
    let cx = Cx::unrecorded(Stop::new(), Duration::from_secs(1));
    let choices = [(AxisName::Database, "external"), (AxisName::Registry, "external"), (AxisName::Storage, "s3")];
    let secrets = secrets::of(&cx, &config(&choices), &site(), &stores(), None, "gitpod");
    let text = cx.scrubber().scrub(&serde_json::to_string(&secrets).expect("JSON"));
    for (secret, key) in
        [("database", "password"), ("storage-s3", "secretAccessKey"), ("container-registry", ".dockerconfigjson")]
    {
        assert!(text.contains(&format!("{{secret {secret}/{key}}}")), "{secret}/{key} in {text}");
    }
}
