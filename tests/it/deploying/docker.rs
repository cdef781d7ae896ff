//! The image and the compose file: linted, and what they name is there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{linter, list, repository, said, text, yaml};
use crate::harness::{Folder, tidegate, tool};

const FOLDER: &str = "deploy/docker";

/// The instructions of the Dockerfile, each in one line.
pub fn instructions() -> Vec<(String, String)> {
    let file = fs::read_to_string(repository("deploy/docker/Dockerfile")).unwrap();
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    let whole = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let instructions = whole.lines().filter_map(|line| line.split_once(' '));
    instructions
        .map(|(name, rest)| {
            let words: Vec<&str> = rest.split_whitespace().collect();
            (name.to_owned(), words.join(" "))
        })
        .collect()
}

/// What the last of these instructions says.
pub fn last(name: &str) -> String {
    let found = instructions().into_iter().rev();
    let mut found = found.filter(|(of, _)| of == name).map(|(_, rest)| rest);
    found.next().unwrap_or_else(|| panic!("no {name}"))
}

/// The words of an instruction in JSON.
fn words(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap()
}

#[test]
fn its_linter_has_nothing_to_say() {
    let file = repository("deploy/docker/Dockerfile");
    assert_eq!(said(linter("hadolint").arg(file)), "");
}

#[test]
fn all_that_it_copies_is_there_and_enough_for_cargo() {
    let folder = Folder::new();
    let copies = instructions().into_iter();
    let copies = copies.filter(|(name, rest)| name == "COPY" && !rest.starts_with("--from"));
    let ignored = fs::read_to_string(repository("deploy/docker/Dockerfile.dockerignore")).unwrap();
    for (_, rest) in copies {
        let (sources, _) = rest.rsplit_once(' ').unwrap();
        for source in sources.split(' ') {
            let kept = ignored.lines().any(|line| line == format!("!{source}"));
            assert!(kept, "{source} is not sent to Docker");
            symlink(repository(source), folder.path(source)).unwrap();
        }
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--locked"]);
    cargo.args(["--format-version", "1", "--quiet"]);
    said(cargo.current_dir(&folder));
}

#[test]
fn the_image_runs_the_gate_as_nobody_special_and_asks_it_how_it_is() {
    let user: u32 = last("USER").split(':').next().unwrap().parse().unwrap();
    assert!(user > 0);
    let check = last("HEALTHCHECK");
    let (_, check) = check.split_once(" CMD ").unwrap();
    assert_eq!(words(check), ["/usr/bin/tidegate", "healthcheck"]);
    assert_eq!(words(&last("ENTRYPOINT")), ["/usr/bin/tidegate"]);
    let run = words(&last("CMD"));
    assert_eq!(run, ["run", "--config", "/etc/tidegate/tidegate.toml"]);
    assert!(last("FROM").ends_with(":nonroot"), "the last stage");
}

#[test]
fn compose_reads_it() {
    let mut check = linter("check-jsonschema");
    check.args(["--builtin-schema", "vendor.compose-spec"]);
    said(check.arg(repository("deploy/docker/compose.yaml")));
}

/// The services of the compose file.
fn services() -> Value {
    yaml("deploy/docker/compose.yaml").remove(0)["services"].take()
}

/// What stands for this path in a container of the service: the file here that is mounted there.
fn mounted(services: &Value, service: &str, path: &str) -> PathBuf {
    let mounts = list(&services[service]["volumes"]).iter().map(text);
    let mut parts = mounts.map(|mount| mount.split(':').collect::<Vec<_>>());
    let found = parts.find_map(|parts| {
        let below = Path::new(path).strip_prefix(parts[1]).ok()?;
        let there = repository(FOLDER).join(parts[0]);
        Some(match below.as_os_str().is_empty() {
            true => there,
            false => there.join(below),
        })
    });
    found.unwrap_or_else(|| panic!("{service} has no {path}"))
}

#[test]
fn compose_mounts_what_there_is() {
    for (name, service) in services().as_object().unwrap() {
        let mounts = service["volumes"].as_array().into_iter().flatten();
        for mount in mounts.map(text) {
            let (source, _) = mount.split_once(':').unwrap();
            let file = repository(FOLDER).join(source);
            let there = !source.starts_with('.') || file.exists();
            assert!(there, "{name}: there is no {}", file.display());
        }
    }
}

#[test]
fn compose_s_gate_is_confined_and_takes_its_configuration() {
    let services = services();
    let gate = &services["gate"];
    assert_eq!(gate["read_only"], true);
    assert_eq!(gate["cap_drop"], serde_json::json!(["ALL"]));
    assert_eq!(gate["security_opt"][0], "no-new-privileges:true");
    let user = last("USER").split(':').next().unwrap().to_owned();
    assert!(text(&gate["tmpfs"][0]).starts_with(&format!("/run/tidegate:uid={user},gid={user},")));
    let config = mounted(&services, "gate", "/etc/tidegate/tidegate.toml");
    let config = config.to_str().unwrap();
    let output = tidegate(&["validate", "--deny-warnings", config]);
    assert_eq!(output.code, 0, "{output:#?}");
    let config = fs::read_to_string(config).unwrap();
    assert!(config.contains("servers = [\"app:80\"]") && services["app"].is_object());
    let port = text(&gate["ports"][0]).rsplit(':').next().unwrap();
    assert!(config.contains(&format!("\"0.0.0.0:{port}\"")), "{port}");
}

#[test]
fn compose_s_prometheus_and_grafana_find_the_gate_the_alerts_and_the_dashboard() {
    let services = services();
    let file = mounted(&services, "prometheus", "/etc/prometheus/prometheus.yml");
    let mut promtool = tool("promtool", "prometheus");
    said(
        promtool
            .args(["check", "config", "--syntax-only"])
            .arg(&file),
    );
    let prometheus = yaml("deploy/docker/prometheus.yml").remove(0);
    let rules = text(&prometheus["rule_files"][0]);
    assert!(mounted(&services, "prometheus", rules).ends_with("tidegate.rules.yml"));
    let target = text(&prometheus["scrape_configs"][0]["static_configs"][0]["targets"][0]);
    let (host, port) = target.split_once(':').unwrap();
    let config = mounted(&services, host, "/etc/tidegate/tidegate.toml");
    let config = fs::read_to_string(config).unwrap();
    assert!(
        config.contains(&format!("address = \"0.0.0.0:{port}\"")),
        "{target}"
    );
    let source = yaml("deploy/docker/grafana/datasources.yaml").remove(0);
    assert_eq!(source["datasources"][0]["url"], "http://prometheus:9090");
    let boards = yaml("deploy/docker/grafana/dashboards.yaml").remove(0);
    let path = text(&boards["providers"][0]["options"]["path"]);
    let board = mounted(&services, "grafana", &format!("{path}/tidegate.json"));
    assert!(board.exists(), "{}", board.display());
}
