//! What deploy/ has is read, rendered or run by the tools that it is for.

/// The unit for systemd: read by its own tools, and its sandbox leaves the gate what it needs.
mod unit;

use std::path::{Path, PathBuf};
use std::process::Command;

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
