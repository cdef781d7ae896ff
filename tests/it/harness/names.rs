//! Names that resolve to what a test wants.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::{Folder, Gate};

/// Names for one gate. Its look-ups go through a library of the test's that is loaded before the
/// system's; all else is as it is.
pub struct Names {
    folder: tempfile::TempDir,
}

impl Names {
    pub fn new() -> Names {
        Names {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// From now on `name` stands for these addresses, and to say so takes a while.
    pub fn set(&self, name: &str, addresses: &[&str], takes: Duration) {
        let mut text = format!("{}\n", takes.as_millis());
        for address in addresses {
            text.push_str(&format!("{address}\n"));
        }
        let next = self.folder.path().join(".next");
        fs::write(&next, text).unwrap();
        fs::rename(next, self.folder.path().join(name)).unwrap();
    }

    /// From now on `name` cannot be resolved.
    pub fn fail(&self, name: &str) {
        self.set(name, &["fail"], Duration::ZERO);
    }

    /// A gate that knows these names.
    pub fn gate(&self, text: &str) -> Gate {
        let mut program = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        program.env("LD_PRELOAD", library());
        program.env("TEST_NAMES", self.folder.path());
        Gate::launch(Folder::new(), text, program)
    }
}

/// The library, compiled once by the compiler that the dependencies need anyway.
fn library() -> &'static PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/harness/names.c");
        let next = folder.join(format!("names.{}.so", std::process::id()));
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(&next);
        let status = compiler.args([source, "-ldl"]).status();
        assert!(status.expect("cc runs").success(), "{compiler:?}");
        let library = folder.join("names.so");
        fs::rename(next, &library).unwrap();
        library
    })
}
