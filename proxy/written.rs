//! A configuration as it was written, key by key, to say what is different in the next one.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

/// The values of a file by their dotted keys. A file that cannot be read has none.
#[derive(Debug, Default)]
pub struct Written(BTreeMap<String, String>);

impl Written {
    /// What stands in the file.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let mut values = BTreeMap::new();
        for (key, value) in text.parse::<Table>().unwrap_or_default() {
            flatten(key, value, &mut values);
        }
        Written(values)
    }

    /// A line for each key whose value is another one in `next`.
    pub fn changes(&self, next: &Written) -> Vec<String> {
        let keys = self.0.keys().chain(next.0.keys());
        let keys: std::collections::BTreeSet<&String> = keys.collect();
        keys.into_iter()
            .filter_map(|key| match (self.0.get(key), next.0.get(key)) {
                (Some(before), Some(after)) if before == after => None,
                (Some(before), Some(after)) => Some(format!("{key}: {before} -> {after}")),
                (Some(before), None) => Some(format!("{key}: {before} -> default")),
                (None, Some(after)) => Some(format!("{key}: default -> {after}")),
                (None, None) => None,
            })
            .collect()
    }
}

fn flatten(key: String, value: Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) => {
            for (inner, value) in table {
                flatten(format!("{key}.{inner}"), value, into);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_table) => {
            for (index, value) in items.into_iter().enumerate() {
                flatten(format!("{key}[{index}]"), value, into);
            }
        }
        value => drop(into.insert(key, value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::Written;

    #[test]
    fn says_which_keys_differ_and_how() {
        let before = Written::parse(
            "mode = \"normal\"\n[client]\nlimit = { rate = \"20/s\", burst = 40 }\n[[route]]\npath = \"/a\"\n",
        );
        let after = Written::parse(
            "[client]\nlimit = { rate = \"50/s\", burst = 40 }\nconnections = 9\n[[route]]\npath = \"/b\"\n",
        );
        assert_eq!(
            before.changes(&after),
            [
                "client.connections: default -> 9",
                "client.limit.rate: \"20/s\" -> \"50/s\"",
                "mode: \"normal\" -> default",
                "route[0].path: \"/a\" -> \"/b\"",
            ]
        );
        assert!(before.changes(&before).is_empty());
    }
}
