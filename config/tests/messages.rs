//! What is said about each kind of mistake, word for word: see messages.txt.
//!
//! A case there is a name, lines that are added to the smallest configuration,
//! and what is said about them. "(alone)" is a file of its own; "(cut)" has no
//! end of line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::Path;

use tidegate_config::{Config, MINIMAL};

const CASES: &str = include_str!("messages.txt");

fn said_about(name: &str, lines: &str) -> String {
    let text = match name {
        name if name.ends_with("(alone)") => format!("{lines}\n"),
        name if name.ends_with("(cut)") => format!("{MINIMAL}\n{lines}"),
        _ => format!("{MINIMAL}\n{lines}\n"),
    };
    match Config::parse(&text, Some(Path::new("tidegate.toml"))) {
        Ok(config) => config.warnings.join("\n"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_mistake_is_explained() {
    let mut rest = String::new();
    let mut wrong = Vec::new();
    for case in CASES.split("=== ").skip(1) {
        let (name, case) = case.split_once('\n').unwrap();
        let (lines, expected) = case.split_once("\n---\n").unwrap();
        let said = said_about(name, lines);
        if said != expected.trim_end() {
            wrong.push(name);
        }
        rest.push_str(&format!("=== {name}\n{lines}\n---\n{said}\n\n"));
    }
    assert!(
        wrong.is_empty(),
        "{wrong:?} differ; all that is said:\n\n{rest}"
    );
    assert!(CASES.matches("=== ").count() > 60);
}

#[test]
fn a_text_without_a_file_is_called_configuration() {
    let error = Config::parse("x = 1", None).unwrap_err().to_string();
    assert!(
        error.starts_with("configuration:1: x: found an unknown key"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_all_wrong_is_not_listed_to_the_end() {
    let text: String = (0..1000)
        .map(|number| format!("key_{number} = 1\n"))
        .collect();
    let error = Config::parse(&text, None).unwrap_err().to_string();
    assert_eq!(error.matches("found an unknown key").count(), 20);
    assert!(error.ends_with("\n\nand 980 more"));
}
