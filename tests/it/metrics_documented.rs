//! docs/metrics.md says of every metric what the gate does: it is made of a scrape, and of what the
//! code says about each reason.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::harness::{Exposition, Family};

const TYPE: &str = "WRITE_DOCS=1 cargo test --test it metrics_documented";

/// Labels whose values are not the code's.
const FREE: [(&str, &str); 4] = [
    ("certificate", "the file of its chain"),
    ("listener", "its address"),
    ("upstream", "its name in the configuration"),
    ("version", "that of the binary"),
];

/// Where the values of `reason` are explained, by metric.
const REASONS: [(&str, &str, &str); 3] = [
    (
        "Reasons of requests",
        "tidegate_requests_total",
        include_str!("../../proxy/reason.rs"),
    ),
    (
        "Reasons of connections refused",
        "tidegate_connections_total",
        include_str!("../../proxy/door/mod.rs"),
    ),
    (
        "Reasons of connections closed",
        "tidegate_connections_closed_total",
        include_str!("../../proxy/account/closing.rs"),
    ),
];

#[test]
fn the_document_says_what_the_gate_does() {
    let written = document(&Exposition::of_everything());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(path, &written).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let differs = kept
        .lines()
        .zip(written.lines())
        .find(|(old, new)| old != new);
    assert!(
        kept == written,
        "docs/metrics.md is out of date, first at {differs:#?}; to write it anew: {TYPE}"
    );
}

fn document(scrape: &Exposition) -> String {
    let mut out = format!(
        "# Metrics\n\n\
        What `/metrics` shows on `[metrics] address`, in Prometheus' text format. No label comes from \
        traffic. Each series is there from the first scrape on, so that rates are right from the start. \
        Alerts: [runbook.md](runbook.md). Made of the code; to write it anew: `{TYPE}`.\n"
    );
    for (name, family) in &scrape.0 {
        let _ = write!(
            out,
            "\n## {name}\n\n{}. {}\n",
            capital(&family.kind),
            family.help
        );
        for (at, label) in family.labels().into_iter().enumerate() {
            let before = if at == 0 { "\n" } else { "" };
            let _ = writeln!(out, "{before}- `{label}`: {}", values(name, family, label));
        }
    }
    for (title, metric, source) in REASONS {
        let _ = write!(out, "\n## {title}\n\n| reason | means |\n|---|---|\n");
        let meanings = meanings(source);
        for reason in scrape.0[metric].values("reason") {
            let meaning = match reason {
                "none" => "None: it was served.",
                reason => meanings
                    .get(reason)
                    .unwrap_or_else(|| panic!("{reason} of {metric} is not explained")),
            };
            let _ = writeln!(out, "| `{reason}` | {meaning} |");
        }
    }
    out
}

fn capital(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}

fn values(name: &str, family: &Family, label: &str) -> String {
    if let Some((_, what)) = FREE.iter().find(|(free, _)| *free == label) {
        return (*what).to_owned();
    }
    if label == "reason" {
        let own = REASONS.iter().find(|(_, metric, _)| *metric == name);
        let (title, ..) = own.unwrap_or(&REASONS[0]);
        return format!("[{title}](#{})", title.to_lowercase().replace(' ', "-"));
    }
    let values = family.values(label);
    let quoted: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
    quoted.join(", ")
}

/// What the code says about the variants of an enum, by their labels.
fn meanings(source: &str) -> BTreeMap<&str, String> {
    let (mut of_variants, mut of_labels) = (BTreeMap::new(), BTreeMap::new());
    let mut said = Vec::new();
    for line in source.lines().map(str::trim) {
        let label = line.split_once(" => \"").map(|(variant, label)| {
            let (_, variant) = variant.split_once("::").unwrap_or_default();
            (variant, label.trim_end_matches("\","))
        });
        if let Some(words) = line.strip_prefix("///") {
            said.push(words.trim());
        } else if let Some((variant, label)) = label {
            of_labels.extend(of_variants.remove(variant).map(|said| (label, said)));
        } else {
            of_variants.insert(line.trim_end_matches(','), said.join(" "));
            said.clear();
        }
    }
    of_labels
}
