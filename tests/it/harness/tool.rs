//! Programs that are not ours, as real peers.

use std::path::Path;
use std::process::{Child, Command};

/// A program that a Debian package brings; the test fails with the package's name without it.
pub fn tool(name: &str, package: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/sbin"]);
    let found = folders
        .map(|folder| Path::new(folder).join(name))
        .find(|file| file.is_file());
    match found {
        Some(file) => Command::new(file),
        None => panic!("{name} is missing: apt-get install {package}"),
    }
}

/// A process that is ended with the test.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
