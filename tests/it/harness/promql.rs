//! Queries over the gate's metrics: which series they ask for, and whether there are any.

use super::Exposition;

/// What a query asks for: a metric, and the values that it compares labels with.
#[derive(Debug, PartialEq, Eq)]
pub struct Selector<'query> {
    pub metric: &'query str,
    pub values: Vec<(&'query str, &'query str)>,
}

/// Words that are followed by names of labels.
const LABELS: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];
/// Words of the language that no parenthesis has to follow.
const WORDS: [&str; 9] = [
    "and", "or", "unless", "offset", "bool", "sum", "max", "min", "count",
];

/// Everything that a query asks for. That it is a query is for promtool to say.
pub fn selectors(query: &str) -> Vec<Selector<'_>> {
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
        let (word, after) = rest.split_at(word.unwrap_or(rest.len()));
        let next = after.trim_start();
        rest = match first {
            '"' => past(&rest[1..], '"'),
            '[' => past(rest, ']'),
            _ if word.is_empty() => &rest[first.len_utf8()..],
            _ if LABELS.contains(&word) => past(next, ')'),
            // A number with its unit, a word of the language, a function.
            '0'..='9' => after,
            _ if WORDS.contains(&word) || next.starts_with('(') => after,
            _ => {
                let (matchers, after) = match after.strip_prefix('{') {
                    Some(within) => within.split_once('}').unwrap(),
                    None => ("", after),
                };
                let values = matchers.split_terminator(',').flat_map(values).collect();
                found.push(Selector {
                    metric: word,
                    values,
                });
                after
            }
        };
    }
    found
}

fn past(text: &str, end: char) -> &str {
    text.split_once(end).unwrap().1
}

/// Each value that a matcher names.
fn values(matcher: &str) -> Vec<(&str, &str)> {
    let label = matcher.trim_start().split(['=', '!']).next().unwrap();
    let quoted = matcher.split('"').nth(1).unwrap();
    quoted.split('|').map(|value| (label, value)).collect()
}

impl Selector<'_> {
    /// What is not in a scrape: the metric, or a value of one of its labels.
    pub fn missing(&self, scrape: &Exposition) -> Vec<String> {
        let series = scrape.series(self.metric);
        if series.is_empty() {
            return vec![self.metric.to_owned()];
        }
        // Prometheus adds these two, and Grafana puts in what is chosen on the dashboard.
        let own = self.values.iter().filter(|(label, value)| {
            !["instance", "job"].contains(label) && !value.starts_with('$')
        });
        let absent = own.filter(|(label, value)| {
            let holds = |actual: &String| match value.strip_prefix(".*") {
                Some(end) => actual.ends_with(end),
                None => actual == value,
            };
            let mut having = series.iter().filter_map(|labels| labels.get(*label));
            !having.any(holds)
        });
        absent
            .map(|(label, value)| format!("{}{{{label}=\"{value}\"}}", self.metric))
            .collect()
    }
}

#[test]
fn what_a_query_asks_for_is_found() {
    let query = "sum by (job) (rate(a_total{x=\"1\",y=~\"2|3\"}[5m] offset 1h)) / on (job) b > 0.5 and a:b unless max(c)";
    let found = selectors(query);
    let metrics: Vec<&str> = found.iter().map(|selector| selector.metric).collect();
    assert_eq!(metrics, ["a_total", "b", "a:b", "c"]);
    assert_eq!(found[0].values, [("x", "1"), ("y", "2"), ("y", "3")]);
}
