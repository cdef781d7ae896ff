//! Small files that carry over a restart what operators set: written whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::regular;

/// Bytes that a state file may have; more is not one of ours.
const MAX_FILE: u64 = 64 << 20;

/// What was set is in force, but a restart would forget it.
#[derive(Debug, thiserror::Error)]
#[error("{path} could not be written ({problem}): it is in force, but would not survive a restart")]
pub struct StateError {
    path: PathBuf,
    problem: io::Error,
}

impl StateError {
    fn new(path: &Path, problem: io::Error) -> Self {
        StateError {
            path: path.to_owned(),
            problem,
        }
    }
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

/// What the disk did not take when it was last saved, by its file. Locked while any of them is written:
/// what is saved last is what stays.
static UNWRITTEN: Mutex<BTreeMap<PathBuf, Vec<u8>>> = Mutex::new(BTreeMap::new());

fn unwritten() -> MutexGuard<'static, BTreeMap<PathBuf, Vec<u8>>> {
    UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is wrong with the state files, by file. Locked for a moment alone, as whoever shows it has others
/// to answer.
static PROBLEMS: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());

fn told() -> MutexGuard<'static, BTreeMap<PathBuf, String>> {
    PROBLEMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is wrong with the state files: which are not written, and which were damaged at the start.
pub fn problems() -> Vec<String> {
    told().values().cloned().collect()
}

/// Tells of a file that could not be read; until it is written whole.
fn tell(path: &Path, problem: String) -> String {
    tracing::warn!("{problem}");
    told().insert(path.to_owned(), problem.clone());
    problem
}

/// Keeps a second gate away from the directory for as long as this process runs.
///
/// # Errors
/// When another process has it, or it cannot be locked.
pub fn lock(directory: &Path) -> io::Result<()> {
    static LOCK: Mutex<Option<File>> = Mutex::new(None);
    let mut held = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    if held.is_none() {
        let path = directory.join("lock");
        let mut options = File::options();
        let file = options.write(true).create(true).truncate(false);
        let file = file.mode(0o600).open(path)?;
        file.try_lock().map_err(io::Error::from)?;
        *held = Some(file);
    }
    Ok(())
}

/// Tells that the directory cannot be used, until [`lock_again`] finds that it can.
pub fn tell_unusable(directory: &Path, error: &io::Error) {
    let shown = directory.display();
    let problem = format!(
        "state.directory {shown} cannot be used ({error}): what is set is in force, but would not survive a restart"
    );
    tell(&directory.join("lock"), problem);
}

/// Tries to lock the directory, where that was not possible.
pub fn lock_again(directory: &Path) {
    if lock(directory).is_ok() && told().remove(&directory.join("lock")).is_some() {
        tracing::info!("state.directory {} can be used", directory.display());
    }
}

/// Writes what could not be written, so that another process finds it.
///
/// # Errors
/// When the disk still does not take it.
pub fn write_again() -> Result<(), StateError> {
    let mut refused = None;
    if_ours(|| {
        unwritten().retain(|path, bytes| {
            let error = note(path, replace(path, bytes)).err();
            let failed = error.is_some();
            refused = refused.take().or(error);
            failed
        });
    });
    refused.map_or(Ok(()), Err)
}

/// Writes a state file, or remembers that it is to be written.
fn write(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let mut unwritten = unwritten();
    let written = note(path, replace(path, bytes));
    match &written {
        Ok(()) => unwritten.remove(path),
        Err(_) => unwritten.insert(path.to_owned(), bytes.to_owned()),
    };
    written
}

/// Tells how a write went, and when a file that could not be written is so again.
///
/// # Errors
/// When it did not.
pub fn note(path: &Path, written: io::Result<()>) -> Result<(), StateError> {
    let written = written.map_err(|problem| StateError::new(path, problem));
    match &written {
        Ok(()) => {
            if told().remove(path).is_some() {
                tracing::info!("{}: written", path.display());
            }
        }
        Err(error) => {
            if told().insert(path.to_owned(), error.to_string()).is_none() {
                tracing::warn!("{error}");
            }
        }
    }
    written
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    regular::replace(path, |file| file.write_all(bytes)).map(drop)
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
        self.load_or_problem().ok().flatten()
    }

    /// As [`StateFile::load`], for what must not be taken for nothing.
    ///
    /// # Errors
    /// When something was there and is not to be had, which the log has by now.
    pub fn load_or_problem<T: DeserializeOwned>(&self) -> Result<Option<T>, String> {
        let path = self.path.display();
        let bytes = match regular::read(&self.path, MAX_FILE) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return match self.path.with_extension("damaged").exists() {
                    true => {
                        let problem = format!("{path}: damaged before, and not written since");
                        Err(tell(&self.path, problem))
                    }
                    false => Ok(None),
                };
            }
            Err(error) => {
                let problem = format!("{path}: cannot be read: {error}");
                return Err(tell(&self.path, problem));
            }
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            set_aside(&self.path, &error.to_string());
            let problem = format!("{path}: damaged, what it held is not in force: {error}");
            told().insert(self.path.clone(), problem.clone());
            problem
        })
    }

    /// What is told when it cannot be written for this reason.
    pub fn unwritable(&self, problem: io::Error) -> StateError {
        StateError::new(&self.path, problem)
    }

    /// Replaces what it holds by JSON, as [`StateFile::save_bytes`] does.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn save<T: Serialize>(&self, value: &T) -> Result<(), StateError> {
        let bytes = serde_json::to_vec_pretty(value);
        let bytes = bytes.map_err(|error| self.unwritable(error.into()))?;
        self.save_bytes(&bytes)
    }

    /// Replaces what it holds, all of it or nothing. Does nothing while the state files are another
    /// process's.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn save_bytes(&self, bytes: &[u8]) -> Result<(), StateError> {
        if_ours(|| write(&self.path, bytes)).unwrap_or(Ok(()))
    }

    /// Removes it, if it is there. Does nothing while the state files are another process's.
    ///
    /// # Errors
    /// When the disk is read-only or gone.
    pub fn remove(&self) -> Result<(), StateError> {
        let removed = if_ours(|| {
            let mut unwritten = unwritten();
            unwritten.remove(&self.path);
            fs::remove_file(&self.path)
        });
        match removed {
            Some(Err(problem)) if problem.kind() != io::ErrorKind::NotFound => {
                Err(self.unwritable(problem))
            }
            _ => Ok(()),
        }
    }
}

/// The state files whose names begin so, but not what was left half written or set aside.
pub fn files(directory: &Path, begin: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_one = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(begin) && name.ends_with(".txt"))
    };
    paths.filter(is_one).collect()
}

/// Moves a damaged file aside, as [`regular::set_aside`] does, and says so in the log.
pub fn set_aside(path: &Path, problem: &str) {
    let told = match regular::set_aside(path) {
        Ok(_) => "moved aside as .damaged".to_owned(),
        Err(error) => format!("it cannot be moved aside as .damaged ({error})"),
    };
    let path = path.display();
    tracing::warn!("{path}: damaged, and not used: {problem}; {told}");
}

#[cfg(test)]
mod tests {
    use std::thread::{self, sleep};
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_written_again_does_not_replace_what_was_saved_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let [large, small] = ["a.json", "b.json"].map(|name| StateFile::new(folder.path(), name));
        let in_the_way = ["a.json.new", "b.json.new"].map(|name| folder.path().join(name));
        in_the_way
            .iter()
            .for_each(|path| fs::create_dir(path).unwrap());
        // It takes long enough for the other one to be saved behind its back.
        large.save_bytes(&vec![b' '; 64 << 20]).unwrap_err();
        small.save_bytes(b"older").unwrap_err();
        in_the_way
            .iter()
            .for_each(|path| fs::remove_dir(path).unwrap());
        thread::scope(|scope| {
            // Whether all was written says nothing here: files of other tests may be among it.
            let again = scope.spawn(write_again);
            loop {
                let done = again.is_finished();
                if in_the_way[0].exists() || large.path.exists() {
                    break;
                }
                assert!(!done, "{:?} was not written", large.path);
                sleep(Duration::from_millis(1));
            }
            small.save_bytes(b"newer").unwrap();
        });
        assert_eq!(fs::metadata(&large.path).unwrap().len(), 64 << 20);
        assert_eq!(fs::read(&small.path).unwrap(), b"newer");
    }
}
