//! One file, line by line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Take};
use std::path::Path;

use super::columns::Columns;
use super::{ListError, MAX_FILE};
use crate::regular;

/// Bytes of a line, comment included.
const MAX_LINE: usize = 1024;
/// Bytes of a row of CSV, which may have several lines. More is not read.
pub(super) const MAX_ROW: usize = 64 << 10;
/// What some editors write before the first line of a UTF-8 file.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

const NO_END: &str =
    "the last line has no end, as in a file that is cut short: end it with a new line";

/// A file, or what stands for one, and the line that it has come to.
pub(super) struct Lines<'path, R> {
    path: &'path Path,
    file: BufReader<R>,
    line: Vec<u8>,
    number: usize,
}

impl<'path> Lines<'path, Take<File>> {
    pub(super) fn open(path: &'path Path) -> Result<Self, ListError> {
        let unreadable = |problem: String| ListError::Unreadable {
            path: path.to_owned(),
            problem,
        };
        let file = regular::open(path, MAX_FILE).map_err(|error| unreadable(error.to_string()))?;
        Ok(Lines::of(path, file))
    }
}

impl<'path, R: Read> Lines<'path, R> {
    pub(super) fn of(path: &'path Path, file: R) -> Self {
        Lines {
            path,
            file: BufReader::new(file),
            line: Vec::new(),
            number: 0,
        }
    }

    /// Reads one more line behind those that are there; false at the end.
    fn read_on(&mut self) -> Result<bool, ListError> {
        let most = (MAX_ROW + 2).saturating_sub(self.line.len()) as u64;
        let file = &mut self.file;
        let read = file.take(most).read_until(b'\n', &mut self.line);
        let read = read.map_err(|error| ListError::Unreadable {
            path: self.path.to_owned(),
            problem: error.to_string(),
        })?;
        if read > 0 {
            self.number += 1;
        }
        if self.number == 1 && self.line.starts_with(BYTE_ORDER_MARK) {
            self.line.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(read > 0)
    }

    fn next(&mut self) -> Result<bool, ListError> {
        self.line.clear();
        self.read_on()
    }

    /// Gives each entry with the number of its line. A first line that names one of `columns` makes the
    /// rest CSV.
    pub(super) fn each(
        mut self,
        columns: &[&str],
        mut entry: impl FnMut(usize, &str) -> Result<(), String>,
    ) -> Result<(), ListError> {
        let mut begun = columns.is_empty();
        while self.next()? {
            let (text, judged) = match begun {
                false => match Columns::named(&self.line, columns) {
                    Some(Ok(found)) => return self.rows(found, entry),
                    Some(Err(hint)) => (lossy(&self.line), Err(hint)),
                    None => judge(&mut self.line, |text| {
                        begun = true;
                        entry(self.number, text).map_err(|hint| with_columns(text, hint, columns))
                    }),
                },
                true => judge(&mut self.line, |text| entry(self.number, text)),
            };
            judged.map_err(|hint| self.wrong(self.number, &text, hint))?;
        }
        Ok(())
    }

    /// Gives the text in the column of each row, with the number of the row's first line. Rows without
    /// any say nothing.
    fn rows(
        mut self,
        mut columns: Columns,
        mut entry: impl FnMut(usize, &str) -> Result<(), String>,
    ) -> Result<(), ListError> {
        while self.next()? {
            let first = self.number;
            let is_row = !self.line.trim_ascii().is_empty() && !self.line.starts_with(b"#");
            while is_row && Columns::has_open_quote(&self.line) && self.line.len() <= MAX_ROW {
                if !self.read_on()? {
                    break;
                }
            }
            let (text, judged) = match (is_row, self.line.ends_with(b"\n")) {
                _ if self.line.len() > MAX_ROW => (lossy(&self.line), Err(too_long(&self.line))),
                (true, _) if Columns::has_open_quote(&self.line) => {
                    let problem = "a quote is opened and not closed before the end of the file";
                    (lossy(&self.line), Err(problem.to_owned()))
                }
                (_, false) => (lossy(&self.line), Err(NO_END.to_owned())),
                (false, true) => continue,
                (true, true) => columns.judge(&self.line, |text| entry(first, text)),
            };
            judged.map_err(|hint| self.wrong(first, &text, hint))?;
        }
        Ok(())
    }

    fn wrong(&self, line: usize, found: &str, hint: String) -> ListError {
        ListError::Line {
            path: self.path.to_owned(),
            line,
            found: found.chars().take(80).collect(),
            hint,
        }
    }
}

/// The beginning of a line that may be anything.
pub(super) fn lossy(line: &[u8]) -> String {
    let start = line.get(..line.len().min(80)).unwrap_or_default();
    String::from_utf8_lossy(start).trim_end().to_owned()
}

fn too_long(row: &[u8]) -> String {
    match Columns::has_open_quote(row) {
        true => format!("a quote is opened and not closed within {MAX_ROW} bytes"),
        false => format!("a row has at most {MAX_ROW} bytes"),
    }
}

/// Who exports from a spreadsheet may have left the header out.
fn with_columns(text: &str, hint: String, columns: &[&str]) -> String {
    match text.contains([',', ';', '\t']) {
        true => format!(
            "{hint}; a CSV file begins with a line that names its columns, one of them {}",
            columns.join(", ")
        ),
        false => hint,
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
        (false, _) => Err(NO_END.to_owned()),
        (true, "") => Ok(()),
        _ if !readable => Err("the line is not UTF-8: write the file in that encoding".to_owned()),
        (true, text) => entry(text),
    };
    (text.to_owned(), judged)
}
