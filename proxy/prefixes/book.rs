//! What operators added to a set one by one, with an end and a reason, kept across restarts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::parse_prefix;
use crate::note::{self, Note};
use crate::state::{StateError, StateFile};

/// Entries that a book may have.
pub const MAX_ADDED: usize = 100_000;

/// Bytes of a reason: a full book then is far from the bound on state files.
const MAX_REASON: usize = 256;

/// An entry that an operator added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Added {
    /// The prefix.
    #[schemars(with = "String")]
    pub prefix: IpNet,
    /// Its end, reason and owner.
    #[serde(flatten)]
    pub note: Note,
}

impl Added {
    /// An entry without an end, a reason or an owner.
    pub fn of(prefix: IpNet) -> Self {
        Added {
            prefix,
            note: Note::default(),
        }
    }
}

/// Why a book was not changed.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// Neither an address nor a prefix.
    #[error("{found:?} is neither an address nor a prefix: {hint}")]
    Prefix {
        /// What was written.
        found: String,
        /// What would be right.
        hint: String,
    },
    /// The bound on entries is reached.
    #[error("{MAX_ADDED} entries were added already, and no more are kept")]
    Full,
    /// More than a reason.
    #[error("a reason has at most {MAX_REASON} bytes, and this one {0}")]
    Reason(usize),
    /// There is no such entry.
    #[error("{0} was not added by an operator")]
    Absent(IpNet),
}

/// The entries that operators added.
#[derive(Debug)]
pub struct Book {
    entries: Mutex<BTreeMap<IpNet, Added>>,
    file: Mutex<StateFile>,
}

impl Book {
    /// What was added before the restart; a damaged file is set aside and named in the log.
    pub fn open(file: StateFile) -> Self {
        let added: Vec<Added> = file.load().unwrap_or_default();
        let added = added.into_iter().map(|entry| (entry.prefix, entry));
        Book {
            entries: Mutex::new(added.collect()),
            file: Mutex::new(file),
        }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<IpNet, Added>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Their prefixes.
    pub fn prefixes(&self) -> Vec<IpNet> {
        self.entries().keys().copied().collect()
    }

    /// Adds an entry, or changes the end, reason and owner of one.
    ///
    /// # Errors
    /// When there are too many, or the reason is too long.
    pub fn add(&self, entry: Added) -> Result<(), BookError> {
        check_reason(entry.note.reason.as_deref().unwrap_or_default())?;
        let mut entries = self.entries();
        if entries.len() >= MAX_ADDED && !entries.contains_key(&entry.prefix) {
            return Err(BookError::Full);
        }
        entries.insert(entry.prefix, entry);
        Ok(())
    }

    /// Removes an entry.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove(&self, prefix: IpNet) -> Result<Added, BookError> {
        let removed = self.entries().remove(&prefix);
        removed.ok_or(BookError::Absent(prefix))
    }

    /// Takes out the entries for whose prefixes `gone` holds.
    pub fn forget(&self, gone: impl Fn(IpNet) -> bool) {
        self.entries().retain(|prefix, _| !gone(*prefix));
    }

    /// Takes out the entries whose end has passed.
    pub fn expire(&self, now: u64) -> Vec<Added> {
        let mut entries = self.entries();
        entries
            .extract_if(.., |_, entry| entry.note.has_ended(now))
            .map(|(_, entry)| entry)
            .collect()
    }

    /// The wall clock was set: entries last as long as they would have. Whether any has an end.
    pub fn move_ends(&self, seconds: i64) -> bool {
        let mut entries = self.entries();
        note::move_ends(entries.values_mut().map(|entry| &mut entry.note), seconds)
    }

    /// Gives those that have no end this one.
    pub fn end_all_by(&self, until: u64) {
        for entry in self.entries().values_mut() {
            entry.note.until.get_or_insert(until);
        }
    }

    /// The entries, at most `limit` of them, that contain `address` if one is given.
    pub fn list(&self, limit: usize, address: Option<IpAddr>) -> Vec<Added> {
        let entries = self.entries();
        entries
            .values()
            .filter(|entry| address.is_none_or(|address| entry.prefix.contains(&address)))
            .take(limit)
            .cloned()
            .collect()
    }

    /// Writes the entries down. Blocks for as long as the disk does, and nobody else with it.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn save(&self) -> Result<(), StateError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // Read behind the lock: of two savers, the last writes the latest.
        let entries: Vec<Added> = self.entries().values().cloned().collect();
        file.save(&entries)
    }
}

/// Whether a reason is short enough to be kept.
///
/// # Errors
/// When it is not.
pub fn check_reason(reason: &str) -> Result<(), BookError> {
    match reason.len() {
        length if length > MAX_REASON => Err(BookError::Reason(length)),
        _ => Ok(()),
    }
}

/// Reads a prefix as an operator wrote it.
///
/// # Errors
/// When it is none.
pub fn read_prefix(text: &str) -> Result<IpNet, BookError> {
    parse_prefix(text.trim()).map_err(|hint| BookError::Prefix {
        found: text.chars().take(80).collect(),
        hint,
    })
}
