//! The page that is printed: lines that begin with a word each, and what else there is about it below.

use std::fmt::{Arguments, Write};

/// A page in the making. It grows in memory, where nothing can fail.
#[derive(Debug, Default)]
pub(super) struct Page(pub(super) String);

impl Page {
    /// A line about something else.
    pub(super) fn line(&mut self, word: &str, text: Arguments) {
        let _ = writeln!(self.0, "{word:<13}{text}");
    }

    /// One more line about the same.
    pub(super) fn more(&mut self, text: Arguments) {
        self.line("", text);
    }
}
