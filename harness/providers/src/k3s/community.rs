//! Machine templates of the distribution under test, from a folder: `manager.yaml` and `node.yaml` (cloud-config with the
//! placeholders of its Terraform templates) and `labels.yaml` (the labels it gives to nodes).
//!
//! Nothing of what the templates do is repaired here: that is what is examined. Three things are added, because without them
//! the harness could not look or the site's private certificate could not work: the pinned host key, our login key, and
//! trust in the site's authority.

use std::collections::BTreeMap;
use std::path::Path;

use gsh_engine::failure::Failure;
use gsh_ssh::KeyPair;
use serde_norway::Value;

use super::cloud_config::checked;
use super::node::SITE_CA;

/// Values of the placeholders. No `Debug`: one is the join secret.
#[derive(Clone)]
pub struct Values<'a> {
    /// `server_address`: where to join; empty for the first manager.
    pub server_address: &'a str,
    /// `join_token`.
    pub join_token: &'a str,
    /// `k3s_version`.
    pub k3s_version: &'a str,
}

/// A folder of templates.
#[derive(Debug, Clone)]
pub struct Folder {
    manager: String,
    node: String,
    labels: BTreeMap<String, String>,
}

impl Folder {
    /// Reads a folder.
    ///
    /// # Errors
    /// When a file is missing or cannot be read: the argument names the wrong folder.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let file = |name: &str| {
            std::fs::read_to_string(path.join(name)).map_err(|e| {
                let expected = format!("the template `{name}` in the folder given by --community");
                Failure::harness("GSH-CLOUD-013", expected, "it cannot be read").because(&e)
            })
        };
        let labels = serde_norway::from_str(&file("labels.yaml")?).map_err(|e| {
            Failure::harness("GSH-CLOUD-013", "labels.yaml as a map of label to value", "something else").because(&e)
        })?;
        Ok(Self { manager: file("manager.yaml")?, node: file("node.yaml")?, labels })
    }

    /// User-data of the first manager.
    ///
    /// # Errors
    /// When the template is no cloud-config after filling in: the distribution's fault.
    pub fn manager(&self, values: &Values<'_>, pins: &Pins<'_>) -> Result<String, Failure> {
        self.render("manager.yaml", &self.manager, values, pins)
    }

    /// User-data of a node.
    ///
    /// # Errors
    /// As for [`Folder::manager`].
    pub fn node(&self, values: &Values<'_>, pins: &Pins<'_>) -> Result<String, Failure> {
        self.render("node.yaml", &self.node, values, pins)
    }

    fn render(&self, name: &str, template: &str, values: &Values<'_>, pins: &Pins<'_>) -> Result<String, Failure> {
        let bad = |why: String| Failure::product("GSH-NODE-016", format!("`{name}` to be a cloud-config"), why);
        let text = fill(template, &self.labels, values).map_err(bad)?;
        if !text.starts_with("#cloud-config") {
            return Err(bad("its first line is not #cloud-config".to_owned()));
        }
        let mut config: Value = serde_norway::from_str(&text).map_err(|e| bad(e.to_string()))?;
        if !config.is_mapping() {
            return Err(bad("it is no map".to_owned()));
        }
        pins.add_to(&mut config);
        let yaml = serde_norway::to_string(&config).map_err(|e| bad(e.to_string()))?;
        checked(format!("#cloud-config\n{yaml}"))
    }
}

/// What is added to a template.
#[derive(Debug, Clone)]
pub struct Pins<'a> {
    /// Host key.
    pub host_key: &'a KeyPair,
    /// Login key.
    pub login: &'a str,
    /// The site's authority and the registry that is signed by it.
    pub trust: Option<(&'a str, &'a str)>,
}

impl Pins<'_> {
    fn add_to(&self, config: &mut Value) {
        let Some(map) = config.as_mapping_mut() else {
            return;
        };
        let keys = serde_json::json!({
            "ed25519_private": self.host_key.private_pem, "ed25519_public": self.host_key.public_line,
        });
        map.insert("ssh_keys".into(), yaml(&keys));
        map.insert("disable_root".into(), false.into());
        push(map, "ssh_authorized_keys", serde_json::json!([self.login]), End::Back);
        if let Some((ca, registry)) = self.trust {
            let registries = serde_json::json!({"configs": {registry: {"tls": {"ca_file": SITE_CA}}}}).to_string();
            let files = serde_json::json!([
                {"path": SITE_CA, "permissions": "0644", "content": ca},
                // JSON is YAML.
                {"path": "/etc/rancher/k3s/registries.yaml", "permissions": "0600", "content": registries},
            ]);
            push(map, "write_files", files, End::Back);
            push(map, "runcmd", serde_json::json!([["update-ca-certificates"]]), End::Front);
        }
    }
}

enum End {
    Front,
    Back,
}

fn yaml(value: &serde_json::Value) -> Value {
    serde_norway::to_value(value).unwrap_or_default()
}

fn push(map: &mut serde_norway::Mapping, key: &str, more: serde_json::Value, end: End) {
    let more = yaml(&more).as_sequence().cloned().unwrap_or_default();
    let have = map.get(key).and_then(|v| v.as_sequence().cloned()).unwrap_or_default();
    let all = match end {
        End::Front => [more, have].concat(),
        End::Back => [have, more].concat(),
    };
    map.insert(key.into(), Value::Sequence(all));
}

/// Fills in a Terraform template: `${name}`, and `%{ for k, v in labels ~}…%{ endfor ~}`.
fn fill(template: &str, labels: &BTreeMap<String, String>, values: &Values<'_>) -> Result<String, String> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("%{") {
        text.push_str(before);
        let (head, after) = after.split_once('}').ok_or("a directive is not closed")?;
        let words: Vec<&str> =
            head.split(|c: char| c.is_whitespace() || c == ',' || c == '~').filter(|w| !w.is_empty()).collect();
        let ["for", key, value, "in", "labels"] = words.as_slice() else {
            return Err(format!("the directive `{}` is not known", head.trim()));
        };
        let (body, after) = after.split_once("%{").ok_or("a loop has no end")?;
        let (end, after) = after.split_once('}').ok_or("a directive is not closed")?;
        if !end.contains("endfor") {
            return Err(format!("`{}` where the end of the loop should be", end.trim()));
        }
        // `~` eats the blanks on its side.
        let body = if head.trim_end().ends_with('~') { body.trim_start() } else { body };
        let body = if end.trim_start().starts_with('~') { body.trim_end() } else { body };
        for (label, given) in labels {
            text.push_str(&body.replace(&format!("${{{key}}}"), label).replace(&format!("${{{value}}}"), given));
        }
        rest = if end.trim_end().ends_with('~') { after.trim_start() } else { after };
    }
    text.push_str(rest);
    let flags: Vec<String> = labels.iter().map(|(k, v)| format!("--node-label={k}={v}")).collect();
    for (name, value) in [
        ("server_address", values.server_address),
        ("join_token", values.join_token),
        ("k3s_version", values.k3s_version),
        ("labels", &flags.join(" ")),
    ] {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    // `$${` is Terraform's way to write a shell's own `${`.
    Ok(text.replace("$${", "${"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terraform_template_is_filled_in() {
        let labels = BTreeMap::from([("a/b".to_owned(), "true".to_owned()), ("c".to_owned(), "x".to_owned())]);
        let values = Values { server_address: "10.2.0.2", join_token: "t", k3s_version: "v1.24.17+k3s1" };
        let template = "curl | K3S_URL=https://${server_address}:6443 sh -s - agent \\\n  %{ for k, v in labels ~}\n  --node-label=\"${k}=${v}\" %{ endfor ~}\n  --token ${join_token} $${HOME}\n";
        assert_eq!(
            fill(template, &labels, &values).expect("a template"),
            "curl | K3S_URL=https://10.2.0.2:6443 sh -s - agent \\\n  --node-label=\"a/b=true\" --node-label=\"c=x\" --token t ${HOME}\n"
        );
        assert!(fill("%{ if x }", &labels, &values).is_err());
    }
}
