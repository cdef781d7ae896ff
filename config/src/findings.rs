//! Everything that is wrong with one document.

use std::{fmt, ops::Range};

use crate::{
    document::Document,
    error::{Error, Problem},
    literal::Literal,
    raw::Written,
};

/// The problems and warnings that are kept of one file. Whoever has more has
/// another problem, such as a wrong file.
const MOST_KEPT: usize = 20;

/// What was found wrong so far.
pub(crate) struct Findings<'d> {
    pub(crate) document: &'d Document<'d>,
    problems: Vec<Problem>,
    more: usize,
    warnings: Vec<Problem>,
}

impl<'d> Findings<'d> {
    pub(crate) fn new(document: &'d Document<'d>) -> Findings<'d> {
        Findings {
            document,
            problems: Vec::new(),
            more: 0,
            warnings: Vec::new(),
        }
    }

    /// "Found this, but that is right" about a value.
    pub(crate) fn wrong(&mut self, span: &Range<usize>, right: &dyn fmt::Display) {
        self.keep(|document| document.wrong(span, right));
    }

    /// A problem with a key, or that is not about one value.
    pub(crate) fn problem(&mut self, span: &Range<usize>, message: String) {
        self.keep(|document| document.problem(span, message));
    }

    /// A problem with what was not written.
    pub(crate) fn missing(&mut self, key: &str, message: &str) {
        self.keep(|document| document.missing(key, message.to_owned()));
    }

    /// Something that is allowed, and most likely not meant.
    pub(crate) fn warn(&mut self, span: &Range<usize>, message: String) {
        if self.warnings.len() < MOST_KEPT {
            self.warnings.push(self.document.problem(span, message));
        }
    }

    /// As `warn`, about a table as a whole: the key is the table's.
    pub(crate) fn warn_about(&mut self, key: &str, span: &Range<usize>, message: String) {
        if self.warnings.len() < MOST_KEPT {
            let problem = self.document.problem(span, message);
            self.warnings.push(Problem {
                key: key.to_owned(),
                ..problem
            });
        }
    }

    /// The value of a text; `None` when it is wrong, which is then known.
    pub(crate) fn read<T: Literal>(&mut self, written: &Written<T>) -> Option<T> {
        written
            .read()
            .map_err(|right| self.wrong(&written.span(), &right))
            .ok()
    }

    /// The value of a text, or the default when there is none.
    pub(crate) fn read_or<T: Literal>(&mut self, written: Option<Written<T>>, default: T) -> T {
        written
            .and_then(|written| self.read(&written))
            .unwrap_or(default)
    }

    /// The values of all texts that are right.
    pub(crate) fn read_all<T: Literal>(&mut self, written: &[Written<T>]) -> Vec<T> {
        written
            .iter()
            .filter_map(|written| self.read(written))
            .collect()
    }

    /// Whether nothing wrong was found so far.
    pub(crate) fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// The problems as an error, or the warnings.
    pub(crate) fn finish(mut self) -> Result<Vec<String>, Error> {
        if self.problems.is_empty() {
            self.warnings.sort_by_key(|warning| warning.offset);
            return Ok(self.warnings.iter().map(Problem::in_one_line).collect());
        }
        self.problems.sort_by_key(|problem| problem.offset);
        Err(Error::Invalid {
            problems: self.problems,
            more: self.more,
        })
    }

    /// Keeps a problem, when there are not too many yet. To make one takes a
    /// search through the document; of a large file that is all wrong only the
    /// first are made.
    pub(crate) fn keep(&mut self, problem: impl FnOnce(&Document<'d>) -> Problem) {
        if self.problems.len() < MOST_KEPT {
            self.problems.push(problem(self.document));
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}
