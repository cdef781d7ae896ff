//! Environment variables that override one value each.

use std::ops::Range;

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    document::Document,
    error::Problem,
    shape,
    source::{Source, Variable},
};

const PREFIX: &str = "TIDEGATE_";

/// Picks the variables that override a value, in the order they are applied:
/// a table before the keys in it.
///
/// A variable overrides a value when its name has a `__` in it. So the
/// variables that are for the command line (`TIDEGATE_ADMIN`), or that an
/// orchestrator sets for a service of that name (`TIDEGATE_PORT`), do not.
pub(crate) fn pick(variables: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut picked: Vec<_> = variables.filter(|(name, _)| path(name).is_some()).collect();
    picked.sort();
    picked
}

/// The keys that lead to the value: `TIDEGATE_CLIENT__LIMIT__RATE` is
/// client, limit, rate; `TIDEGATE__MODE` is mode.
fn path(name: &str) -> Option<Vec<String>> {
    let rest = name.strip_prefix(PREFIX)?;
    let keys = match rest.strip_prefix('_') {
        Some(top) => top,
        None if rest.contains("__") => rest,
        None => return None,
    };
    Some(keys.split("__").map(str::to_ascii_lowercase).collect())
}

/// Puts the values of the source's variables into the document.
pub(crate) fn apply(document: &mut Document<'_>, schema: &Value) -> Result<(), Problem> {
    let source = document.source;
    for variable in source.variables() {
        let keys = path(source.at(&variable.name)).unwrap_or_default();
        let written = Written { source, variable };
        let root = document.root.get_mut();
        if let Err(NoTable { below }) = written.put(root, Some(schema), &keys) {
            let above: Vec<String> = keys
                .iter()
                .rev()
                .skip(below)
                .rev()
                .map(|key| key.to_uppercase())
                .collect();
            let all = match above.as_slice() {
                [top] => format!("{PREFIX}_{top}"),
                path => format!("{PREFIX}{}", path.join("__")),
            };
            let message =
                format!("found a key in something that is no table; set all of it with {all}");
            return Err(document.problem(&variable.name, message));
        }
    }
    Ok(())
}

/// A path leads into something that is no table, with so many keys to go.
struct NoTable {
    below: usize,
}

/// One variable of a source.
struct Written<'s> {
    source: &'s Source,
    variable: &'s Variable,
}

impl<'s> Written<'s> {
    /// Puts the value at the end of the path, making tables on the way. A key
    /// that should not be there is found later, with those of the file.
    fn put(
        &self,
        table: &mut DeTable<'s>,
        schema: Option<&Value>,
        path: &[String],
    ) -> Result<(), NoTable> {
        let Some((first, rest)) = path.split_first() else {
            return Ok(());
        };
        let as_in_file = table
            .keys()
            .find(|key| key.get_ref().eq_ignore_ascii_case(first));
        let key = as_in_file.map_or_else(|| first.clone(), |key| key.get_ref().to_string());
        let schema = schema.and_then(|schema| shape::below(schema, &key));
        let place = self.place(first, rest);
        let placed = Spanned::new(place.clone(), key.clone().into());
        if rest.is_empty() {
            table.remove(key.as_str());
            table.insert(placed, self.value(schema));
            return Ok(());
        }
        if !table.contains_key(key.as_str()) {
            let empty = DeValue::Table(DeTable::new());
            table.insert(placed, Spanned::new(place, empty));
        }
        match table.get_mut(key.as_str()).map(Spanned::get_mut) {
            Some(DeValue::Table(below)) => self.put(below, schema, rest),
            _ => Err(NoTable { below: rest.len() }),
        }
    }

    /// Where a key stands in the variable's name, with so many keys after it.
    fn place(&self, key: &str, rest: &[String]) -> Range<usize> {
        let after: usize = rest.iter().map(|key| key.len().saturating_add(2)).sum();
        let end = self.variable.name.end.saturating_sub(after);
        end.saturating_sub(key.len())..end
    }

    /// The value as TOML, and where it is no TOML or only text can be meant, as text.
    fn value(&self, schema: Option<&Value>) -> Spanned<DeValue<'s>> {
        let place = self.variable.value.clone();
        let text = self.source.at(&place);
        let parsed = DeValue::parse(text)
            .ok()
            .map(|value| moved(value, place.start));
        let is_meant = |value: &DeValue<'_>| {
            schema.is_none_or(|schema| {
                value.is_str()
                    || !shape::takes_text(schema)
                    || (value.is_table() && shape::takes_table(schema))
            })
        };
        match parsed {
            Some(value) if is_meant(value.get_ref()) => value,
            _ => Spanned::new(place, DeValue::String(text.into())),
        }
    }
}

/// The parser counts from the start of the value; the source counts from its own.
fn moved(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = shifted(value.span(), by);
    let value = match value.into_inner() {
        DeValue::Array(mut items) => {
            for item in items.iter_mut() {
                let inner = std::mem::replace(item, Spanned::new(0..0, DeValue::Boolean(false)));
                *item = moved(inner, by);
            }
            DeValue::Array(items)
        }
        DeValue::Table(table) => DeValue::Table(
            table
                .into_iter()
                .map(|(key, value)| {
                    let place = shifted(key.span(), by);
                    (Spanned::new(place, key.into_inner()), moved(value, by))
                })
                .collect(),
        ),
        leaf => leaf,
    };
    Spanned::new(span, value)
}

fn shifted(span: Range<usize>, by: usize) -> Range<usize> {
    span.start.saturating_add(by)..span.end.saturating_add(by)
}
