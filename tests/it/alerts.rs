//! The alerts of deploy/prometheus: they fire when they should and not before, ask for metrics that
//! there are, and lead to what to do.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Exposition, selectors, tidegate, tool};

const RULES: &str = include_str!("../../deploy/prometheus/tidegate.rules.yml");
const TESTS: &str = include_str!("../../deploy/prometheus/tests.yml");
const RUNBOOK: &str = include_str!("../../docs/runbook.md");

/// One alert, as it is written.
struct Alert {
    name: &'static str,
    expression: String,
    text: &'static str,
}

/// Reads what the file's own form needs: an expression is the rest of its line, or the lines below it
/// that are indented further.
fn alerts() -> Vec<Alert> {
    let texts = RULES.split("- alert: ").skip(1);
    let alerts = texts.map(|text| {
        let (name, _) = text.split_once('\n').unwrap();
        let (_, after) = text.split_once("        expr: ").unwrap();
        let lines = after.trim_start_matches("|\n").lines().enumerate();
        let own = lines.take_while(|(at, line)| *at == 0 || line.starts_with("          "));
        let expression: Vec<&str> = own.map(|(_, line)| line.trim()).collect();
        Alert {
            name,
            expression: expression.join("\n"),
            text,
        }
    });
    alerts.collect()
}

fn promtool(arguments: &[&str], file: &Path) {
    let mut promtool = tool("promtool", "prometheus");
    succeeds(promtool.args(arguments).arg(file));
}

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|out| String::from_utf8_lossy(&out).into_owned());
    assert!(output.status.success(), "{command:?}: {}", said.concat());
}

fn deployed(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus");
    folder.join(name)
}

#[test]
fn they_are_rules_that_prometheus_reads() {
    promtool(
        &["check", "rules", "--lint-fatal"],
        &deployed("tidegate.rules.yml"),
    );
}

#[test]
fn they_fire_when_they_should_and_not_before() {
    promtool(&["test", "rules"], &deployed("tests.yml"));
    let (_, calm) = TESTS.split_once("just below every threshold").unwrap();
    let (calm, rest) = calm.split_once("- name: ").unwrap();
    assert!(calm.contains("exp_samples: []"));
    for alert in alerts() {
        let fires = format!("{{alertname=\"{}\"}}", alert.name);
        assert!(rest.contains(&fires), "no case fires {}", alert.name);
        for selector in selectors(&alert.expression) {
            let series = format!("'{}{{", selector.metric);
            assert!(
                calm.contains(&series),
                "the calm case has no {}, which {} looks at",
                selector.metric,
                alert.name
            );
        }
    }
}

#[test]
fn they_ask_for_metrics_that_there_are() {
    let scrape = Exposition::of_everything();
    let alerts = alerts();
    assert!(alerts.len() > 15);
    for alert in alerts {
        let asked = selectors(&alert.expression);
        assert!(!asked.is_empty(), "{}", alert.name);
        for selector in asked {
            let missing = selector.missing(&scrape);
            assert!(
                missing.is_empty(),
                "{}: no {missing:?} in a scrape",
                alert.name
            );
        }
    }
}

#[test]
fn they_say_what_it_is_and_what_to_type_and_lead_to_the_runbook() {
    for Alert { name, text, .. } in alerts() {
        for part in ["severity: ", "summary: \"", "description: \"", "`tidegate "] {
            assert!(text.contains(part), "{name} has no {part}");
        }
        let (_, anchor) = text.split_once("runbook_url: docs/runbook.md#").unwrap();
        let anchor = anchor.split_whitespace().next().unwrap();
        let mut titles = RUNBOOK.lines().filter_map(|line| line.strip_prefix("## "));
        let found = titles.any(|title| title.to_lowercase() == anchor);
        assert!(found, "{name}: docs/runbook.md has no section {anchor}");
    }
}

#[test]
fn every_section_of_the_runbook_is_whole_and_of_an_alert() {
    for section in RUNBOOK.split("\n## ").skip(1) {
        let (title, text) = section.split_once('\n').unwrap();
        assert!(
            RULES.contains(&format!("alert: {title}\n")),
            "{title} is no alert"
        );
        for part in ["Means", "See", "Do", "Do not"] {
            assert!(text.contains(&format!("- **{part}**: ")), "{title}: {part}");
        }
    }
}

#[test]
fn the_commands_that_they_and_the_runbook_name_exist() {
    let texts = [RULES, RUNBOOK].concat();
    let mut verbs: Vec<Vec<&str>> = texts
        .split("`tidegate ")
        .skip(1)
        .map(|rest| {
            let words = rest.split('`').next().unwrap().split_whitespace();
            words
                .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase()))
                .take(2)
                .collect()
        })
        .filter(|words: &Vec<&str>| !words.is_empty())
        .collect();
    verbs.sort();
    verbs.dedup();
    assert!(verbs.len() > 10, "{verbs:?}");
    for mut words in verbs {
        words.push("--help");
        assert_eq!(tidegate(&words).code, 0, "{words:?}");
    }
}
