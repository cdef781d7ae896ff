//! Known customers that operators brought in by the thousand: each import has one end, one reason and one
//! owner, and a state file of its own, so that a single addition does not write them all.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::lists;
use crate::note::Note;
use crate::prefixes::{PrefixSet, parse_prefix};
use crate::regular;
use crate::state::{self, StateError, StateFile};

/// Prefixes that all imports together may have: 36 MiB, and what the set takes.
pub const MAX_IMPORTED: usize = 2_000_000;
/// Imports that there may be.
pub const MAX_IMPORTS: usize = 1_000;
/// What their files are called, before the number.
const FILES: &str = "known-import-";
/// What an import's file begins with, as a comment: the prefixes follow, a line each.
const HEADER: &str = "# tidegate import ";

/// What was imported at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Sorted, each once.
    prefixes: Vec<IpNet>,
    /// What holds for all of them.
    pub facts: Facts,
}

/// What holds for everything that was imported at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(inline)]
pub struct Facts {
    /// Its number: the later one is higher.
    pub number: u64,
    /// How many prefixes it has.
    pub prefixes: usize,
    /// Its end, reason and owner.
    #[serde(flatten)]
    pub note: Note,
}

impl Import {
    /// An import of these prefixes, in any order.
    pub fn of(mut prefixes: Vec<IpNet>, facts: Facts) -> Self {
        prefixes.sort_unstable();
        prefixes.dedup();
        Import {
            facts: Facts {
                prefixes: prefixes.len(),
                ..facts
            },
            prefixes,
        }
    }

    /// Its prefixes, sorted.
    pub fn prefixes(&self) -> &[IpNet] {
        &self.prefixes
    }

    /// Whether it has exactly this prefix.
    pub fn has(&self, prefix: IpNet) -> bool {
        self.prefixes.binary_search(&prefix).is_ok()
    }

    /// Without the prefixes for which `gone` holds; `None` when that is all, itself when it has none.
    fn without(self: &Arc<Self>, gone: impl Fn(IpNet) -> bool) -> Option<Arc<Self>> {
        if !self.prefixes.iter().any(|prefix| gone(*prefix)) {
            return Some(self.clone());
        }
        let kept = self
            .prefixes
            .iter()
            .copied()
            .filter(|prefix| !gone(*prefix));
        let left = Import::of(kept.collect(), self.facts.clone());
        (!left.prefixes.is_empty()).then(|| Arc::new(left))
    }

    /// The file that it is kept in.
    fn written(&self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        writeln!(out, "{HEADER}{}", serde_json::to_string(&self.facts)?)?;
        for prefix in &self.prefixes {
            writeln!(out, "{prefix}")?;
        }
        Ok(out)
    }

    fn read(path: &Path) -> Result<Self, String> {
        let file = regular::open(path, lists::MAX_FILE).map_err(|error| error.to_string())?;
        let mut file = BufReader::new(file);
        let mut header = String::new();
        let first = file.by_ref().take(4096).read_line(&mut header);
        first.map_err(|error| error.to_string())?;
        let facts = header
            .strip_prefix(HEADER)
            .ok_or("its first line is not the header")?;
        let facts: Facts = serde_json::from_str(facts).map_err(|error| error.to_string())?;
        let mut prefixes = Vec::new();
        let read = lists::read_from(path, header.as_bytes().chain(file), &[], |_, text| {
            prefixes.push(parse_prefix(text)?);
            Ok(())
        });
        read.map_err(|error| error.to_string())?;
        let expected = facts.prefixes;
        let import = Import::of(prefixes, facts);
        match import.facts.prefixes == expected {
            true => Ok(import),
            false => Err(format!(
                "it has {} prefixes and says that there are {expected}",
                import.facts.prefixes
            )),
        }
    }
}

/// Imports as they are at one time.
#[derive(Debug, Default)]
pub struct Imported {
    /// The oldest first.
    all: Vec<Arc<Import>>,
    set: Arc<PrefixSet>,
    count: usize,
}

impl Imported {
    fn of(all: Vec<Arc<Import>>) -> Self {
        let prefixes = all.iter().flat_map(|import| &import.prefixes).copied();
        Imported {
            set: Arc::new(PrefixSet::of(prefixes)),
            count: all.iter().map(|import| import.prefixes.len()).sum(),
            all,
        }
    }

    /// The imports, the oldest first.
    pub fn all(&self) -> &[Arc<Import>] {
        &self.all
    }

    /// How many prefixes they have.
    pub fn count(&self) -> usize {
        self.count
    }

    /// For looking addresses up.
    pub(super) fn set(&self) -> Arc<PrefixSet> {
        self.set.clone()
    }

    /// Whether an import has exactly this prefix.
    pub fn has(&self, prefix: IpNet) -> bool {
        self.all.iter().any(|import| import.has(prefix))
    }
}

/// The imports, and the files that they are kept in.
#[derive(Debug)]
pub struct Imports {
    directory: PathBuf,
    /// Taken for a moment, to read or to replace.
    now: Mutex<Arc<Imported>>,
    /// What the files have.
    saved: Mutex<BTreeMap<u64, Arc<Import>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Imports {
    /// What was imported before the restart; a damaged file is set aside and named in the log.
    pub fn open(directory: &Path) -> Self {
        let mut saved = BTreeMap::new();
        for path in state::files(directory, FILES) {
            match Import::read(&path) {
                Ok(import) => {
                    saved.insert(import.facts.number, Arc::new(import));
                }
                Err(problem) => state::set_aside(&path, &problem),
            }
        }
        Imports {
            directory: directory.to_owned(),
            now: Mutex::new(Arc::new(Imported::of(saved.values().cloned().collect()))),
            saved: Mutex::new(saved),
        }
    }

    /// The imports as they are now.
    pub fn now(&self) -> Arc<Imported> {
        lock(&self.now).clone()
    }

    /// Takes one in, and its prefixes out of those before: the last word holds. Builds the set, so one
    /// changer at a time.
    ///
    /// # Errors
    /// When there are too many; nothing is changed.
    pub fn add(&self, prefixes: Vec<IpNet>, facts: Facts) -> Result<Facts, String> {
        let now = self.now();
        let number = now.all.last().map_or(1, |last| last.facts.number + 1);
        let import = Import::of(prefixes, Facts { number, ..facts });
        let before = now.all.iter();
        let mut all: Vec<Arc<Import>> = before
            .filter_map(|before| before.without(|prefix| import.has(prefix)))
            .collect();
        let told = import.facts.clone();
        all.push(Arc::new(import));
        let count: usize = all.iter().map(|import| import.prefixes.len()).sum();
        if count > MAX_IMPORTED || all.len() > MAX_IMPORTS {
            return Err(format!(
                "with these there would be {count} imported prefixes in {} imports, and no more than {MAX_IMPORTED} in {MAX_IMPORTS} are kept: put them in a file that known.files names; nothing was changed",
                all.len()
            ));
        }
        *lock(&self.now) = Arc::new(Imported::of(all));
        Ok(told)
    }

    /// Takes a prefix out of every import, and says whether any had it.
    pub fn remove(&self, prefix: IpNet) -> bool {
        let has = self.now().has(prefix);
        if has {
            self.keep(|import| import.without(|other| other == prefix));
        }
        has
    }

    /// Drops the imports whose end has passed, and says how many prefixes went.
    pub fn expire(&self, now: u64) -> usize {
        let ended = |import: &Arc<Import>| import.facts.note.has_ended(now);
        let before = self.now();
        if before.all.iter().any(ended) {
            self.keep(|import| (!ended(import)).then(|| import.clone()));
        }
        before.count - self.now().count
    }

    /// The wall clock was set: imports last as long as they would have. Whether any has an end.
    pub fn move_ends(&self, seconds: i64) -> bool {
        let before = self.now();
        let any = before
            .all
            .iter()
            .any(|import| import.facts.note.until.is_some());
        if any {
            self.keep(|import| {
                let mut import = import.clone();
                if import.facts.note.until.is_some() {
                    Arc::make_mut(&mut import).facts.note.move_end(seconds);
                }
                Some(import)
            });
        }
        any
    }

    fn keep(&self, kept: impl Fn(&Arc<Import>) -> Option<Arc<Import>>) {
        let all = self.now().all.iter().filter_map(kept).collect();
        *lock(&self.now) = Arc::new(Imported::of(all));
    }

    /// Writes down what is not, the latest first. Blocks for as long as the disk does.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn save(&self) -> Result<(), StateError> {
        let mut saved = lock(&self.saved);
        // Read behind the lock: of two savers, the last writes the latest.
        let now = self.now();
        for import in now.all.iter().rev() {
            let number = import.facts.number;
            if saved
                .get(&number)
                .is_some_and(|on_disk| Arc::ptr_eq(on_disk, import))
            {
                continue;
            }
            let file = self.file(number);
            let written = import
                .written()
                .map_err(|problem| file.unwritable(problem))?;
            file.save_bytes(&written)?;
            saved.insert(number, import.clone());
        }
        let is_kept = |number: &u64| now.all.iter().any(|import| import.facts.number == *number);
        let gone: Vec<u64> = saved
            .keys()
            .copied()
            .filter(|number| !is_kept(number))
            .collect();
        for number in gone {
            self.file(number).remove()?;
            saved.remove(&number);
        }
        Ok(())
    }

    fn file(&self, number: u64) -> StateFile {
        StateFile::new(&self.directory, &format!("{FILES}{number}.txt"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::Note;

    #[test]
    fn a_wall_clock_that_is_set_moves_the_ends_of_imports_in_their_files_too() {
        let folder = tempfile::tempdir().unwrap();
        let imports = Imports::open(folder.path());
        let ending = |until| Facts {
            note: Note {
                until,
                ..Note::default()
            },
            ..Facts::default()
        };
        let prefix = |text: &str| vec![text.parse().unwrap()];
        imports.add(prefix("192.0.2.0/24"), ending(None)).unwrap();
        assert!(!imports.move_ends(1000), "nothing has an end");
        let short = ending(Some(100));
        imports.add(prefix("198.51.100.0/24"), short).unwrap();
        imports.save().unwrap();
        assert!(imports.move_ends(1000));
        imports.save().unwrap();
        let again = Imports::open(folder.path());
        assert_eq!((again.expire(1099), again.expire(1100)), (0, 1));
        assert_eq!(again.expire(u64::MAX), 0, "the other one has no end");
    }
}
