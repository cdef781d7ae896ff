//! CSV (RFC 4180), as spreadsheets and databases export it, of which one column is read.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::lines::MAX_ROW;

/// Columns that a file may have.
const MAX_COLUMNS: usize = 1024;
/// What stands between fields: by the standard, by spreadsheets where the comma is in numbers, and by
/// databases.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// Reads one column of rows, into buffers that do not grow.
pub(super) struct Columns {
    reader: Reader,
    fields: Box<[u8]>,
    /// Where each field ends.
    ends: Box<[usize]>,
    /// The column that is read.
    column: usize,
    /// How many columns there are.
    columns: usize,
}

impl Columns {
    fn delimited(by: u8) -> Self {
        Columns {
            reader: ReaderBuilder::new().delimiter(by).build(),
            fields: vec![0; MAX_ROW + 2].into(),
            ends: vec![0; MAX_COLUMNS].into(),
            column: 0,
            columns: 0,
        }
    }

    /// The columns that a header tells; `None` when it names none of `names` and so is no header.
    ///
    /// # Errors
    /// When it names several.
    pub(super) fn named(header: &[u8], names: &[&str]) -> Option<Result<Self, String>> {
        // Most lines are no header, and need no buffers to see that.
        let begin = header.first()?;
        if !(begin.is_ascii_alphabetic() || b"\"_, ;\t".contains(begin))
            || Self::has_open_quote(header)
            || header.len() > MAX_ROW
        {
            return None;
        }
        let tried = DELIMITERS.map(|by| Self::delimited(by).of_header(header, names));
        tried.into_iter().flatten().next()
    }

    fn of_header(mut self, header: &[u8], names: &[&str]) -> Option<Result<Self, String>> {
        self.columns = self.split(header).ok()?;
        let is_named = |column: &usize| {
            let text = str::from_utf8(self.field(*column)).unwrap_or_default();
            names
                .iter()
                .any(|name| text.trim().eq_ignore_ascii_case(name))
        };
        let found: Vec<usize> = (0..self.columns).filter(is_named).collect();
        match *found {
            [] => None,
            [column] => {
                self.column = column;
                Some(Ok(self))
            }
            _ => Some(Err(format!(
                "the header names several columns that may be meant: leave one of {} in it",
                names.join(", ")
            ))),
        }
    }

    /// Whether a quote is open at the end: quotes in a field are doubled, so the number is even when
    /// none is.
    pub(super) fn has_open_quote(row: &[u8]) -> bool {
        memchr::memchr_iter(b'"', row).count() % 2 == 1
    }

    /// Splits a whole row, its end included, and says into how many fields.
    fn split(&mut self, row: &[u8]) -> Result<usize, String> {
        self.reader.reset();
        let (result, read, _, fields) =
            self.reader
                .read_record(row, &mut self.fields, &mut self.ends);
        let rest = row.get(read..).unwrap_or_default();
        match result {
            ReadRecordResult::Record if rest.trim_ascii().is_empty() => Ok(fields),
            ReadRecordResult::OutputEndsFull => {
                Err(format!("a row has at most {MAX_COLUMNS} columns"))
            }
            _ => Err("a row ends with a line feed and has no carriage return in it".to_owned()),
        }
    }

    fn field(&self, column: usize) -> &[u8] {
        let end = |column: usize| self.ends.get(column).copied().unwrap_or_default();
        let start = column.checked_sub(1).map_or(0, end);
        self.fields.get(start..end(column)).unwrap_or_default()
    }

    /// What a row says in the column, and whether that is right.
    pub(super) fn judge(
        &mut self,
        row: &[u8],
        entry: impl FnOnce(&str) -> Result<(), String>,
    ) -> (String, Result<(), String>) {
        let fields = match self.split(row) {
            Ok(fields) => fields,
            Err(problem) => return (super::lines::lossy(row), Err(problem)),
        };
        if fields != self.columns {
            let columns = self.columns;
            let problem = format!(
                "the row has {fields} fields where the header has {columns}: quote a field that has the delimiter in it"
            );
            return (super::lines::lossy(row), Err(problem));
        }
        match str::from_utf8(self.field(self.column)).map(str::trim) {
            Ok("") => (String::new(), Ok(())),
            Ok(text) => (text.to_owned(), entry(text)),
            Err(_) => (
                super::lines::lossy(self.field(self.column)),
                Err("the field is not UTF-8: write the file in that encoding".to_owned()),
            ),
        }
    }
}
