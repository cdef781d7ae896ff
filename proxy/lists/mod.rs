//! Files with one entry a line, as they are kept for known customers and for tenants: read whole, or
//! not at all.

mod columns;
mod lines;
mod stamp;

pub use stamp::Stamp;

use std::io::Read;
use std::path::{Path, PathBuf};

use lines::Lines;

/// Bytes that one file may have: a million IPv6 prefixes fit four times.
pub const MAX_FILE: u64 = 256 << 20;

/// Why a file was not taken over; nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// A pattern that is not one.
    #[error("{key}: {pattern:?} is not a pattern: {problem}")]
    Pattern {
        /// The key in the configuration.
        key: &'static str,
        /// What was written.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file without wildcards in its name that is not there.
    #[error("{key}: {path} does not exist; create it, or use a pattern such as {example}")]
    Missing {
        /// The key in the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// A pattern.
        example: &'static str,
    },
    /// A file that cannot be read.
    #[error("{path}: cannot be read: {problem}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// A line that says nothing that can be meant.
    #[error("{path}:{line}: found {found:?}; {hint}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What stands there.
        found: String,
        /// What would be right.
        hint: String,
    },
}

/// Files that a key of the configuration names by patterns.
#[derive(Clone, Copy, Debug)]
pub struct Lists<'config> {
    /// The key.
    pub key: &'static str,
    /// A pattern such as people write.
    pub example: &'static str,
    /// What a column may be called. A file whose first line names one of these is read as CSV.
    pub columns: &'static [&'static str],
    /// The patterns; one without wildcards is a file that has to be there.
    pub patterns: &'config [PathBuf],
}

/// A file, and the entries in it.
pub type FromFile<T> = (PathBuf, Vec<T>);

impl Lists<'_> {
    /// The entries of every file. `parse` gets a line's number and its text, without the comment that
    /// a `#` starts, and never an empty one; its error says what would be right. Of CSV it gets the
    /// column's text.
    ///
    /// # Errors
    /// When a file cannot be read to its end, or a line not be understood.
    pub fn read<T>(
        &self,
        mut parse: impl FnMut(usize, &str) -> Result<T, String>,
    ) -> Result<Vec<FromFile<T>>, ListError> {
        let mut files = Vec::new();
        for pattern in self.patterns {
            for path in self.expand(pattern)? {
                let mut entries = Vec::new();
                Lines::open(&path)?.each(self.columns, |number, text| {
                    entries.push(parse(number, text)?);
                    Ok(())
                })?;
                files.push((path, entries));
            }
        }
        Ok(files)
    }

    fn expand(&self, pattern: &Path) -> Result<Vec<PathBuf>, ListError> {
        let text = pattern.to_string_lossy();
        let bad = |problem: String| ListError::Pattern {
            key: self.key,
            pattern: text.to_string(),
            problem,
        };
        let found = glob::glob(&text).map_err(|error| bad(error.to_string()))?;
        let paths: Vec<PathBuf> = found
            .collect::<Result<_, _>>()
            .map_err(|error| bad(error.to_string()))?;
        if paths.is_empty() && !text.contains(['*', '?', '[']) {
            return Err(ListError::Missing {
                key: self.key,
                path: pattern.to_owned(),
                example: self.example,
            });
        }
        Ok(paths)
    }
}

/// Reads entries from somewhere else as if it were a file of this name, as [`Lists::read`] does.
///
/// # Errors
/// When `from` has no good end, or a line cannot be understood.
pub fn read_from(
    name: &Path,
    from: impl Read,
    columns: &[&str],
    entry: impl FnMut(usize, &str) -> Result<(), String>,
) -> Result<(), ListError> {
    Lines::of(name, from).each(columns, entry)
}
