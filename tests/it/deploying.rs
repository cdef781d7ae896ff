//! What deploy/ has is read, rendered or run by the tools that it is for.

/// The image and the compose file: linted, and what they name is there.
mod docker;
/// The manifests: valid, and they agree with each other and with the image.
mod kubernetes;
/// What deploy/README.md says of sizes.
mod sizes;
/// The unit for systemd: read by its own tools, and its sandbox leaves the gate what it needs.
mod unit;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A file of this repository.
fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What a program says on both outputs, and it must have succeeded.
#[track_caller]
fn said(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// A tool of scripts/linters.txt.
fn linter(name: &str) -> Command {
    let file = repository("target/linters/bin").join(name);
    assert!(file.is_file(), "{name} is missing: make linters");
    Command::new(file)
}

/// The documents of a YAML file.
fn yaml(name: &str) -> Vec<Value> {
    let read =
        "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let text = said(linter("python").args(["-c", read]).arg(repository(name)));
    serde_json::from_str(&text).unwrap()
}

/// The entries of a list, which there has to be.
#[track_caller]
fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
