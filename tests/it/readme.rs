//! What the README shows works as it is written.

use crate::harness::{App, Folder, Gate, tidegate};

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

/// The words of a line, as a shell has them; what stands behind `#` is for people.
fn words(line: &str) -> Vec<String> {
    let line = line.split(" # ").next().unwrap();
    let parts = line.split('"').enumerate();
    parts
        .flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

#[test]
fn what_it_says_to_type_during_an_attack_works_in_that_order() {
    let readme = include_str!("../../README.md");
    let (_, attack) = readme.split_once("## During an attack").unwrap();
    let lines = attack.split("```").nth(1).unwrap().trim().lines();
    let app = App::echoing_paths();
    let tiers = "[tenant]\nfrom = \"host\"\ntier = \"unverified\"\n[tier.unverified]\n\
        [tier.verified]\n[tenants]\n\"shop.example.com\" = \"verified\"\n";
    let gate = Gate::before(&app, tiers);
    let list = gate
        .folder
        .write("customers.csv", "address\n192.0.2.0/24\n");
    let mut typed = 0;
    for line in lines {
        let said = line.replace("customers.csv", &list);
        let words = words(&said);
        let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = gate.verb(&arguments[1..]);
        assert_eq!(
            (arguments[0], output.code),
            ("tidegate", 0),
            "{line}: {output:#?}"
        );
        typed += 1;
    }
    assert!(typed >= 12, "{typed} commands");
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
