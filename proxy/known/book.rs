//! The known customers with their sources: what the files say, and what operators added or imported.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::files::KnownFiles;
use super::import::{Facts, Imported, Imports};
use crate::learn::Confirmed;
use crate::note::Note;
use crate::prefixes::{self, Added, BookError, Layers, PrefixSet, read_prefix};
use crate::state::{StateError, StateFile};

/// One line of `known list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Entry {
    /// The prefix.
    #[schemars(with = "String")]
    pub prefix: IpNet,
    /// `operator`, `learned`, `import` with its number, or the file it stands in.
    pub source: String,
    /// The line in that file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
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

impl Entry {
    /// Where it stands: `known.d/a.txt:7`, or who added it.
    pub fn place(&self) -> String {
        match self.line {
            Some(line) => format!("{}:{line}", self.source),
            None => self.source.clone(),
        }
    }
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
    files: Mutex<Arc<KnownFiles>>,
    imports: Imports,
    added: prefixes::Book,
}

/// Known prefixes by where they come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines of files.
    pub files: usize,
    /// Added or imported by operators.
    pub operators: usize,
}

impl Book {
    /// What was added and imported before the restart, from this state directory, beside these files. A
    /// damaged state file is set aside and named in the log.
    pub fn open(directory: &Path, files: KnownFiles) -> Self {
        Book {
            files: Mutex::new(Arc::new(files)),
            imports: Imports::open(directory),
            added: prefixes::Book::open(StateFile::new(directory, "known.json")),
        }
    }

    fn files_now(&self) -> MutexGuard<'_, Arc<KnownFiles>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the files say.
    pub fn files(&self) -> Arc<KnownFiles> {
        self.files_now().clone()
    }

    /// Takes files over that were read whole, and gives those before.
    pub fn replace_files(&self, files: KnownFiles) -> Arc<KnownFiles> {
        std::mem::replace(&mut *self.files_now(), Arc::new(files))
    }

    /// What was imported.
    pub fn imported(&self) -> Arc<Imported> {
        self.imports.now()
    }

    /// The sets to look addresses up in: what was added one by one is small, and built anew here.
    pub fn layers(&self) -> Layers {
        let added: PrefixSet = self.added.prefixes().into_iter().collect();
        [Arc::new(added), self.files().set(), self.imported().set()]
            .into_iter()
            .collect()
    }

    /// How many there are.
    pub fn counts(&self) -> Counts {
        Counts {
            files: self.files().count(),
            operators: self.added.len() + self.imported().count(),
        }
    }

    /// Adds an entry, or changes the end and reason of one.
    ///
    /// # Errors
    /// When it is not a prefix, or there are too many.
    pub fn add(&self, prefix: &str, note: Note) -> Result<Added, KnownError> {
        let prefix = read_prefix(prefix)?;
        let entry = Added { prefix, note };
        self.added.add(entry.clone())?;
        // The last word holds.
        self.imports.remove(entry.prefix);
        Ok(entry)
    }

    /// Takes in prefixes with one end and one reason; those that were added or imported before change
    /// theirs.
    ///
    /// # Errors
    /// When there are too many, or the reason is too long; nothing is changed.
    pub fn import(&self, prefixes: Vec<IpNet>, facts: Facts) -> Result<Facts, String> {
        let reason = facts.note.reason.as_deref().unwrap_or_default();
        prefixes::check_reason(reason).map_err(|problem| problem.to_string())?;
        let facts = self.imports.add(prefixes, facts)?;
        let imported = self.imports.now();
        self.added.forget(|prefix| imported.has(prefix));
        Ok(facts)
    }

    /// Removes an entry that was added or imported.
    ///
    /// # Errors
    /// When there is none; those of files leave with their line.
    pub fn remove(&self, prefix: &str) -> Result<IpNet, KnownError> {
        let prefix = read_prefix(prefix)?;
        let was_imported = self.imports.remove(prefix);
        match self.added.remove(prefix) {
            Err(problem) if !was_imported => Err(KnownError {
                hint: match self.files().rows().any(|(other, ..)| other == prefix) {
                    true => ": it stands in a file; remove its line",
                    false => "; see `tidegate known list`",
                },
                problem,
            }),
            _ => Ok(prefix),
        }
    }

    /// The wall clock was set: what was added and imported lasts as long as it would have. Whether any has
    /// an end.
    pub fn move_ends(&self, seconds: i64) -> bool {
        self.added.move_ends(seconds) | self.imports.move_ends(seconds)
    }

    /// Drops the entries whose end has passed and says how many.
    pub fn expire(&self, now: u64) -> usize {
        self.added.expire(now).len() + self.imports.expire(now)
    }

    /// The entries, at most `limit` of them, that contain `address` if one is given: added ones first,
    /// then those of files. Goes through all of them.
    pub fn list(&self, limit: usize, address: Option<IpAddr>) -> Vec<Entry> {
        let is_asked = |prefix: &IpNet| address.is_none_or(|address| prefix.contains(&address));
        let added = self.added.list(limit, address);
        let added = added.into_iter().map(|entry| Entry {
            prefix: entry.prefix,
            source: "operator".to_owned(),
            line: None,
            until: entry.note.until,
            reason: entry.note.reason,
            confirmed: None,
        });
        let imported = self.imported();
        let imported = imported.all().iter().rev().flat_map(|import| {
            let prefixes = import.prefixes().iter().filter(|prefix| is_asked(prefix));
            prefixes.map(|prefix| Entry {
                prefix: *prefix,
                source: format!("import {}", import.facts.number),
                line: None,
                until: import.facts.note.until,
                reason: import.facts.note.reason.clone(),
                confirmed: None,
            })
        });
        let files = self.files();
        let rows = files.rows().filter(|(prefix, ..)| is_asked(prefix));
        let from_files = rows.map(|(prefix, path, line)| Entry {
            prefix,
            source: path.display().to_string(),
            line: Some(line),
            until: None,
            reason: None,
            confirmed: None,
        });
        added
            .chain(imported)
            .chain(from_files)
            .take(limit)
            .collect()
    }

    /// Writes down what was added, and then what that took out of imports: at no time does a file miss
    /// what another has lost. Blocks for as long as the disk does.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn save(&self) -> Result<(), StateError> {
        let added = self.added.save();
        self.imports.save().and(added)
    }

    /// As [`Book::save`], the other way round: after an import.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn save_import(&self) -> Result<(), StateError> {
        self.imports.save()?;
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
