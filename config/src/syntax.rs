//! Text that is not TOML: what the parser says, in words for an operator.

use std::ops::Range;

use toml::de::Error;

use crate::{
    error::Problem,
    source::{Source, shortened},
};

/// Explains why the file's text could not be parsed.
pub(crate) fn explain(source: &Source, error: &Error) -> Problem {
    let text = source.file();
    let mut span = error.span().unwrap_or(text.len()..text.len());
    let mut message = if lacks_quotes(error.message()) {
        span = word_at(text, &span);
        without_quotes(&source.quote(&span))
    } else {
        in_words(error.message(), &source.quote(&span))
    };
    if ends_early(text, span.end) {
        message.push_str("; the file ends here: it may have been cut short");
    }
    Problem {
        place: source.place(&span),
        key: String::new(),
        message,
        excerpt: source.excerpt(&span),
        offset: span.start,
    }
}

/// Text that starts like a number or a date, such as 127.0.0.1 or 10s, is
/// taken for one as far as it goes.
fn lacks_quotes(message: &str) -> bool {
    [
        "string values must be quoted",
        "invalid float",
        "invalid date",
        "invalid time",
        "invalid boolean",
    ]
    .iter()
    .any(|start| message.starts_with(start))
}

fn without_quotes(found: &str) -> String {
    if found.is_empty() {
        return "a key without a value: text is written in quotes, such as \"app\"".to_owned();
    }
    format!("found {found}, but text is written in quotes: \"{found}\"")
}

/// The parser's message starts with what is wrong; the mistakes that people
/// make get words of their own.
fn in_words(message: &str, found: &str) -> String {
    let starts = |start: &str| message.starts_with(start);
    if starts("invalid basic string") || starts("invalid literal string") {
        return "text that has no closing quote on its line".to_owned();
    }
    if starts("key with no value") {
        return "a key without a value: write key = value".to_owned();
    }
    if starts("duplicate key") {
        return format!("found `{found}` a second time, but a key or table is written once");
    }
    if starts("missing escaped value") {
        return r"a single \ in text: write \\, or put the text in single quotes".to_owned();
    }
    format!("this is not TOML: {}", shortened(message))
}

/// The whole value that stands there.
fn word_at(text: &str, span: &Range<usize>) -> Range<usize> {
    let is_end = |sign: char| sign.is_whitespace() || ",[]{}=#\"'".contains(sign);
    let before = text.get(..span.start).unwrap_or_default();
    let after = text.get(span.start..).unwrap_or_default();
    let start = before.len().saturating_sub(
        before
            .chars()
            .rev()
            .take_while(|sign| !is_end(*sign))
            .map(char::len_utf8)
            .sum(),
    );
    let length: usize = after
        .chars()
        .take_while(|sign| !is_end(*sign))
        .map(char::len_utf8)
        .sum();
    start..before.len().saturating_add(length)
}

/// Whether nothing but white space follows, and no line was finished after it.
fn ends_early(text: &str, position: usize) -> bool {
    let rest = text.get(position..).unwrap_or_default();
    rest.trim().is_empty() && !text.ends_with('\n')
}
