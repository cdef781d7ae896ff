//! The text that a configuration is made of, and places in it.

use std::ops::Range;

use crate::error::Place;

/// The file's text, and after it every environment variable that overrides a
/// value, as one text. So each byte has one number, wherever it was written,
/// and a span alone tells both what was written and where.
pub(crate) struct Source {
    /// The file as it was named.
    name: String,
    text: String,
    /// Where the file's own text ends.
    file_end: usize,
    variables: Vec<Variable>,
}

/// An environment variable that overrides a value.
pub(crate) struct Variable {
    /// Where its name stands in the source.
    pub(crate) name: Range<usize>,
    /// Where its value stands in the source.
    pub(crate) value: Range<usize>,
}

/// The characters of a line that are shown before and after a mark.
const SHOWN_BEFORE: usize = 60;
const SHOWN_AFTER: usize = 40;

/// The longest quotation in a message, in characters.
const LONGEST_QUOTE: usize = 60;

impl Source {
    /// The text of the file `name`, overridden by `variables`: names and values.
    pub(crate) fn new(name: &str, file: &str, variables: &[(String, String)]) -> Source {
        // Some editors put this mark before UTF-8 text. It is no part of it.
        let file = file.strip_prefix('\u{feff}').unwrap_or(file);
        let mut text = file.to_owned();
        let places = variables.iter().map(|(name, value)| {
            text.push('\n');
            let start = text.len();
            text.push_str(name);
            let name = start..text.len();
            text.push('=');
            let start = text.len();
            text.push_str(value.trim());
            Variable {
                name,
                value: start..text.len(),
            }
        });
        let variables = places.collect();
        Source {
            name: name.to_owned(),
            text,
            file_end: file.len(),
            variables,
        }
    }

    /// The file as it was named.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The text of the file alone.
    pub(crate) fn file(&self) -> &str {
        self.at(&(0..self.file_end))
    }

    /// The variables that override a value, in the order they are applied.
    pub(crate) fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// What was written there.
    pub(crate) fn at(&self, span: &Range<usize>) -> &str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// Whether it was written in an environment variable.
    pub(crate) fn is_variable(&self, span: &Range<usize>) -> bool {
        span.start > self.file_end
    }

    /// A key together with those that are joined to it by dots, from it on;
    /// `None` without any.
    pub(crate) fn dotted(&self, key: &Range<usize>) -> Option<&str> {
        let text = self.text.get(key.start..)?;
        let is_part = |sign: char| sign.is_ascii_alphanumeric() || "-_.".contains(sign);
        let end = text.find(|sign| !is_part(sign)).unwrap_or(text.len());
        text.get(..end).filter(|keys| keys.contains('.'))
    }

    /// Where it was written.
    pub(crate) fn place(&self, span: &Range<usize>) -> Place {
        let holds =
            |variable: &&Variable| (variable.name.start..=variable.value.end).contains(&span.start);
        match self.variables.iter().find(holds) {
            Some(variable) => Place::Variable(self.at(&variable.name).to_owned()),
            None => Place::Line {
                file: self.name.clone(),
                line: self.line(span.start),
            },
        }
    }

    /// The line and a mark below it; empty for what stands in no file.
    pub(crate) fn excerpt(&self, span: &Range<usize>) -> String {
        if self.is_variable(span) {
            return String::new();
        }
        let start = self.character_at(span.start);
        let before = self.at(&(0..start)).rsplit('\n').next().unwrap_or_default();
        let marked = self.at(&(start..self.character_at(span.end.max(start))));
        let marked = marked.lines().next().unwrap_or_default();
        let after = self.at(&(start.saturating_add(marked.len())..self.file_end));
        let after = after.lines().next().unwrap_or_default();
        drawing(self.line(start), before, marked, after)
    }

    /// What was written, on one line and shortened, to be quoted in a message.
    pub(crate) fn quote(&self, span: &Range<usize>) -> String {
        shortened(self.at(span))
    }

    fn line(&self, position: usize) -> usize {
        let before = self.text.as_bytes().get(..position).unwrap_or_default();
        before
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            .saturating_add(1)
    }

    /// The start of the character at this byte of the file.
    fn character_at(&self, mut position: usize) -> usize {
        position = position.min(self.file_end);
        while !self.text.is_char_boundary(position) {
            position = position.saturating_sub(1);
        }
        position
    }
}

fn drawing(line: usize, before: &str, marked: &str, after: &str) -> String {
    let skipped = before.chars().count().saturating_sub(SHOWN_BEFORE);
    let ellipsis = if skipped > 0 { "…" } else { "" };
    let before = format!("{ellipsis}{}", printable(before.chars().skip(skipped)));
    let whole = marked.chars().nth(LONGEST_QUOTE).is_none();
    let marked = first_of(marked, LONGEST_QUOTE);
    let after = if whole {
        first_of(after, SHOWN_AFTER)
    } else {
        String::new()
    };
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let indent = " ".repeat(before.chars().count());
    let mark = "^".repeat(marked.chars().count().max(1));
    let written = format!("{before}{marked}{after}");
    format!(
        "{margin} |\n{number} | {}\n{margin} | {indent}{mark}",
        written.trim_end()
    )
}

/// The first characters of a line, and a sign when there are more.
fn first_of(line: &str, most: usize) -> String {
    let more = if line.chars().nth(most).is_some() {
        "…"
    } else {
        ""
    };
    format!("{}{more}", printable(line.chars().take(most)))
}

/// A tab is one column wide here, and nothing in a file moves the cursor of a
/// terminal.
fn printable(text: impl Iterator<Item = char>) -> String {
    let visible = |sign: char| match sign {
        '\t' => ' ',
        sign if sign.is_control() => '\u{fffd}',
        sign => sign,
    };
    text.map(visible).collect()
}

/// The first line of a text, and not too much of it.
pub(crate) fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let short = first_of(line, LONGEST_QUOTE);
    let is_more_below = line.len() < text.len() && !short.ends_with('…');
    if is_more_below {
        format!("{short}…")
    } else {
        short
    }
}
