//! The known customers with their sources: what the files say, and what operators added.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::KnownSet;
use super::prefix::parse_prefix;
use crate::lists::{FromFile, ListError, Lists};
use crate::state::{StateError, StateFile};

/// Entries that operators may add one by one; more belong in a file.
const MAX_ADDED: usize = 100_000;

/// An entry that an operator added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// The prefix.
    pub prefix: IpNet,
    /// When it ends, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Why it was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One line of `known list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The prefix.
    pub prefix: IpNet,
    /// `operator`, or the file it stands in.
    pub source: String,
    /// When it ends, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Why it was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why a change to the known set was not made.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// Neither an address nor a prefix.
    #[error("{found:?} is not a customer's address: {hint}")]
    Prefix {
        /// What was written.
        found: String,
        /// What would be right.
        hint: String,
    },
    /// The bound on added entries is reached.
    #[error("{MAX_ADDED} entries were added already; put them in a file that known.files names")]
    Full,
    /// There is no such entry.
    #[error("{0} was not added by an operator{1}")]
    Absent(IpNet, &'static str),
}

/// All known customers, and where each comes from.
#[derive(Debug)]
pub struct Book {
    inner: Mutex<Inner>,
    file: Mutex<StateFile>,
}

#[derive(Debug, Default)]
struct Inner {
    files: Vec<FromFile<IpNet>>,
    added: BTreeMap<IpNet, Added>,
}

impl Book {
    /// What was added before the restart; a damaged file is set aside and named in the log.
    pub fn open(file: StateFile) -> Self {
        let added: Vec<Added> = file.load().unwrap_or_default();
        let added = added.into_iter().map(|entry| (entry.prefix, entry));
        Book {
            inner: Mutex::new(Inner {
                files: Vec::new(),
                added: added.collect(),
            }),
            file: Mutex::new(file),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.inner().files = files;
    }

    /// The set to look addresses up in.
    pub fn set(&self) -> KnownSet {
        let inner = self.inner();
        let from_files = inner.files.iter().flat_map(|(_, prefixes)| prefixes);
        from_files.chain(inner.added.keys()).copied().collect()
    }

    /// How many prefixes come from files, and how many were added.
    pub fn counts(&self) -> (usize, usize) {
        let inner = self.inner();
        let files = inner.files.iter().map(|(_, prefixes)| prefixes.len());
        (files.sum(), inner.added.len())
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
    ) -> Result<Added, BookError> {
        let prefix = parse(prefix)?;
        let entry = Added {
            prefix,
            until,
            reason,
        };
        let mut inner = self.inner();
        if inner.added.len() >= MAX_ADDED && !inner.added.contains_key(&prefix) {
            return Err(BookError::Full);
        }
        inner.added.insert(prefix, entry.clone());
        Ok(entry)
    }

    /// Removes an entry that was added.
    ///
    /// # Errors
    /// When there is none; those of files leave with their line.
    pub fn remove(&self, prefix: &str) -> Result<IpNet, BookError> {
        let prefix = parse(prefix)?;
        let mut inner = self.inner();
        if inner.added.remove(&prefix).is_none() {
            let in_file = inner
                .files
                .iter()
                .any(|(_, prefixes)| prefixes.contains(&prefix));
            let hint = match in_file {
                true => ": it stands in a file; remove its line and reload",
                false => "; see `tidegate known list`",
            };
            return Err(BookError::Absent(prefix, hint));
        }
        Ok(prefix)
    }

    /// Drops the entries whose end has passed and says how many.
    pub fn expire(&self, now: u64) -> usize {
        let mut inner = self.inner();
        let before = inner.added.len();
        inner
            .added
            .retain(|_, entry| entry.until.is_none_or(|until| until > now));
        before - inner.added.len()
    }

    /// The entries, added ones first, at most `limit` of them, that contain `address` if one is
    /// given.
    pub fn list(&self, limit: usize, address: Option<IpAddr>) -> Vec<Entry> {
        let inner = self.inner();
        let added = inner.added.values().map(|entry| Entry {
            prefix: entry.prefix,
            source: "operator".to_owned(),
            until: entry.until,
            reason: entry.reason.clone(),
        });
        let from_files = inner.files.iter().flat_map(|(path, prefixes)| {
            prefixes.iter().map(move |prefix| Entry {
                prefix: *prefix,
                source: path.display().to_string(),
                until: None,
                reason: None,
            })
        });
        added
            .chain(from_files)
            .filter(|entry| address.is_none_or(|address| entry.prefix.contains(&address)))
            .take(limit)
            .collect()
    }

    /// Writes down what was added. Blocks for as long as the disk does, and nobody else with it.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn save(&self) -> Result<(), StateError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // Read behind the lock: of two savers, the last writes the latest.
        let entries: Vec<Added> = self.inner().added.values().cloned().collect();
        file.save(&entries)
    }
}

fn parse(prefix: &str) -> Result<IpNet, BookError> {
    parse_prefix(prefix.trim()).map_err(|hint| BookError::Prefix {
        found: prefix.chars().take(80).collect(),
        hint,
    })
}
