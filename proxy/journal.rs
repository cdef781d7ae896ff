//! Journals: lines of JSON that are appended, in one file and the one before it.
//!
//! A crash in the middle of a line costs that line alone, and what is read is bounded whatever is there.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::regular;

/// Bytes of a line that is read; ours are shorter.
const MAX_LINE: u64 = 64 << 10;

/// A journal of lines of one kind.
#[derive(Debug)]
pub struct Journal<T> {
    path: PathBuf,
    /// Bytes of a file, after which the next one is begun.
    full: u64,
    lines: PhantomData<fn(T) -> T>,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// The one of this name in a directory, `NAME.jsonl`, with so many bytes in a file.
    pub fn new(directory: &Path, name: &str, full: u64) -> Self {
        Journal {
            path: directory.join(format!("{name}.jsonl")),
            full,
            lines: PhantomData,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn older(&self) -> PathBuf {
        self.path.with_extension("1.jsonl")
    }

    /// What is in the file and the one before it, the oldest first. What is not ours, or not whole, is
    /// passed over.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(&self) -> io::Result<impl Iterator<Item = T> + use<T>> {
        match regular::open(&self.path, 2 * self.full) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(self.lines()),
        }
    }

    /// As [`Journal::read`]; nothing where it cannot be read.
    pub fn lines(&self) -> impl Iterator<Item = T> + use<T> {
        // More is not ours.
        let most = 2 * self.full;
        lines(&self.older(), most).chain(lines(&self.path, most))
    }

    /// Adds lines, all of them or none: no more than a small part of a file at a time. Blocks for as long
    /// as the disk does.
    ///
    /// # Errors
    /// When the disk does not take them.
    pub fn append(&self, lines: &[T]) -> io::Result<()> {
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
            // Who asks again would have them twice. What cannot be taken back is passed over as far as
            // it is not whole.
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
