//! Files with one entry a line, as they are kept for known customers and for tenants: read whole, or
//! not at all.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// Bytes that one file may have: a million IPv6 prefixes fit four times.
const MAX_FILE: u64 = 256 << 20;
/// Bytes of a line, comment included.
const MAX_LINE: usize = 1024;
/// A line that is too long is not read further than to see that it is.
const LINE_AND_END: u64 = 1026;
/// What some editors write before the first line of a UTF-8 file.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

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
    /// The patterns; one without wildcards is a file that has to be there.
    pub patterns: &'config [PathBuf],
}

/// A file, and the entries in it.
pub type FromFile<T> = (PathBuf, Vec<T>);

impl Lists<'_> {
    /// The entries of every file. `parse` gets a line's number and its text, without the comment that
    /// a `#` starts, and never an empty one; its error says what would be right.
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
                Lines::open(&path)?.each(|number, text| {
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

/// One file, line by line.
struct Lines<'path> {
    path: &'path Path,
    file: BufReader<std::io::Take<File>>,
}

impl<'path> Lines<'path> {
    fn open(path: &'path Path) -> Result<Self, ListError> {
        let unreadable = |problem: String| ListError::Unreadable {
            path: path.to_owned(),
            problem,
        };
        // Opening a named pipe would wait for somebody who writes to it.
        let file = File::options()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path)
            .map_err(|error| unreadable(error.to_string()))?;
        let meta = file
            .metadata()
            .map_err(|error| unreadable(error.to_string()))?;
        if !meta.is_file() {
            let found = if meta.is_dir() { "a folder, " } else { "" };
            return Err(unreadable(format!("it is {found}not a regular file")));
        }
        if meta.len() > MAX_FILE {
            return Err(unreadable(format!("it is larger than {MAX_FILE} bytes")));
        }
        Ok(Lines {
            path,
            // The bound holds for a file that grows while it is read, too.
            file: BufReader::new(file.take(MAX_FILE)),
        })
    }

    fn each(
        mut self,
        mut entry: impl FnMut(usize, &str) -> Result<(), String>,
    ) -> Result<(), ListError> {
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = (&mut self.file)
                .take(LINE_AND_END)
                .read_until(b'\n', &mut line);
            let read = read.map_err(|error| ListError::Unreadable {
                path: self.path.to_owned(),
                problem: error.to_string(),
            })?;
            if read == 0 {
                break;
            }
            if number == 1 && line.starts_with(BYTE_ORDER_MARK) {
                line.drain(..BYTE_ORDER_MARK.len());
            }
            let (text, judged) = judge(&mut line, |text| entry(number, text));
            judged.map_err(|hint| ListError::Line {
                path: self.path.to_owned(),
                line: number,
                found: text.chars().take(80).collect(),
                hint,
            })?;
        }
        Ok(())
    }
}

/// What a line says without its comment, and whether that is right.
fn judge(
    line: &mut Vec<u8>,
    entry: impl FnOnce(&str) -> Result<(), String>,
) -> (String, Result<(), String>) {
    let ended = line.pop_if(|byte| *byte == b'\n').is_some();
    if line.len() > MAX_LINE {
        let start = String::from_utf8_lossy(line.get(..40).unwrap_or_default()).into_owned();
        return (
            start,
            Err(format!(
                "a line has at most {MAX_LINE} bytes, comment included"
            )),
        );
    }
    let said = line.split(|byte| *byte == b'#').next().unwrap_or_default();
    let readable = std::str::from_utf8(said).is_ok();
    let text = String::from_utf8_lossy(said);
    let text = text.trim();
    let judged = match (ended, text) {
        (false, _) => Err(
            "the last line has no end, as in a file that is cut short: end it with a new line"
                .to_owned(),
        ),
        (true, "") => Ok(()),
        _ if !readable => Err("the line is not UTF-8: write the file in that encoding".to_owned()),
        (true, text) => entry(text),
    };
    (text.to_owned(), judged)
}
