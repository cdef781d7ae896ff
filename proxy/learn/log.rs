//! The store: a log in the state directory that is only appended to, and written anew when most of it
//! is old.
//!
//! Not a database: all of it is in memory anyway, is read once, and has no other index. A log of
//! entries with a checksum each is whole up to the last batch whatever instant the process or the
//! machine stops at, costs one write a second, and what is damaged costs its own entry alone.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::record::{Record, SIZE};
use crate::regular;

/// What the file begins with: what it is, and the version of its entries.
const MAGIC: [u8; 8] = *b"TGLEARN\n";
const VERSION: u32 = 1;
/// The magic, the version, and a checksum of both.
const HEADER: usize = 16;

/// Bytes that the file may have: a million entries, four times over, and some.
const MAX_FILE: u64 = 300 << 20;

/// Bytes of old entries that are not worth writing the file anew for.
const SLACK: u64 = 1 << 20;
/// How many times as large as a new one the file may be.
const MOST_OLD: u64 = 4;

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The entries that are whole.
    pub records: Vec<Record>,
    /// How many are not.
    pub damaged: usize,
}

/// Why a file is not one of this version's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Its beginning is damaged, or it is something else.
    Unknown,
    /// A newer version of the gate wrote it.
    Newer(u32),
}

fn header() -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    let (content, sum) = bytes.split_at_mut(12);
    let (magic, version) = content.split_at_mut(8);
    magic.copy_from_slice(&MAGIC);
    version.copy_from_slice(&VERSION.to_le_bytes());
    sum.copy_from_slice(&crc32fast::hash(content).to_le_bytes());
    bytes
}

/// What these bytes of a file hold. A part of an entry at the end is what a process that was killed
/// leaves, and zeros are what a file system leaves of what it had not written yet; neither is damage.
///
/// # Errors
/// When it is not a file of this version.
pub fn parse(bytes: &[u8]) -> Result<Content, Foreign> {
    let (head, rest) = bytes
        .split_first_chunk::<HEADER>()
        .ok_or(Foreign::Unknown)?;
    let (content, sum) = head.split_at(12);
    let (magic, version) = content.split_at(8);
    if magic != MAGIC || crc32fast::hash(content).to_le_bytes() != *sum {
        return Err(Foreign::Unknown);
    }
    let version = version.try_into().map_or(0, u32::from_le_bytes);
    match version {
        VERSION => {}
        newer if newer > VERSION => return Err(Foreign::Newer(newer)),
        _ => return Err(Foreign::Unknown),
    }
    let zeros = rest.iter().rev().take_while(|byte| **byte == 0).count();
    let written = rest.len().saturating_sub(zeros);
    let (entries, _part) = rest.as_chunks::<SIZE>();
    let mut found = Content::default();
    for (entry, at) in entries.iter().zip((0_usize..).step_by(SIZE)) {
        match Record::decode(entry) {
            Some(record) => found.records.push(record),
            None if at >= written => {}
            None => found.damaged += 1,
        }
    }
    Ok(found)
}

/// The file as it is being written.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: Option<File>,
    length: u64,
}

impl Log {
    /// The log at this path. Nothing is opened yet.
    pub fn new(path: PathBuf) -> Self {
        Log {
            path,
            file: None,
            length: 0,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes; `None` when there is no such file.
    ///
    /// # Errors
    /// When it cannot be read, is no regular file, or is larger than any of ours.
    pub fn read(&self) -> io::Result<Option<Vec<u8>>> {
        match regular::read(&self.path, MAX_FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            bytes => bytes.map(Some),
        }
    }

    /// Whether it is being written.
    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Lets go of the file.
    pub fn close(&mut self) {
        self.file = None;
    }

    /// Whether it is better written anew: most of it is old.
    pub fn is_mostly_old(&self, entries: usize) -> bool {
        let fresh = entries.saturating_mul(SIZE) as u64;
        self.length > fresh.saturating_mul(MOST_OLD).saturating_add(SLACK)
    }

    /// Appends entries and waits until they are on the disk. After an error nothing more may be
    /// appended, as a part of an entry may be at the end: the log is closed.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let Some(mut file) = self.file.take() else {
            return Err(io::Error::other("it is not open"));
        };
        let bytes = records.iter().map(Record::encode).collect::<Vec<_>>();
        let bytes = bytes.as_flattened();
        file.write_all(bytes)?;
        file.sync_data()?;
        self.length += bytes.len() as u64;
        self.file = Some(file);
        Ok(())
    }

    /// Writes it anew with these entries.
    ///
    /// # Errors
    /// As [`Log::append`], and as [`regular::replace`].
    pub fn rewrite(&mut self, records: &[Record]) -> io::Result<()> {
        self.file = None;
        let mut bytes = Vec::with_capacity(HEADER + records.len() * SIZE);
        bytes.extend_from_slice(&header());
        bytes.extend(records.iter().flat_map(Record::encode));
        self.file = Some(regular::replace(&self.path, |file| file.write_all(&bytes))?);
        self.length = bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
