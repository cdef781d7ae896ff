//! The file of the audit log, and the one before it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Record, Traffic};
use crate::regular;

/// Bytes of a file, after which the next one is begun: some ten thousand changes.
pub(super) const MAX_FILE: u64 = 4 << 20;
/// Bytes of a line that is read; ours are shorter.
const MAX_LINE: u64 = 16 << 10;

/// A line of the file: a record, or what the traffic was after an earlier one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    Record {
        number: u64,
        #[serde(flatten)]
        record: Record,
    },
    After {
        after: u64,
        traffic: Traffic,
    },
}

/// The lines of both files.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
}

impl Lines {
    /// Those of this file, which need not exist yet.
    pub(super) fn of(path: PathBuf) -> Self {
        Lines { path }
    }

    /// Whether it can be read, where it is there.
    pub(super) fn check(&self) -> io::Result<()> {
        match regular::open(&self.path, 2 * MAX_FILE) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn older(&self) -> PathBuf {
        self.path.with_extension("1.jsonl")
    }

    /// What is in the file and the one before it, the oldest first.
    pub(super) fn read(&self) -> impl Iterator<Item = Line> + use<> {
        lines(&self.older()).chain(lines(&self.path))
    }

    /// Appends lines, and begins a new file when this one is full.
    pub(super) fn append(&self, lines: &[Line]) -> io::Result<()> {
        if fs::metadata(&self.path).is_ok_and(|meta| meta.len() >= MAX_FILE) {
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
        file.write_all(&bytes)?;
        file.sync_data()
    }
}

/// Whether a file ends with the end of a line, or is empty.
fn ends_whole(path: &Path) -> io::Result<bool> {
    use std::io::{Seek, SeekFrom};
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
fn lines(path: &Path) -> impl Iterator<Item = Line> + use<> {
    // More is not ours.
    let file = regular::open(path, 2 * MAX_FILE).ok();
    let mut file = file.map(BufReader::new);
    std::iter::from_fn(move || {
        let file = file.as_mut()?;
        let mut line = Vec::new();
        let read = file.take(MAX_LINE).read_until(b'\n', &mut line).ok()?;
        (read > 0).then_some(line)
    })
    .filter_map(|line| serde_json::from_slice(&line).ok())
}
