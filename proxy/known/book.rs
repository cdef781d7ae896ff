//! The known customers with their sources: what the files say, and what operators added.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::learn::Confirmed;
use crate::lists::{FromFile, ListError, Lists};
use crate::prefixes::{self, Added, BookError, PrefixSet, parse_prefix, read_prefix};
use crate::state::{StateError, StateFile};

/// One line of `known list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The prefix.
    pub prefix: IpNet,
    /// `operator`, `learned`, or the file it stands in.
    pub source: String,
    /// When it ends, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Why it was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the app confirmed it, of one that was learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Confirmed>,
}

/// Why a change to the known set was not made, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{problem}{hint}")]
pub struct KnownError {
    problem: BookError,
    hint: &'static str,
}

/// All known customers, and where each comes from.
#[derive(Debug)]
pub struct Book {
    files: Mutex<Vec<FromFile<IpNet>>>,
    added: prefixes::Book,
}

impl Book {
    /// What was added before the restart; a damaged file is set aside and named in the log.
    pub fn open(file: StateFile) -> Self {
        Book {
            files: Mutex::new(Vec::new()),
            added: prefixes::Book::open(file),
        }
    }

    fn files(&self) -> MutexGuard<'_, Vec<FromFile<IpNet>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the files that the configuration names, without taking them over yet.
    ///
    /// # Errors
    /// When any of them cannot be read whole.
    pub fn read_files(patterns: &[PathBuf]) -> Result<Vec<FromFile<IpNet>>, ListError> {
        let lists = Lists {
            key: "known.files",
            example: "known.d/*.txt",
            patterns,
        };
        lists.read(|_, entry| parse_prefix(entry))
    }

    /// Takes files over that were read whole.
    pub fn replace_files(&self, files: Vec<FromFile<IpNet>>) {
        *self.files() = files;
    }

    /// The set to look addresses up in.
    pub fn set(&self) -> PrefixSet {
        let files = self.files();
        let from_files = files.iter().flat_map(|(_, prefixes)| prefixes).copied();
        from_files.chain(self.added.prefixes()).collect()
    }

    /// How many prefixes come from files, and how many were added.
    pub fn counts(&self) -> (usize, usize) {
        let files = self.files();
        let lines = files.iter().map(|(_, prefixes)| prefixes.len());
        (lines.sum(), self.added.len())
    }

    /// Adds an entry, or changes the end and reason of one.
    ///
    /// # Errors
    /// When it is not a prefix, or there are too many.
    pub fn add(
        &self,
        prefix: &str,
        until: Option<u64>,
        reason: Option<String>,
    ) -> Result<Added, KnownError> {
        let entry = Added {
            until,
            reason,
            ..Added::of(read_prefix(prefix)?)
        };
        self.added.add(entry.clone())?;
        Ok(entry)
    }

    /// Removes an entry that was added.
    ///
    /// # Errors
    /// When there is none; those of files leave with their line.
    pub fn remove(&self, prefix: &str) -> Result<IpNet, KnownError> {
        let prefix = read_prefix(prefix)?;
        let removed = self.added.remove(prefix);
        let removed = removed.map_err(|problem| KnownError {
            hint: match self.is_in_file(prefix) {
                true => ": it stands in a file; remove its line and reload",
                false => "; see `tidegate known list`",
            },
            problem,
        });
        removed.map(|entry| entry.prefix)
    }

    fn is_in_file(&self, prefix: IpNet) -> bool {
        let files = self.files();
        files.iter().any(|(_, entries)| entries.contains(&prefix))
    }

    /// Drops the entries whose end has passed and says how many.
    pub fn expire(&self, now: u64) -> usize {
        self.added.expire(now).len()
    }

    /// The entries, added ones first, at most `limit` of them, that contain `address` if one is
    /// given.
    pub fn list(&self, limit: usize, address: Option<IpAddr>) -> Vec<Entry> {
        let added = self.added.list(limit, address);
        let added = added.into_iter().map(|entry| Entry {
            prefix: entry.prefix,
            source: "operator".to_owned(),
            until: entry.until,
            reason: entry.reason,
            confirmed: None,
        });
        let files = self.files();
        let from_files = files.iter().flat_map(|(path, prefixes)| {
            prefixes
                .iter()
                .filter(|prefix| address.is_none_or(|address| prefix.contains(&address)))
                .map(move |prefix| Entry {
                    prefix: *prefix,
                    source: path.display().to_string(),
                    until: None,
                    reason: None,
                    confirmed: None,
                })
        });
        added.chain(from_files).take(limit).collect()
    }

    /// Writes down what was added. Blocks for as long as the disk does, and nobody else with it.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn save(&self) -> Result<(), StateError> {
        self.added.save()
    }
}

impl From<BookError> for KnownError {
    fn from(problem: BookError) -> Self {
        let hint = match problem {
            BookError::Full => "; put them in a file that known.files names",
            BookError::Prefix { .. } | BookError::Reason(_) | BookError::Absent(_) => "",
        };
        KnownError { problem, hint }
    }
}
