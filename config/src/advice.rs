//! What to write instead, taken from the schema.

use serde_json::Value;

/// The first example of a schema, written as TOML.
pub(crate) fn example(schema: &Value) -> Option<String> {
    schema
        .get("examples")
        .and_then(Value::as_array)
        .and_then(|examples| examples.first())
        .map(toml)
}

/// Text, numbers and lists are written alike in JSON and TOML; tables are not.
pub(crate) fn toml(value: &Value) -> String {
    match value {
        Value::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| format!("{key} = {}", toml(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), grouped),
        plain => plain.to_string(),
    }
}

/// A whole number with `_` between its thousands, as TOML allows.
fn grouped(number: u64) -> String {
    let (thousands, rest) = (number / 1000, number % 1000);
    if thousands == 0 {
        rest.to_string()
    } else {
        format!("{}_{rest:03}", grouped(thousands))
    }
}

/// `a`, `b` or `c`, each between two `quote`s.
pub(crate) fn listed(items: &[&str], quote: char, last: &str) -> String {
    let quoted = |item: &&str| format!("{quote}{item}{quote}");
    match items.split_last() {
        None => String::new(),
        Some((only, [])) => quoted(only),
        Some((end, start)) => {
            let start = start.iter().map(quoted).collect::<Vec<_>>().join(", ");
            format!("{start} {last} {}", quoted(end))
        }
    }
}

/// The tables that are named for a key which several have.
const MOST_HOMES: usize = 2;

/// What to do about a key that `table` does not have.
pub(crate) fn unknown_key(root: &Value, table: &Value, key: &str) -> String {
    let mut homes = Vec::new();
    find_homes(root, key, "", &mut homes);
    match homes.as_slice() {
        [] => {}
        [home] => return home.clone(),
        several if several.len() <= MOST_HOMES => {
            return several
                .join(", or ")
                .replace(&format!(", or `{key}` belongs"), " or");
        }
        _ => {}
    }
    let known: Vec<&str> = keys(table).collect();
    match nearest(&known, key) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", listed(&known, '`', "and")),
    }
}

fn keys(table: &Value) -> impl Iterator<Item = &str> {
    let properties = table.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flat_map(|properties| properties.keys())
        .map(String::as_str)
}

/// A key that is one slip away, or two in a long one.
fn nearest<'k>(known: &[&'k str], key: &str) -> Option<&'k str> {
    let slips = |known: &str| strsim::damerau_levenshtein(known, &key.to_lowercase());
    let allowed = (key.len() / 3).clamp(1, 3);
    let near = known.iter().map(|known| (slips(known), *known)).min()?;
    Some(near.1).filter(|_| near.0 <= allowed)
}

/// Says of every table that has this key how to write it there. In TOML a key
/// that should stand at the top is easily written below a table's header.
fn find_homes(table: &Value, key: &str, header: &str, homes: &mut Vec<String>) {
    for (name, schema) in table
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let path = if header.is_empty() {
            name.clone()
        } else {
            format!("{header}.{name}")
        };
        let is_table = schema.get("properties").is_some();
        if name == key {
            homes.push(match header {
                "" if is_table => format!("write [{key}] as a table of its own"),
                "" => format!("`{key}` belongs at the top of the file, before the first [table]"),
                header => format!("`{key}` belongs in [{header}]"),
            });
        }
        if let Some(items) = schema.get("items") {
            find_homes(items, key, &format!("[{path}]"), homes);
        }
        if let Some(named) = schema.get("additionalProperties") {
            find_homes(named, key, &format!("{path}.NAME"), homes);
        }
        find_homes(schema, key, &path, homes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[test]
    fn a_key_in_the_wrong_table_is_sent_home() {
        let root = schema::shared();
        let client = &root["properties"]["client"];
        for (key, advice) in [
            ("keepalive", "`keepalive` belongs in [deadlines]"),
            ("methods", "`methods` belongs in [[route]]"),
            (
                "in_flight",
                "`in_flight` belongs in [[route]] or in [tier.NAME]",
            ),
            (
                "mode",
                "`mode` belongs at the top of the file, before the first [table]",
            ),
            ("deadlines", "write [deadlines] as a table of its own"),
            ("ipv4_prefx", "did you mean `ipv4_prefix`?"),
            ("Connections", "did you mean `connections`?"),
        ] {
            assert_eq!(unknown_key(root, client, key), advice);
        }
        assert_eq!(
            unknown_key(root, &root["properties"]["state"], "nonsense"),
            "known here: `directory`"
        );
    }
}
