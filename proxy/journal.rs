//! Journals: lines of JSON that are appended, in one file and the one before it, in the state directory.
//!
//! A crash in the middle of a line costs that line alone, and what is read is bounded whatever is there.
//! What the disk does not take is kept, read like the rest, and written as soon as the disk does.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::regular;
use crate::state::{self, StateError};

/// Bytes of a line that is read; ours are shorter.
const MAX_LINE: u64 = 64 << 10;
/// Lines that wait for a disk, at most: of minutes, those of half a day.
const WAITING: usize = 720;
/// And how many of them are written at a time: a small part of a file.
const AT_ONCE: usize = 60;

/// A journal of lines of one kind.
#[derive(Debug)]
pub struct Journal<T> {
    path: PathBuf,
    /// Bytes of a file, after which the next one is begun.
    full: u64,
    /// Lines that the disk has not taken, the oldest first.
    unwritten: Mutex<VecDeque<T>>,
    /// Held by who writes, for as long as the disk takes.
    writing: Mutex<()>,
}

impl<T: Clone + PartialEq + Serialize + DeserializeOwned> Journal<T> {
    /// The one of this name in a directory, `NAME.jsonl`, with so many bytes in a file.
    pub fn new(directory: &Path, name: &str, full: u64) -> Self {
        Journal {
            path: directory.join(format!("{name}.jsonl")),
            full,
            unwritten: Mutex::default(),
            writing: Mutex::default(),
        }
    }

    fn older(&self) -> PathBuf {
        self.path.with_extension("1.jsonl")
    }

    /// All lines, the oldest first. What is not ours, or not whole, is passed over. Waits for nobody who
    /// writes.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(&self) -> io::Result<impl Iterator<Item = T> + use<T>> {
        // Before the file: what is written meanwhile is in both, and told once.
        let unwritten = self.unwritten.lock().clone();
        // More is not ours.
        let most = 2 * self.full;
        match regular::open(&self.path, most) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let written = lines(&self.older(), most).chain(lines(&self.path, most));
        let waiting = unwritten.clone();
        let written = written.filter(move |line| !waiting.contains(line));
        Ok(written.chain(unwritten))
    }

    /// Adds lines. Blocks for as long as the disk does. Does nothing while the state files are another
    /// process's.
    ///
    /// # Errors
    /// When the disk does not take them yet.
    pub fn append(&self, lines: impl IntoIterator<Item = T>) -> Result<(), StateError> {
        self.unwritten.lock().extend(lines);
        let writing = self.writing.lock();
        self.write_down(&writing)
    }

    /// Writes what the disk has not taken so far, unless that is being done.
    pub fn write_again(&self) {
        if let Some(writing) = self.writing.try_lock() {
            // What is wrong was told when it began.
            let _ = self.write_down(&writing);
        }
    }

    /// Whether somebody is writing.
    pub fn is_busy(&self) -> bool {
        self.writing.is_locked()
    }

    fn write_down(&self, _writing: &MutexGuard<'_, ()>) -> Result<(), StateError> {
        let too_many = self.unwritten.lock().len().saturating_sub(WAITING);
        self.forget(too_many);
        loop {
            let some: Vec<T> = self
                .unwritten
                .lock()
                .iter()
                .take(AT_ONCE)
                .cloned()
                .collect();
            if some.is_empty() {
                return Ok(());
            }
            if let Some(written) = state::if_ours(|| self.write(&some)) {
                state::note(&self.path, written)?;
            }
            self.forget(some.len());
        }
    }

    fn forget(&self, oldest: usize) {
        let mut unwritten = self.unwritten.lock();
        let oldest = oldest.min(unwritten.len());
        unwritten.drain(..oldest);
    }

    /// Writes all of these lines or none.
    fn write(&self, lines: &[T]) -> io::Result<()> {
        if fs::metadata(&self.path).is_ok_and(|meta| meta.len() >= self.full) {
            fs::rename(&self.path, self.older())?;
        }
        let mut file = File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)?;
        // A line that was cut short ends here, and is passed over.
        let mut bytes = match ends_whole(&self.path)? {
            true => Vec::new(),
            false => b"\n".to_vec(),
        };
        for line in lines {
            serde_json::to_writer(&mut bytes, line)?;
            bytes.push(b'\n');
        }
        let before = file.metadata()?.len();
        let written = file.write_all(&bytes).and_then(|()| file.sync_data());
        if written.is_err() {
            // They are written again, and would be there twice.
            let _ = file.set_len(before);
        }
        written
    }
}

/// Whether a file ends with the end of a line, or is empty.
fn ends_whole(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// The lines of a file that are ours and whole; none when there is no such file.
fn lines<T: DeserializeOwned>(path: &Path, most: u64) -> impl Iterator<Item = T> + use<T> {
    let file = regular::open(path, most).ok();
    let mut file = file.map(BufReader::new);
    std::iter::from_fn(move || {
        let file = file.as_mut()?;
        let mut line = Vec::new();
        let read = file.take(MAX_LINE).read_until(b'\n', &mut line).ok()?;
        (read > 0).then_some(line)
    })
    .filter_map(|line| serde_json::from_slice(&line).ok())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    const FULL: u64 = 1 << 20;

    fn read(journal: &Journal<usize>) -> Vec<usize> {
        journal.read().unwrap().collect()
    }

    #[test]
    fn what_the_disk_does_not_take_is_read_all_the_same_and_written_once_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let journal = Journal::new(&state, "numbers", FULL);
        for number in 0..100 {
            journal.append([number]).unwrap_err();
        }
        let all: Vec<usize> = (0..100).collect();
        assert_eq!(read(&journal), all);
        fs::create_dir(&state).unwrap();
        journal.write_again();
        assert_eq!(read(&journal), all);
        assert_eq!(read(&Journal::new(&state, "numbers", FULL)), all);
        journal.append([100, 101]).unwrap();
        assert_eq!(read(&journal).len(), 102, "each once");
    }

    #[test]
    fn a_disk_that_never_takes_them_does_not_fill_the_memory() {
        let journal = Journal::new(Path::new("/nonexistent"), "numbers", FULL);
        for number in 0..WAITING + 10 {
            journal.append([number]).unwrap_err();
        }
        assert_eq!(read(&journal), (10..WAITING + 10).collect::<Vec<_>>());
    }

    #[test]
    fn who_reads_does_not_wait_for_a_disk_that_hangs_and_has_what_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(folder.path(), "numbers", FULL);
        journal.append([1]).unwrap();
        let (path, older) = (journal.path.clone(), journal.older());
        fs::rename(&path, &older).unwrap();
        // Opening it hangs for as long as nobody reads.
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        thread::scope(|scope| {
            let hanging = scope.spawn(|| journal.append([2]));
            while !journal.is_busy() {
                assert!(!hanging.is_finished(), "it did not hang");
                thread::yield_now();
            }
            let (tell, told) = mpsc::channel();
            let journal = &journal;
            scope.spawn(move || {
                journal.write_again();
                let _ = tell.send(journal.unwritten.lock().clone());
            });
            let told = told.recv_timeout(Duration::from_secs(10));
            drop(File::open(&path).unwrap());
            assert_eq!(told, Ok([2].into()), "nobody waited");
        });
    }

    #[test]
    fn two_files_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(folder.path(), "numbers", 100);
        (0..200).for_each(|number| journal.append([number]).unwrap());
        let kept = read(&journal);
        assert!(kept.len() > 20 && kept.len() < 110, "{}", kept.len());
        assert_eq!(kept, (200 - kept.len()..200).collect::<Vec<_>>());
    }
}
