//! What the files of known customers say, read whole or not at all.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;

use crate::lists::{ListError, Lists, Stamp};
use crate::prefixes::{PrefixSet, parse_prefix};

/// What the column of a CSV file is called.
pub(super) const COLUMNS: [&str; 5] = ["address", "ip", "cidr", "prefix", "network"];
/// Prefixes that all files together may have: some 200 MiB.
const MAX_PREFIXES: usize = 4_000_000;
/// Files that one sentence names.
const NAMED: usize = 10;

/// A prefix, and where in its file it stands.
#[derive(Clone, Copy, Debug)]
struct Row {
    prefix: IpNet,
    line: u32,
}

/// Files as they were read, with the set that they make.
#[derive(Debug, Default)]
pub struct KnownFiles {
    patterns: Vec<PathBuf>,
    /// As the files were before they were read.
    stamp: Stamp,
    files: Vec<(PathBuf, Vec<Row>)>,
    count: usize,
    set: Arc<PrefixSet>,
}

/// Fewer customers than can be meant.
#[derive(Debug, thiserror::Error)]
#[error(
    "known.files: {what}, as if a file was cut or emptied; if that is meant, `tidegate reload --force`"
)]
pub struct Shrunk {
    what: String,
}

fn lists(patterns: &[PathBuf]) -> Lists<'_> {
    Lists {
        key: "known.files",
        example: "known.d/*.txt",
        columns: &COLUMNS,
        patterns,
    }
}

impl KnownFiles {
    /// Reads the files that these patterns match.
    ///
    /// # Errors
    /// When any of them cannot be read whole, or they are too many.
    pub fn read(patterns: &[PathBuf]) -> Result<Self, ListError> {
        let stamp = Self::stamp_of(patterns);
        let mut count = 0;
        let files = lists(patterns).read(|line, entry| {
            count += 1;
            if count > MAX_PREFIXES {
                return Err(format!(
                    "known.files may have {MAX_PREFIXES} prefixes in all, and this is one more"
                ));
            }
            let prefix = parse_prefix(entry)?;
            // A file of as many lines is larger than one may be.
            let line = u32::try_from(line).unwrap_or(u32::MAX);
            Ok(Row { prefix, line })
        })?;
        let rows = files.iter().flat_map(|(_, rows)| rows);
        let set = Arc::new(PrefixSet::of(rows.map(|row| row.prefix)));
        Ok(KnownFiles {
            patterns: patterns.to_owned(),
            stamp,
            files,
            count,
            set,
        })
    }

    /// What the files are like now that these patterns match.
    pub fn stamp_of(patterns: &[PathBuf]) -> Stamp {
        lists(patterns).stamp()
    }

    /// What these files were like before they were read.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// The patterns that named them.
    pub fn patterns(&self) -> &[PathBuf] {
        &self.patterns
    }

    /// How many prefixes they have, those that stand there twice counted twice.
    pub fn count(&self) -> usize {
        self.count
    }

    /// For looking addresses up.
    pub(super) fn set(&self) -> Arc<PrefixSet> {
        self.set.clone()
    }

    /// All of them with their file and line.
    pub(super) fn rows(&self) -> impl Iterator<Item = (IpNet, &Path, u32)> {
        let files = self.files.iter();
        files.flat_map(|(path, rows)| rows.iter().map(|row| (row.prefix, &**path, row.line)))
    }

    fn counts(&self) -> HashMap<&Path, usize> {
        let files = self.files.iter();
        files.map(|(path, rows)| (&**path, rows.len())).collect()
    }

    /// Customers do not leave by the half: files that say so were cut, emptied or mistaken. A file that
    /// is gone is fine as long as the others have most of the prefixes.
    ///
    /// # Errors
    /// When `next` has less than half of the prefixes, in all or in one of these files.
    pub fn refuse_shrunk(&self, next: &KnownFiles) -> Result<(), Shrunk> {
        let shrunk = |what: String| Err(Shrunk { what });
        let before = self.counts();
        for (path, rows) in &next.files {
            let was = before.get(&**path).copied().unwrap_or_default();
            if rows.len() * 2 < was {
                return shrunk(format!(
                    "only {} of {was} prefixes are left in {}",
                    rows.len(),
                    path.display()
                ));
            }
        }
        if next.count * 2 < self.count {
            return shrunk(format!(
                "only {} of {} prefixes are left",
                next.count, self.count
            ));
        }
        Ok(())
    }

    /// Which files are other ones in `next`, and how many prefixes each has: for people. Nothing when
    /// all have as many as before.
    pub fn changes(&self, next: &KnownFiles) -> String {
        let (before, after) = (self.counts(), next.counts());
        let mut changed: Vec<String> = Vec::new();
        for (path, rows) in &next.files {
            let path = &**path;
            match (before.get(path), rows.len()) {
                (Some(was), now) if *was != now => {
                    changed.push(format!("{} {was} -> {now}", path.display()));
                }
                (Some(_), _) => {}
                (None, now) => changed.push(format!("{} is new, {now}", path.display())),
            }
        }
        for (path, rows) in &self.files {
            if !after.contains_key(&**path) {
                changed.push(format!("{} is gone, {}", path.display(), rows.len()));
            }
        }
        let more = changed.len().saturating_sub(NAMED);
        changed.truncate(NAMED);
        if more > 0 {
            changed.push(format!("and {more} more files"));
        }
        changed.join("; ")
    }
}
