//! The dashboard of deploy/grafana: it loads without edits, and each of its queries finds something.

use std::collections::HashSet;

use serde_json::Value;

use crate::harness::{Exposition, Folder, selectors, tool};

fn dashboard() -> Value {
    let text = include_str!("../../deploy/grafana/tidegate.json");
    serde_json::from_str(text).expect("the dashboard is JSON")
}

fn list<'value>(value: &'value Value, key: &str) -> &'value [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// Every query with its panel's title, as Grafana would send it.
fn queries(dashboard: &Value) -> Vec<(&str, String)> {
    let panels = list(dashboard, "panels").iter();
    let queries = panels.flat_map(|panel| {
        let title = panel["title"].as_str().unwrap();
        let targets = list(panel, "targets").iter();
        targets.map(move |target| {
            let query = target["expr"].as_str().unwrap();
            (title, query.replace("$__rate_interval", "1m"))
        })
    });
    queries.collect()
}

#[test]
fn it_asks_for_metrics_that_there_are() {
    let scrape = Exposition::of_everything();
    let dashboard = dashboard();
    let queries = queries(&dashboard);
    assert!(queries.len() > 40, "{}", queries.len());
    for (title, query) in queries {
        let asked = selectors(&query);
        assert!(!asked.is_empty(), "{title}: {query}");
        for selector in asked {
            let missing = selector.missing(&scrape);
            assert!(missing.is_empty(), "{title}: no {missing:?} in a scrape");
            let gates = ("instance", "$instance");
            assert!(
                selector.values.contains(&gates),
                "{title}: {} is asked of every gate, not of those that are chosen",
                selector.metric
            );
        }
    }
}

#[test]
fn its_queries_are_such_that_prometheus_reads_them() {
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    for (at, (_, query)) in queries(&dashboard()).iter().enumerate() {
        // A string of JSON is one of YAML.
        let query = Value::from(query.as_str());
        rules.push_str(&format!(
            "      - {{record: 'query:{at}', expr: {query}}}\n"
        ));
    }
    let folder = Folder::new();
    let file = folder.write("rules.yml", &rules);
    let mut promtool = tool("promtool", "prometheus");
    let output = promtool.args(["check", "rules", &file]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{rules}");
}

#[test]
fn it_loads_without_edits() {
    let dashboard = dashboard();
    assert!(
        dashboard.get("__inputs").is_none(),
        "asks for a data source"
    );
    let variables = list(&dashboard["templating"], "list");
    let kinds: Vec<&str> = variables
        .iter()
        .map(|variable| variable["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["datasource", "query"]);
    let panels = list(&dashboard, "panels");
    let ids: HashSet<&Value> = panels.iter().map(|panel| &panel["id"]).collect();
    assert_eq!(ids.len(), panels.len(), "two panels have one id");
    for panel in panels {
        let asks = !list(panel, "targets").is_empty();
        let plain = ["row", "text"].contains(&panel["type"].as_str().unwrap());
        assert_ne!(asks, plain, "{panel}");
        if asks {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        }
    }
}

#[test]
fn it_follows_the_questions_of_an_operator() {
    let dashboard = dashboard();
    let panels = list(&dashboard, "panels").iter();
    let rows = panels.filter(|panel| panel["type"] == "row");
    let titles: Vec<&str> = rows.map(|row| row["title"].as_str().unwrap()).collect();
    assert_eq!(
        titles,
        [
            "1. Are known customers served?",
            "2. What is refused, and why?",
            "3. Who is it?",
            "4. What can I still take?",
            "5. Are the upstreams well?",
            "6. Is the gate itself in order?",
        ]
    );
}
