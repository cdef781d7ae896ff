//! Whether a file has the form that the schema describes: the keys it may
//! have, the types of their values, the ranges of their numbers.
//!
//! serde would find the same mistakes, but only the first of them, and in the
//! words of Rust.

use std::ops::Range;

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use crate::{
    advice::{example, is_meant_for, listed, toml, unknown_key},
    findings::Findings,
    source::shortened,
};

/// Finds everything in the document that does not have the form of `schema`.
pub(crate) fn check(findings: &mut Findings<'_>, schema: &Value) {
    let document = findings.document;
    let root = &document.root;
    Shape { findings, schema }.table(schema, root.get_ref(), &root.span());
}

/// The schema of a key of a table.
pub(crate) fn below<'v>(schema: &'v Value, key: &str) -> Option<&'v Value> {
    let properties = schema.get("properties");
    properties
        .and_then(|properties| properties.get(key))
        .or_else(|| {
            schema
                .get("additionalProperties")
                .filter(|schema| schema.is_object())
        })
}

/// Where a value may have two forms, text or a table: that which was used.
fn form<'v>(schema: &'v Value, value: &DeValue<'_>) -> &'v Value {
    let used = match value {
        DeValue::Table(_) => "object",
        DeValue::String(_) => "string",
        _ => return schema,
    };
    let mut forms = forms(schema).into_iter().flatten();
    forms.find(|form| kind(form) == used).unwrap_or(schema)
}

fn forms(schema: &Value) -> Option<&Vec<Value>> {
    schema.get("anyOf").and_then(Value::as_array)
}

/// Whether text can stand there.
pub(crate) fn takes_text(schema: &Value) -> bool {
    let is_text = |schema: &Value| matches!(kind(schema), "string" | "choice");
    is_text(schema) || forms(schema).is_some_and(|forms| forms.iter().any(is_text))
}

/// Whether a table can stand there.
pub(crate) fn takes_table(schema: &Value) -> bool {
    let is_table = |schema: &Value| kind(schema) == "object";
    is_table(schema) || forms(schema).is_some_and(|forms| forms.iter().any(is_table))
}

fn kind(schema: &Value) -> &str {
    if schema.get("oneOf").is_some() {
        return "choice";
    }
    schema
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn choices(schema: &Value) -> Vec<&str> {
    let choices = schema.get("oneOf").and_then(Value::as_array);
    let constants = choices
        .into_iter()
        .flatten()
        .filter_map(|choice| choice.get("const"));
    constants.filter_map(Value::as_str).collect()
}

struct Shape<'f, 'd, 'v> {
    findings: &'f mut Findings<'d>,
    schema: &'v Value,
}

impl Shape<'_, '_, '_> {
    fn table(&mut self, schema: &Value, table: &DeTable<'_>, place: &Range<usize>) {
        let has_names = schema.get("properties").is_none();
        for (key, value) in table {
            match below(schema, key.get_ref()) {
                Some(schema) if has_names && self.is_in_parts(schema, key, value) => {}
                Some(schema) => self.value(schema, value),
                None => self.findings.keep(|document| {
                    let advice = unknown_key(self.schema, schema, key.get_ref());
                    document.problem(&key.span(), format!("found an unknown key; {advice}"))
                }),
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            if !table.contains_key(key) {
                let example = below(schema, key).and_then(example).unwrap_or_default();
                let message = format!("found no `{key}`; write it, such as {key} = {example}");
                self.findings.problem(place, message);
            }
        }
    }

    /// Finds a name with dots that stands in no quotes, such as shop.example.com:
    /// TOML takes it for tables in tables.
    fn is_in_parts(
        &mut self,
        schema: &Value,
        key: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
    ) -> bool {
        let source = self.findings.document.source;
        let (Some(table), Some(name)) = (value.get_ref().as_table(), source.dotted(&key.span()))
        else {
            return false;
        };
        let schema = form(schema, value.get_ref());
        let is_part = |key: &str| below(schema, key).is_none() && !is_meant_for(schema, key);
        let in_parts = table.keys().any(|key| is_part(key.get_ref()));
        if in_parts {
            let message = format!(
                "found a name with dots; put it in quotes: \"{}\"",
                shortened(name)
            );
            self.findings.problem(&key.span(), message);
        }
        in_parts
    }

    fn value(&mut self, schema: &Value, value: &Spanned<DeValue<'_>>) {
        let schema = form(schema, value.get_ref());
        let right = match (kind(schema), value.get_ref()) {
            ("object", DeValue::Table(table)) => return self.table(schema, table, &value.span()),
            ("array", DeValue::Array(items)) if has_length(schema, items.len()) => {
                let below = schema.get("items").unwrap_or(&Value::Null);
                return items.iter().for_each(|item| self.value(below, item));
            }
            ("string", DeValue::String(_)) | ("boolean", DeValue::Boolean(_)) => true,
            ("integer", DeValue::Integer(_)) => in_range(schema, value.get_ref()),
            ("number", DeValue::Integer(_) | DeValue::Float(_)) => {
                in_range(schema, value.get_ref())
            }
            ("choice", DeValue::String(text)) => choices(schema).contains(&text.as_ref()),
            _ => false,
        };
        if !right {
            self.findings.keep(|document| {
                let key = document.key_at(&value.span());
                document.wrong(&value.span(), &expected(schema, value.get_ref(), &key))
            });
        }
    }
}

fn has_length(schema: &Value, length: usize) -> bool {
    let bound = |name| schema.get(name).and_then(Value::as_u64);
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    bound("minItems").is_none_or(|least| least <= length)
        && bound("maxItems").is_none_or(|most| length <= most)
}

/// The bounds are small enough for a float to hold them exactly.
fn in_range(schema: &Value, value: &DeValue<'_>) -> bool {
    let number = match value {
        DeValue::Integer(whole) => i64::from_str_radix(whole.as_str(), whole.radix())
            .ok()
            .map(|whole| whole as f64),
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => None,
    };
    let bound = |name| schema.get(name).and_then(Value::as_f64);
    // A NaN is in no range.
    number.is_some_and(|number| {
        bound("minimum").is_none_or(|least| least <= number)
            && bound("maximum").is_none_or(|most| number <= most)
    })
}

/// What would be right, in words.
fn expected(schema: &Value, found: &DeValue<'_>, key: &str) -> String {
    let such_as = example(schema)
        .map(|text| format!(", such as {text}"))
        .unwrap_or_default();
    match kind(schema) {
        "choice" => format!("this is one of {}", listed(&choices(schema), "\"", "or")),
        "string" => format!("this is text in quotes{such_as}"),
        "boolean" => "this is true or false".to_owned(),
        "integer" | "number" => {
            let bound = |name| schema.get(name).map(toml).unwrap_or_default();
            let whole = if kind(schema) == "integer" {
                "whole "
            } else {
                ""
            };
            let (least, most) = (bound("minimum"), bound("maximum"));
            format!("this is a {whole}number from {least} to {most}{such_as}")
        }
        "array" => expected_list(schema, found, key, &such_as),
        _ if forms(schema).is_some() => expected_form(schema, found, key),
        _ if !such_as.is_empty() => format!("this is a table{such_as}"),
        _ if schema.get("properties").is_some() => format!("this is a table: write [{key}]"),
        _ => expected_names(schema, key),
    }
}

/// "This is text in quotes, such as "verified", or a table, such as ...".
fn expected_form(schema: &Value, found: &DeValue<'_>, key: &str) -> String {
    let forms = forms(schema).into_iter().flatten();
    let forms: Vec<String> = forms.map(|form| expected(form, found, key)).collect();
    forms.join(", or ").replace(", or this is ", ", or ")
}

fn expected_names(schema: &Value, key: &str) -> String {
    let named = schema.get("additionalProperties").unwrap_or(&Value::Null);
    let text = forms(named).into_iter().flatten().chain([named]);
    match text.filter(|form| takes_text(form)).find_map(example) {
        Some(text) => format!("this is a table: write [{key}] and below it NAME = {text}"),
        None => format!("this is a table with names: write [{key}.NAME]"),
    }
}

fn expected_list(schema: &Value, found: &DeValue<'_>, key: &str, such_as: &str) -> String {
    let bound = |name| schema.get(name).and_then(Value::as_u64);
    if schema
        .get("items")
        .is_some_and(|items| kind(items) == "object")
    {
        return match bound("maxItems").filter(|_| found.is_array()) {
            Some(most) => format!("this is a list of at most {most} tables"),
            None => format!("this is a list of tables: write [[{key}]]"),
        };
    }
    let least = if bound("minItems").is_some() {
        " of at least one"
    } else {
        ""
    };
    format!("this is a list{least}{such_as}")
}
