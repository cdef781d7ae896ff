//! Small files that carry over a restart what operators set: written whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that a state file may have; more is not one of ours.
const MAX_FILE: u64 = 64 << 20;

/// What was set is in force, but a restart would forget it.
#[derive(Debug, thiserror::Error)]
#[error("{path} could not be written ({problem}): it is in force, but would not survive a restart")]
pub struct StateError {
    path: PathBuf,
    problem: io::Error,
}

/// One JSON file in the state directory.
#[derive(Clone, Debug)]
pub struct StateFile {
    path: PathBuf,
}

/// Whether the state files are this process's to write. During an upgrade there are two processes, and
/// one of them writes.
static OURS: RwLock<bool> = RwLock::new(true);

/// Leaves the state files to another process: what is saved from here on is not written, and what is
/// being written now is waited for.
pub fn leave() {
    *OURS.write().unwrap_or_else(PoisonError::into_inner) = false;
}

/// Takes the state files over, which no other process writes any more.
pub fn take() {
    *OURS.write().unwrap_or_else(PoisonError::into_inner) = true;
}

/// Writes to a state file, if they are this process's to write; they stay so meanwhile. Not to be
/// nested.
pub fn if_ours<T>(write: impl FnOnce() -> T) -> Option<T> {
    let ours = OURS.read().unwrap_or_else(PoisonError::into_inner);
    ours.then(write)
}

/// Makes the state directory, readable by its owner alone.
///
/// # Errors
/// When it cannot be made.
pub fn create_directory(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

impl StateFile {
    /// The file `name` in `directory`.
    pub fn new(directory: &Path, name: &str) -> Self {
        StateFile {
            path: directory.join(name),
        }
    }

    /// What it holds; `None` when there is no such file, or it cannot be read.
    ///
    /// A damaged file is moved aside, so that the next save does not destroy what could be
    /// recovered by hand.
    pub fn load<T: DeserializeOwned>(&self) -> Option<T> {
        let bytes = match self.read() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!("{}: cannot be read: {error}", self.path.display());
                return None;
            }
        };
        match serde_json::from_slice(&bytes) {
            Ok(value) => Some(value),
            Err(error) => {
                let aside = self.path.with_extension("damaged");
                let moved = fs::rename(&self.path, &aside).is_ok();
                tracing::warn!(
                    "{}: damaged, and not used: {error}{}",
                    self.path.display(),
                    if moved {
                        "; moved aside as .damaged"
                    } else {
                        ""
                    }
                );
                None
            }
        }
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let meta = fs::metadata(&self.path)?;
        if !meta.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        if meta.len() > MAX_FILE {
            return Err(io::Error::other(format!(
                "it is larger than {MAX_FILE} bytes"
            )));
        }
        fs::read(&self.path)
    }

    /// Replaces what it holds: a new file beside it, written to the disk, then renamed over it. Does
    /// nothing while the state files are another process's.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn save<T: Serialize>(&self, value: &T) -> Result<(), StateError> {
        let ours = OURS.read().unwrap_or_else(PoisonError::into_inner);
        if !*ours {
            return Ok(());
        }
        self.replace(value).map_err(|problem| StateError {
            path: self.path.clone(),
            problem,
        })
    }

    fn replace<T: Serialize>(&self, value: &T) -> io::Result<()> {
        let beside = self.path.with_extension("new");
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(&serde_json::to_vec_pretty(value)?)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)
    }
}
