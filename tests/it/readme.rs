//! What the README shows works as it is written.

use crate::harness::{Folder, tidegate};

/// The text between the fences of this language.
fn blocks(language: &str) -> Vec<String> {
    let readme = include_str!("../../README.md");
    let fence = format!("```{language}\n");
    let starts = readme.split(&fence).skip(1);
    starts
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn its_configurations_are_valid() {
    let configurations = blocks("toml");
    assert_eq!(configurations.len(), 2, "the smallest and a real one");
    for text in configurations {
        let folder = Folder::new();
        let file = folder.write("tidegate.toml", &text);
        let output = tidegate(&["validate", "--deny-warnings", &file]);
        assert_eq!(output.code, 0, "{text}\n{output:#?}");
    }
}

#[test]
fn its_verbs_exist() {
    let lines = blocks("").concat();
    let verbs = lines
        .lines()
        .filter_map(|line| line.strip_prefix("tidegate "));
    let verbs: Vec<&str> = verbs.filter_map(|line| line.split(' ').next()).collect();
    assert!(verbs.len() >= 5, "{verbs:?}");
    for verb in verbs {
        assert_eq!(tidegate(&[verb, "--help"]).code, 0, "tidegate {verb}");
    }
}
