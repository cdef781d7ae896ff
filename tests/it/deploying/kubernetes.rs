//! The manifests: valid, and they agree with each other and with the image.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::docker::last;
use super::{linter, list, repository, said, text, yaml};
use crate::harness::{Folder, tidegate};

/// The files that `kubectl apply --kustomize` takes.
fn files() -> Vec<String> {
    let kustomization = yaml("deploy/kubernetes/kustomization.yaml").remove(0);
    let names = list(&kustomization["resources"]).iter().map(text);
    names
        .map(|name| format!("deploy/kubernetes/{name}"))
        .collect()
}

/// The only resource of this kind and name.
fn resource(kind: &str, name: &str) -> Value {
    let documents = files()
        .iter()
        .flat_map(|file| yaml(file))
        .collect::<Vec<_>>();
    let mut found = documents
        .into_iter()
        .filter(|one| one["kind"] == kind && one["metadata"]["name"] == name);
    found.next().unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn set() -> Value {
    resource("StatefulSet", "tidegate")
}

fn pod(set: &Value) -> &Value {
    &set["spec"]["template"]["spec"]
}

fn gate(set: &Value) -> &Value {
    &pod(set)["containers"][0]
}

/// The gate's configuration.
fn configuration() -> String {
    let map = resource("ConfigMap", "tidegate");
    text(&map["data"]["tidegate.toml"]).to_owned()
}

#[test]
fn kubernetes_reads_them() {
    for file in files() {
        let said = said(
            linter("kubernetes-validate")
                .args(["--strict"])
                .arg(repository(&file)),
        );
        assert!(
            said.contains(" passed ") && !said.contains("WARN"),
            "{said}"
        );
    }
    let there = fs::read_dir(repository("deploy/kubernetes"))
        .unwrap()
        .count();
    assert_eq!(
        there,
        files().len() + 1,
        "a file that the kustomization leaves out"
    );
}

#[test]
fn they_are_rendered_with_the_image_of_a_registry() {
    // Not everybody who tests has it; who deploys has.
    let mut kubectl = Command::new("kubectl");
    kubectl
        .arg("kustomize")
        .arg(repository("deploy/kubernetes"));
    match kubectl.output() {
        Ok(_) => {
            let rendered = said(&mut kubectl);
            assert!(
                rendered.contains("image: registry.example.com/tidegate:"),
                "{rendered}"
            );
        }
        Err(error) => eprintln!("not rendered: kubectl: {error}"),
    }
    let kustomization = yaml("deploy/kubernetes/kustomization.yaml").remove(0);
    let image = &kustomization["images"][0];
    assert_eq!(image["name"], gate(&set())["image"]);
    assert_eq!(image["newTag"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn their_configuration_is_valid() {
    let folder = Folder::new();
    let file = folder.write("tidegate.toml", configuration());
    let output = tidegate(&["validate", "--deny-warnings", &file]);
    assert_eq!(output.code, 0, "{output:#?}");
}

#[test]
fn probes_and_services_find_the_gate() {
    let set = set();
    let gate = gate(&set);
    let port = |name: &str| {
        let ports = list(&gate["ports"]).iter();
        let mut found = ports.filter(|port| port["name"] == name);
        found.next().unwrap_or_else(|| panic!("no port {name}"))["containerPort"].clone()
    };
    let configuration = configuration();
    for name in ["http", "metrics"] {
        let address = format!("address = \"0.0.0.0:{}\"", port(name));
        assert!(configuration.contains(&address), "{address}");
    }
    for (probe, path) in [
        ("startupProbe", "/readyz"),
        ("readinessProbe", "/readyz"),
        ("livenessProbe", "/livez"),
    ] {
        assert_eq!(
            gate[probe]["httpGet"],
            json!({ "path": path, "port": "metrics" })
        );
    }
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&set["spec"]["selector"]["matchLabels"], labels);
    for name in ["tidegate", "tidegate-pods"] {
        let service = resource("Service", name);
        assert_eq!(&service["spec"]["selector"], labels);
        port(text(&service["spec"]["ports"][0]["targetPort"]));
    }
    assert_eq!(set["spec"]["serviceName"], "tidegate-pods");
    let balancer = resource("Service", "tidegate");
    assert_eq!(balancer["spec"]["externalTrafficPolicy"], "Local");
    let scraped = &set["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"];
    assert_eq!(text(scraped), port("metrics").to_string());
    for (kind, selector) in [
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
    ] {
        assert_eq!(
            &resource(kind, "tidegate")["spec"][selector]["matchLabels"],
            labels
        );
    }
    for spread in list(&pod(&set)["topologySpreadConstraints"]) {
        assert_eq!(&spread["labelSelector"]["matchLabels"], labels);
    }
    let ingress = resource("NetworkPolicy", "tidegate")["spec"]["ingress"].take();
    for rule in list(&ingress) {
        port(text(&rule["ports"][0]["port"]));
    }
}

#[test]
fn the_end_of_a_pod_leaves_time_for_the_pause_and_the_drain() {
    let set = set();
    let grace = pod(&set)["terminationGracePeriodSeconds"].as_u64().unwrap();
    let pause = &gate(&set)["lifecycle"]["preStop"]["sleep"]["seconds"];
    let configuration = configuration();
    let (_, drain) = configuration.split_once("drain = \"").unwrap();
    let drain: u64 = drain.split_once("s\"").unwrap().0.parse().unwrap();
    // The gate's own end takes up to six seconds.
    assert!(grace >= pause.as_u64().unwrap() + drain + 6, "{grace}");
}

#[test]
fn a_pod_has_no_rights_and_may_write_where_the_image_does() {
    let set = set();
    let (pod, gate) = (pod(&set), gate(&set));
    let user: u64 = last("USER").split(':').next().unwrap().parse().unwrap();
    let context = &pod["securityContext"];
    assert_eq!(context["runAsNonRoot"], true);
    for key in ["runAsUser", "runAsGroup", "fsGroup"] {
        assert_eq!(context[key], user, "{key}");
    }
    assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    let rights = &gate["securityContext"];
    assert_eq!(rights["readOnlyRootFilesystem"], true);
    assert_eq!(rights["allowPrivilegeEscalation"], false);
    assert_eq!(rights["capabilities"], json!({ "drop": ["ALL"] }));
    let written = |path: &str| {
        let mut mounts = list(&gate["volumeMounts"]).iter();
        mounts.any(|mount| path.starts_with(text(&mount["mountPath"])) && mount["readOnly"] != true)
    };
    for setting in last("ENV").split(' ') {
        let (name, path) = setting.split_once('=').unwrap();
        assert!(written(path), "{name}: {path} cannot be written");
    }
}
