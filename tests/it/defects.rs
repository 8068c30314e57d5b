//! One thing wrong at a time in an installation, and the codes that must tell it: these and no others.

use serde_json::{Value, json};

/// The objects of a cluster.
pub(crate) struct Objects(pub(crate) Vec<Value>);

impl Objects {
    /// Changes every object of a kind and name; `*` is every name.
    fn each(&mut self, kind: &str, name: &str, change: impl Fn(&mut Value)) {
        let all = self.0.iter_mut().filter(|o| o["kind"] == kind);
        all.filter(|o| name == "*" || o["metadata"]["name"] == name).for_each(change);
    }

    fn set(&mut self, kind: &str, name: &str, pointer: &str, value: Value) {
        self.each(kind, name, |o| *at(o, pointer) = value.clone());
    }

    fn label(&mut self, node: &str, key: &str, value: Option<&str>) {
        self.each("Node", node, |o| {
            let labels = o["metadata"]["labels"].as_object_mut().expect("labels");
            match value {
                Some(value) => labels.insert(key.to_owned(), value.into()),
                None => labels.remove(key),
            };
        });
    }

    fn gone(&mut self, kind: &str, name: &str) {
        self.0.retain(|o| !(o["kind"] == kind && o["metadata"]["name"] == name));
    }

    fn add(&mut self, object: Value) {
        self.0.push(object);
    }

    fn condition(&mut self, kind: &str, name: &str, condition: &str, status: &str) {
        self.each(kind, name, |o| {
            let all = o["status"]["conditions"].as_array_mut().expect("conditions");
            let found = all.iter_mut().find(|c| c["type"] == condition).expect("the condition");
            found["status"] = status.into();
        });
    }

    /// Changes the one pod whose name begins so.
    fn pod(&mut self, start: &str, change: impl Fn(&mut Value)) {
        let found = self.0.iter_mut().find(|o| {
            let name = o["metadata"]["name"].as_str().unwrap_or_default();
            // Followed by the two parts that a Deployment adds, or by nothing that another name could be.
            o["kind"] == "Pod" && name.strip_prefix(start).is_some_and(|rest| rest.starts_with('-'))
        });
        change(found.expect("the pod"));
    }

    fn ports(&mut self, service: &str, keep: impl Fn(u64) -> bool) {
        self.each("Service", service, |o| {
            let ports = o["spec"]["ports"].as_array_mut().expect("ports");
            ports.retain(|p| keep(p["port"].as_u64().unwrap_or(0)));
        });
    }

    /// A further node, like the first one.
    fn second_node(&mut self, change: impl Fn(&mut Value)) {
        let mut node = self.0.iter().find(|o| o["kind"] == "Node").cloned().expect("a node");
        node["metadata"]["name"] = "second".into();
        change(&mut node);
        self.add(node);
    }

    /// Rewrites the recorded configuration.
    fn config(&mut self, change: impl Fn(&mut Value)) {
        self.each("ConfigMap", "gitpod", |o| {
            let text = o["data"]["config.yaml"].as_str().expect("the configuration");
            let mut config: Value = serde_norway::from_str(text).expect("YAML");
            change(&mut config);
            o["data"]["config.yaml"] = serde_norway::to_string(&config).expect("YAML").into();
        });
    }

    /// The record of a second installation.
    pub(crate) fn copy_record_to(&mut self, namespace: &str) {
        let record = self.0.iter().find(|o| o["kind"] == "ConfigMap" && o["metadata"]["name"] == "gitpod").cloned();
        let mut record = record.expect("the record");
        record["metadata"]["namespace"] = namespace.into();
        self.0.insert(0, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
        self.add(record);
    }
}

fn at<'a>(object: &'a mut Value, pointer: &str) -> &'a mut Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let shown = object["metadata"]["name"].to_string();
    let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("{shown} has no {pointer}"));
    match key.parse::<usize>() {
        Ok(index) if parent.is_array() => &mut parent[index],
        _name => &mut parent[key],
    }
}

fn waiting(pod: &mut Value, reason: &str, message: &str) {
    let state = json!({"waiting": {"reason": reason, "message": message}});
    pod["status"]["containerStatuses"][0]["state"] = state;
}

/// One thing wrong.
pub(crate) struct Defect {
    pub(crate) title: &'static str,
    pub(crate) make: fn(&mut Objects),
    /// Last digits of the codes that must be bad.
    pub(crate) codes: &'static [&'static str],
    /// Last digits of the codes that must be told as worth knowing.
    pub(crate) worth: &'static [&'static str],
}

const fn defect(title: &'static str, codes: &'static [&'static str], make: fn(&mut Objects)) -> Defect {
    Defect { title, make, codes, worth: &[] }
}

/// Something that fails nothing.
const fn worth(title: &'static str, worth: &'static [&'static str], make: fn(&mut Objects)) -> Defect {
    Defect { title, make, codes: &[], worth }
}

/// Every defect; those without a code are fine or only worth knowing.
pub(crate) const DEFECTS: &[Defect] = &[
    defect("nothing is wrong", &[], |_| {}),
    defect("a node is not Ready", &["101"], |o| o.condition("Node", "*", "Ready", "False")),
    defect("a node is not heard of", &["101"], |o| o.condition("Node", "*", "Ready", "Unknown")),
    defect("a node is short of memory", &["102"], |o| o.condition("Node", "*", "MemoryPressure", "True")),
    defect("a node's kernel is too old", &["103"], |o| {
        o.set("Node", "*", "/status/nodeInfo/kernelVersion", json!("4.15.0-213-generic"));
    }),
    defect("a node runs containers with cri-o", &["104"], |o| {
        o.set("Node", "*", "/status/nodeInfo/containerRuntimeVersion", json!("cri-o://1.24.6"));
    }),
    defect("a kubelet is too old", &["105", "702"], |o| {
        o.set("Node", "*", "/status/nodeInfo/kubeletVersion", json!("v1.20.15+k3s1"));
    }),
    defect("a workload label is on no node", &["106"], |o| o.label("*", "gitpod.io/workload_ide", None)),
    defect("a workload label says `yes`", &["106"], |o| o.label("*", "gitpod.io/workload_meta", Some("yes"))),
    defect("a label is spelled as later releases do", &["106", "107"], |o| {
        o.label("*", "gitpod.io/workload_workspace_services", None);
        o.label("*", "gitpod.io/workload_services", Some("true"));
    }),
    defect("both spellings of a label", &[], |o| o.label("*", "gitpod.io/workload_services", Some("true"))),
    defect("ws-daemon did not declare a node ready", &["108"], |o| {
        o.label("*", "gitpod.io/ws-daemon_ready_ns_gitpod", None);
    }),
    defect("a labelled node is tainted", &["109", "504"], |o| {
        o.each("Node", "*", |n| {
            n["spec"]["taints"] = json!([{"key": "app", "value": "gitpod-sh", "effect": "NoSchedule"}]);
        });
        // As servicelb does, which does not know this taint.
        o.each("Pod", "*", |p| {
            if p["metadata"]["labels"]["svccontroller.k3s.cattle.io/svcname"] == "proxy" {
                p["status"]["conditions"] = json!([{"type": "Ready", "status": "False"}]);
            }
        });
    }),
    defect("coredns is not Ready", &["111"], |o| o.pod("coredns", |p| p["status"]["conditions"] = json!([]))),
    defect("no class of storage is the default", &["112"], |o| {
        o.set("StorageClass", "*", "/metadata/annotations", json!({}));
    }),
    defect("two classes of storage are the default", &["112"], |o| {
        let mut other = o.0.iter().find(|c| c["kind"] == "StorageClass").cloned().expect("a class");
        other["metadata"]["name"] = "hcloud-volumes".into();
        o.add(other);
    }),
    worth("a node is cordoned", &["113"], |o| o.set("Node", "*", "/spec/unschedulable", json!(true))),
    worth("ws-daemon says that a node's disk is nearly full", &["114"], |o| {
        o.label("*", "gitpod.io/diskPressure", Some("true"));
    }),
    defect("two nodes have the same addresses for pods", &["110", "304", "504"], |o| {
        o.set("Node", "*", "/spec/podCIDR", json!("10.42.0.0/24"));
        o.second_node(|_| {});
    }),
    Defect {
        title: "a node runs an older patch release",
        // Nothing of the installation runs on it yet.
        codes: &["304", "504"],
        worth: &["115"],
        make: |o| {
            o.set("Node", "*", "/spec/podCIDR", json!("10.42.0.0/24"));
            o.second_node(|n| {
                n["spec"]["podCIDR"] = json!("10.42.9.0/24");
                n["status"]["nodeInfo"]["kubeletVersion"] = json!("v1.24.16+k3s1");
            });
        },
    },
    worth("a container was restarted again and again", &["309"], |o| {
        o.pod("dashboard", |p| p["status"]["containerStatuses"][0]["restartCount"] = json!(40));
    }),
    worth("a certificate should have been renewed long ago", &["405"], |o| {
        o.set("Certificate", "ws-daemon-tls", "/status/renewalTime", json!("2023-02-01T00:00:00Z"));
    }),
    worth("images are of a registry that was closed", &["705"], |o| {
        o.pod("dashboard", |p| p["spec"]["containers"][0]["image"] = json!("eu.gcr.io/gitpod-core-dev/dashboard:1"));
    }),
    defect("the record of the installer is gone", &["201", "203"], |o| o.gone("ConfigMap", "gitpod")),
    defect("the inventory of the installer is gone", &["202"], |o| o.gone("ConfigMap", "gitpod-app")),
    defect("a Deployment is gone", &["203"], |o| o.gone("Deployment", "ws-manager-bridge")),
    defect("a Service is gone", &["203"], |o| o.gone("Service", "blobserve")),
    defect("a network policy is gone", &["203"], |o| {
        let policy = o.0.iter().position(|p| p["kind"] == "NetworkPolicy").expect("a policy");
        o.0.remove(policy);
    }),
    defect("the record says that storage is outside", &["204"], |o| {
        o.config(|c| {
            c["objectStorage"] = json!({"inCluster": false, "s3": {"endpoint": "s3.example.org", "bucket": "b",
                "credentials": {"kind": "secret", "name": "storage-s3"}}});
        });
    }),
    defect("MinIO is left over from an earlier variant", &["205"], |o| {
        o.config(|c| {
            c["objectStorage"] = json!({"inCluster": false, "s3": {"endpoint": "s3.example.org", "bucket": "b",
                "credentials": {"kind": "secret", "name": "storage-s3"}}});
        });
        o.each("ConfigMap", "gitpod-app", |m| {
            let text = m["data"]["app.yaml"].as_str().expect("the inventory");
            let kept: Vec<&str> = text
                .split("---\n")
                .filter(|d| !d.contains("name: minio\n") || d.contains("kind: RoleBinding"))
                .collect();
            m["data"]["app.yaml"] = kept.join("---\n").into();
        });
    }),
    defect("ws-daemon was told to use shiftfs", &["206"], |o| {
        o.each("ConfigMap", "ws-daemon", |m| {
            let text = m["data"]["config.json"].as_str().expect("a configuration").replace("\"FUSE\"", "\"SHIFTFS\"");
            m["data"]["config.json"] = text.into();
        });
    }),
    defect("the server takes its database from another Secret", &["207"], |o| {
        o.each("Deployment", "server", |d| {
            let containers = d["spec"]["template"]["spec"]["containers"].as_array_mut().expect("containers");
            let env = containers.iter_mut().filter_map(|c| c["env"].as_array_mut()).flatten();
            for variable in env.filter(|e| e["name"] == "DB_HOST") {
                variable["valueFrom"]["secretKeyRef"]["name"] = "database".into();
            }
        });
    }),
    defect("nodes are not taught the private authority", &["208"], |o| {
        o.each("DaemonSet", "registry-facade", |d| {
            let init = d["spec"]["template"]["spec"]["initContainers"].as_array_mut().expect("init containers");
            init.retain(|c| c["name"] != "update-containerd-certificates");
        });
    }),
    defect("a Deployment is not available", &["301"], |o| {
        o.set("Deployment", "dashboard", "/status/availableReplicas", json!(0));
    }),
    defect("the database's StatefulSet is not ready", &["302"], |o| {
        o.set("StatefulSet", "mysql", "/status/readyReplicas", json!(0));
    }),
    defect("a DaemonSet is not ready on a node", &["303"], |o| {
        o.set("DaemonSet", "ws-daemon", "/status/numberReady", json!(0));
    }),
    defect("a DaemonSet is meant for no node", &["303", "304"], |o| {
        for field in ["desiredNumberScheduled", "updatedNumberScheduled", "numberReady"] {
            o.set("DaemonSet", "agent-smith", &format!("/status/{field}"), json!(0));
        }
    }),
    defect("the migrations have failed", &["305"], |o| {
        o.add(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrations-2", "namespace": "gitpod"},
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "m", "image": "m:1"}]}}},
            "status": {"failed": 7, "conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}}));
    }),
    defect("an image is gone from its registry", &["306"], |o| {
        o.pod("dashboard", |p| waiting(p, "ImagePullBackOff", "manifest unknown: eu.gcr.io/x/dashboard:1 not found"));
    }),
    defect("a component keeps ending", &["306"], |o| {
        o.pod("server", |p| {
            waiting(p, "CrashLoopBackOff", "back-off 5m0s restarting failed container");
            p["status"]["containerStatuses"][0]["restartCount"] = json!(9);
        });
    }),
    defect("a component has found no node", &["307"], |o| {
        o.pod("blobserve", |p| {
            p["status"] = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
                "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu."}]});
        });
    }),
    defect("a component cannot log in to the database", &["308"], |o| {
        o.pod("server", |p| {
            let waiter = json!([{"name": "database-waiter", "ready": false, "restartCount": 1, "image": "i", "imageID": "",
                "state": {"running": {}},
                "lastState": {"terminated": {"exitCode": 1, "message": "Access denied for user 'gitpod'"}}}]);
            p["status"]["initContainerStatuses"] = waiter;
        });
    }),
    defect("cert-manager is not installed", &["203", "401"], |o| {
        o.0.retain(|c| !["Certificate", "Issuer"].contains(&c["kind"].as_str().unwrap_or_default()));
    }),
    defect("an Issuer cannot issue", &["402"], |o| o.condition("Issuer", "ca-issuer", "Ready", "False")),
    defect("a Certificate is not issued", &["403"], |o| o.condition("Certificate", "ws-manager-tls", "Ready", "False")),
    defect("a Certificate has expired", &["404"], |o| {
        o.set("Certificate", "ws-daemon-tls", "/status/notAfter", json!("2023-02-01T00:00:00Z"));
    }),
    defect("a Service lacks a port", &["501"], |o| o.ports("ws-proxy", |p| p != 9090)),
    defect("the proxy lacks the gateway's port", &["502"], |o| o.ports("proxy", |p| p != 22)),
    defect("no load balancer took up the proxy", &["503"], |o| {
        o.set("Service", "proxy", "/status/loadBalancer", json!({}));
    }),
    defect("the proxy is no load balancer", &["503"], |o| {
        o.set("Service", "proxy", "/spec/type", json!("NodePort"));
    }),
    defect("Traefik wants the same ports", &["505"], |o| {
        o.add(
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "traefik", "namespace": "kube-system"},
            "spec": {"type": "LoadBalancer", "selector": {"app": "traefik"},
                "ports": [{"name": "web", "port": 80}, {"name": "websecure", "port": 443}]}}),
        );
    }),
    defect("a pod of servicelb found its port taken", &["504"], |o| {
        o.each("Pod", "*", |p| {
            if p["metadata"]["labels"]["svccontroller.k3s.cattle.io/svcname"] == "proxy" {
                p["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                    "message": "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."}]);
            }
        });
    }),
    defect("no node is large enough for a workspace", &["601"], |o| {
        o.config(|c| c["workspace"]["resources"]["requests"] = json!({"cpu": "7500m", "memory": "2Gi"}));
    }),
    Defect {
        title: "a node promised more than it has",
        codes: &["601", "602"],
        worth: &["604"],
        make: |o| o.set("Node", "*", "/status/allocatable/memory", json!("4Gi")),
    },
    defect("a gateway answers that the record does not know", &["502", "805"], |o| {
        o.config(|c| {
            c.as_object_mut().expect("an object").remove("sshGatewayHostKey");
        });
    }),
    defect("a claim is not bound", &["603"], |o| {
        o.set("PersistentVolumeClaim", "minio", "/status/phase", json!("Pending"));
    }),
    worth("a volume dangles", &["605"], |o| {
        o.add(json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pvc-old"},
            "spec": {"capacity": {"storage": "8Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/old"},
                "claimRef": {"kind": "PersistentVolumeClaim", "namespace": "gitpod", "name": "old"}},
            "status": {"phase": "Released"}}));
    }),
    defect("the database is in the cluster and outside", &["701"], |o| {
        o.config(|c| c["database"] = json!({"external": {"certificate": {"kind": "secret", "name": "database"}}}));
    }),
    defect("a workspace meets a certificate that the node does not trust", &["703"], |o| {
        o.add(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "ws-1", "namespace": "gitpod", "labels": {"component": "workspace"}},
            "spec": {"containers": [{"name": "workspace", "image": "reg.example.org:20000/remote/1"}]},
            "status": {"phase": "Pending", "containerStatuses": [{"name": "workspace", "ready": false, "restartCount": 0,
                "image": "", "imageID": "", "state": {"waiting": {"reason": "ErrImagePull",
                "message": "failed to do request: x509: certificate signed by unknown authority"}}}]}}));
    }),
    defect("Gitpod looks for containerd where the distribution has it", &["704"], |o| {
        o.config(|c| c["workspace"]["runtime"]["containerdSocket"] = json!("/run/containerd/containerd.sock"));
    }),
    defect("another release was recorded than answers", &["803"], |o| {
        o.each("ConfigMap", "gitpod", |m| {
            let text = m["data"]["versions.json"].as_str().expect("versions").replace("2022.11.3", "2022.11.1");
            m["data"]["versions.json"] = text.into();
        });
    }),
    defect("the authority is not the one that signed the site", &["801", "803", "804", "807"], |o| {
        o.each("Secret", "ca-certificate", |s| s["data"]["ca.crt"] = STRANGER.into());
    }),
];

/// A self-signed certificate that signed nothing else, PEM in base64.
const STRANGER: &str = include_str!("stranger.pem.b64");
