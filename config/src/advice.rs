//! What to write instead, taken from the schema.

use serde_json::Value;

use crate::shape::takes_text;

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
pub(crate) fn listed(items: &[&str], quote: &str, last: &str) -> String {
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

/// The tables that are named for a key which several have. A key of more tables
/// than that says little about what was meant.
const MOST_HOMES: usize = 6;

/// What to do about a key that `table` does not have.
pub(crate) fn unknown_key(root: &Value, table: &Value, key: &str) -> String {
    if let Some((name, example)) = one_further(table, key) {
        return format!("`{key}` belongs in `{name}`, such as {name} = {example}");
    }
    if let Some(home) = at_home(root, key) {
        return home;
    }
    match nearest(table, key) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let known: Vec<&str> = keys(table).collect();
            format!("known here: {}", listed(&known, "`", "and"))
        }
    }
}

/// Whether a key that `table` does not have was most likely meant for it.
pub(crate) fn is_meant_for(table: &Value, key: &str) -> bool {
    one_further(table, key).is_some() || nearest(table, key).is_some()
}

/// The table below `table` that has a key which was written beside it, and an
/// example of that table.
fn one_further<'v>(table: &'v Value, key: &str) -> Option<(&'v String, String)> {
    let (name, inner) = properties(table).find(|(_, inner)| keys(inner).any(|of| of == key))?;
    Some((name, example(inner)?))
}

/// The tables of the file that have this key.
fn at_home(root: &Value, key: &str) -> Option<String> {
    let mut homes = Homes::default();
    homes.find(root, key, "", false);
    let others: Vec<&str> = homes.others.iter().map(String::as_str).collect();
    let belongs = (1..=MOST_HOMES)
        .contains(&others.len())
        .then(|| format!("`{key}` belongs {}", listed(&others, "", "or")));
    match (belongs, homes.own) {
        (Some(belongs), Some(own)) => Some(format!("{belongs}, or {own}")),
        (belongs, own) => belongs.or(own),
    }
}

/// The keys of a table, in each of the forms it may have.
fn properties(table: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let forms = table.get("anyOf").and_then(Value::as_array);
    std::iter::once(table)
        .chain(forms.into_iter().flatten())
        .filter_map(|form| form.get("properties").and_then(Value::as_object))
        .flatten()
}

fn keys(table: &Value) -> impl Iterator<Item = &str> {
    properties(table).map(|(key, _)| key.as_str())
}

/// A key that is one slip away, or two in a long one.
fn nearest<'v>(table: &'v Value, key: &str) -> Option<&'v str> {
    let written = key.to_lowercase();
    let slips = |known: &str| strsim::damerau_levenshtein(known, &written);
    let allowed = (key.len() / 3).clamp(1, 3);
    let near = keys(table).map(|known| (slips(known), known)).min()?;
    Some(near.1).filter(|_| near.0 <= allowed)
}

/// Where a key may stand. In TOML a key that should stand at the top is easily
/// written below a table's header.
#[derive(Default)]
struct Homes {
    /// What to write for one that is a table itself, at the top of the file.
    own: Option<String>,
    /// The other places: `in [client]`, `in [[route]]`.
    others: Vec<String>,
}

impl Homes {
    fn find(&mut self, table: &Value, key: &str, path: &str, is_item: bool) {
        for (name, schema) in properties(table) {
            let below = match path {
                "" => name.clone(),
                path => format!("{path}.{name}"),
            };
            if name == key {
                self.add(schema, key, path, is_item);
            }
            if let Some(items) = schema.get("items") {
                self.find(items, key, &below, true);
            }
            if let Some(named) = schema.get("additionalProperties") {
                self.find(named, key, &format!("{below}.NAME"), false);
            }
            self.find(schema, key, &below, false);
        }
    }

    fn add(&mut self, schema: &Value, key: &str, path: &str, is_item: bool) {
        match (path, own_table(schema, key)) {
            ("", Some(table)) => self.own = Some(format!("write {table} as a table of its own")),
            ("", None) => self
                .others
                .push("at the top of the file, before the first [table]".to_owned()),
            (path, _) if is_item => self.others.push(format!("in [[{path}]]")),
            (path, _) => self.others.push(format!("in [{path}]")),
        }
    }
}

/// The header of a key at the top that stands for a table or several.
fn own_table(schema: &Value, key: &str) -> Option<String> {
    let named = schema
        .get("additionalProperties")
        .filter(|of| of.is_object());
    if schema.get("items").is_some() {
        return Some(format!("[[{key}]]"));
    }
    if named.is_some_and(|named| !takes_text(named)) {
        return Some(format!("[{key}.NAME]"));
    }
    (named.is_some() || schema.get("properties").is_some()).then(|| format!("[{key}]"))
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
            (
                "methods",
                "`methods` belongs in [[known.learn.rules]] or in [[route]]",
            ),
            (
                "in_flight",
                "`in_flight` belongs in [[route]], in [tenants.NAME] or in [tier.NAME]",
            ),
            (
                "tier",
                "`tier` belongs in [tenant] or in [tenants.NAME], or write [tier.NAME] as a \
                 table of its own",
            ),
            ("name", "`name` belongs in [tenants.NAME]"),
            ("files", "`files` belongs in [known] or in [tenant]"),
            ("per", "`per` belongs in [route.limit]"),
            (
                "prefix",
                "`prefix` belongs in `ipv6_network`, such as ipv6_network = { limit = { burst = \
                 400, rate = \"200/s\" }, prefix = 48 }",
            ),
            (
                "rate",
                "`rate` belongs in `limit`, such as limit = { rate = \"20/s\" }",
            ),
            ("route", "write [[route]] as a table of its own"),
            ("tenants", "write [tenants] as a table of its own"),
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
        assert_eq!(
            unknown_key(root, root, "total"),
            "`total` belongs in [connections]"
        );
        assert_eq!(
            unknown_key(root, &root["properties"]["tenant"], "limit"),
            "`limit` belongs in [client.ipv6_network], in [client], in [known.pass], in \
             [[route]], in [tenants.NAME] or in [tier.NAME]"
        );
        let listed = &root["properties"]["tenants"]["additionalProperties"];
        assert_eq!(
            unknown_key(root, listed, "burst"),
            "`burst` belongs in `limit`, such as limit = { rate = \"20/s\" }"
        );
    }
}
