//! The JSON schema of the file: for editors, and for the checks of `shape`.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::raw;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = SchemaSettings::draft2020_12()
        // Nothing is defined twice that it would help to share, and without
        // references a reader can go down it key by key.
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<raw::File>()
        .to_value();
    without_null(&mut schema);
    schema
});

/// The schema, made once.
pub(crate) fn shared() -> &'static Value {
    &SCHEMA
}

/// What an optional key may hold is not "a value or null": TOML has no null,
/// the key is just not there.
fn without_null(schema: &mut Value) {
    if let Some(kinds) = schema.get_mut("type").and_then(Value::as_array_mut) {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_mut_slice() {
            let kind = kind.take();
            put(schema, "type", kind);
        }
    }
    if let Some(choices) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
        if let [Value::Object(only)] = choices.as_mut_slice() {
            let only = std::mem::take(only);
            lift(schema, only);
        }
    }
    match schema {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(entries) => entries.values_mut().for_each(without_null),
        _ => {}
    }
}

fn put(schema: &mut Value, key: &str, value: Value) {
    if let Some(entries) = schema.as_object_mut() {
        entries.insert(key.to_owned(), value);
    }
}

/// Replaces an `anyOf` by its only choice. The key's own description stays.
fn lift(schema: &mut Value, only: serde_json::Map<String, Value>) {
    if let Some(entries) = schema.as_object_mut() {
        entries.remove("anyOf");
        for (key, value) in only {
            entries.entry(key).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_null_and_no_reference() {
        let text = shared().to_string();
        assert!(!text.contains("\"null\""), "{text}");
        assert!(!text.contains("$ref"), "{text}");
        assert_eq!(
            text.matches("anyOf").count(),
            1,
            "only a listed tenant has two forms: {text}"
        );
    }

    #[test]
    fn every_key_is_described() {
        fn walk(path: &str, schema: &Value) {
            let properties = schema.get("properties").and_then(Value::as_object);
            for (key, schema) in properties.into_iter().flatten() {
                let description = schema.get("description").and_then(Value::as_str);
                assert!(
                    description.is_some_and(|text| text.len() > 5),
                    "{path}.{key}"
                );
                walk(&format!("{path}.{key}"), schema);
            }
            for below in ["items", "additionalProperties"] {
                schema
                    .get(below)
                    .into_iter()
                    .for_each(|schema| walk(path, schema));
            }
            let forms = schema.get("anyOf").and_then(Value::as_array);
            forms
                .into_iter()
                .flatten()
                .for_each(|form| walk(path, form));
        }
        walk("", shared());
    }
}
