//! The file as a tree of keys and values, each with its place.

use std::{fmt, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    error::{Place, Problem},
    source::{Source, shortened},
};

/// A source that is TOML, as a tree.
pub(crate) struct Document<'s> {
    pub(crate) source: &'s Source,
    pub(crate) root: Spanned<DeTable<'s>>,
}

impl<'s> Document<'s> {
    /// Reads the file's own text.
    pub(crate) fn parse(source: &'s Source) -> Result<Document<'s>, Problem> {
        match DeTable::parse(source.file()) {
            Ok(root) => Ok(Document { source, root }),
            Err(error) => Err(crate::syntax::explain(source, &error)),
        }
    }

    /// Where the value of a key was written; for a table, where its header is.
    pub(crate) fn span_of(&self, path: &[&str]) -> Option<Range<usize>> {
        let (first, rest) = path.split_first()?;
        let mut value = self.root.get_ref().get(*first)?;
        for key in rest {
            value = value.get_ref().as_table()?.get(*key)?;
        }
        Some(value.span())
    }

    /// Where the key of a table at the top was written.
    pub(crate) fn span_of_key(&self, table: &str, key: &str) -> Option<Range<usize>> {
        let table = self.root.get_ref().get(table)?.get_ref().as_table()?;
        table.get_key_value(key).map(|(key, _)| key.span())
    }

    /// "Found this, but that is right" about a value.
    pub(crate) fn wrong(&self, span: &Range<usize>, right: &dyn fmt::Display) -> Problem {
        let found = match self.node_at(span) {
            Some((_, Node::Value(DeValue::Table(_)))) => "a table".to_owned(),
            Some((_, Node::Value(DeValue::Array(_)))) if self.source.at(span).starts_with("[[") => {
                "a list of tables".to_owned()
            }
            Some((_, Node::Value(DeValue::String(text)))) if self.source.is_variable(span) => {
                format!("\"{}\"", shortened(text))
            }
            _ => self.source.quote(span),
        };
        self.problem(span, format!("found {found}, but {right}"))
    }

    /// A problem with what was written there: a key or a value.
    pub(crate) fn problem(&self, span: &Range<usize>, message: String) -> Problem {
        Problem {
            place: self.source.place(span),
            key: self.key_at(span),
            message,
            excerpt: self.source.excerpt(span),
            offset: span.start,
        }
    }

    /// A problem with a key of a table at the top.
    pub(crate) fn problem_with_key(&self, table: &str, key: &str, message: String) -> Problem {
        match self.span_of_key(table, key) {
            Some(span) => self.problem(&span, message),
            None => self.missing(table, message),
        }
    }

    /// A problem with what was not written at all.
    pub(crate) fn missing(&self, key: &str, message: String) -> Problem {
        Problem {
            place: Place::File(self.source.name().to_owned()),
            key: key.to_owned(),
            message,
            excerpt: String::new(),
            offset: usize::MAX,
        }
    }

    /// The dotted key of what was written there.
    pub(crate) fn key_at(&self, span: &Range<usize>) -> String {
        self.node_at(span)
            .map(|(path, _)| dotted(&path))
            .unwrap_or_default()
    }

    fn node_at(&self, span: &Range<usize>) -> Option<(Vec<&str>, Node<'_, 's>)> {
        let mut path = Vec::new();
        let node = find_in_table(self.root.get_ref(), span, &mut path)?;
        Some((path, node))
    }
}

/// What stands at a place.
enum Node<'t, 's> {
    Key,
    Value(&'t DeValue<'s>),
}

/// Looks for what was written exactly there. On success `path` leads to it.
fn find_in_table<'t, 's>(
    table: &'t DeTable<'s>,
    span: &Range<usize>,
    path: &mut Vec<&'t str>,
) -> Option<Node<'t, 's>> {
    for (key, value) in table {
        path.push(key.get_ref());
        if let Some(found) = find_in_value(value, span, path) {
            return Some(found);
        }
        if key.span() == *span {
            return Some(Node::Key);
        }
        path.pop();
    }
    None
}

fn find_in_value<'t, 's>(
    value: &'t Spanned<DeValue<'s>>,
    span: &Range<usize>,
    path: &mut Vec<&'t str>,
) -> Option<Node<'t, 's>> {
    if value.span() == *span {
        return Some(Node::Value(value.get_ref()));
    }
    match value.get_ref() {
        DeValue::Table(table) => find_in_table(table, span, path),
        DeValue::Array(items) => items
            .iter()
            .find_map(|item| find_in_value(item, span, path)),
        _ => None,
    }
}

/// Joins keys as TOML does, with quotes where a key needs them.
pub(crate) fn dotted(path: &[&str]) -> String {
    let bare = |key: &str| {
        !key.is_empty()
            && key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let keys = path.iter().map(|key| {
        if bare(key) {
            (*key).to_owned()
        } else {
            format!("{:?}", shortened(key))
        }
    });
    keys.collect::<Vec<_>>().join(".")
}
