//! docs/operations.md: what it says to write and to type works, in its order.

use std::path::Path;

use crate::harness::{App, Folder, Gate, tidegate, with_upstream};

const PAGE: &str = include_str!("../../docs/operations.md");

/// What stands between the fences of this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let parts = PAGE.split("```").skip(1).step_by(2);
    let named = parts.filter_map(|part| part.split_once('\n'));
    named
        .filter_map(|(name, text)| (name == language).then_some(text))
        .collect()
}

#[test]
fn its_configuration_is_valid() {
    let configurations = blocks("toml");
    assert_eq!(configurations.len(), 1);
    let folder = Folder::new();
    let file = folder.write("tidegate.toml", configurations[0]);
    let output = tidegate(&["validate", "--deny-warnings", &file]);
    assert_eq!(output.code, 0, "{output:#?}");
}

/// The words of a line, as a shell has them; what stands behind `#` is for people.
fn words(line: &str) -> Vec<String> {
    let line = line.split(" # ").next().unwrap();
    line.split_whitespace()
        .map(|word| word.trim_matches('"').to_owned())
        .collect()
}

#[test]
fn its_verbs_work_in_their_order() {
    let app = App::echoing_paths();
    let gate = Gate::start(&with_upstream(&[app.address], "mode = \"observe\""));
    let list = gate
        .folder
        .write("customers.csv", "address\n192.0.2.0/24\n");
    let text = blocks("").concat().replace("customers.csv", &list);
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("sudo tidegate "));
    let mut typed = 0;
    for line in lines {
        // Of the reasons only one has several words: it is one to the shell.
        let line = line.replace("\"named by preview\"", "\"preview\"");
        let words = words(&line);
        let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = gate.verb(&arguments);
        assert_eq!(output.code, 0, "{line}: {output:#?}");
        typed += 1;
    }
    assert!(typed > 20, "{typed} commands");
    let package = format!("/tidegate_{}-1_", env!("CARGO_PKG_VERSION"));
    assert!(PAGE.contains(&package), "no {package}");
    assert_eq!(gate.status()["mode"]["mode"], "normal");
}

/// The titles of a page, as its links name them.
fn anchors(page: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(page).unwrap();
    let titles = text.lines().filter(|line| line.starts_with('#'));
    titles
        .map(|title| {
            let title = title.trim_start_matches(['#', ' ']).to_lowercase();
            title.replace([',', '.', '\''], "").replace(' ', "-")
        })
        .collect()
}

#[test]
fn what_the_documents_of_deployment_lead_to_is_there() {
    for page in ["docs/operations.md", "deploy/README.md"] {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        let text = std::fs::read_to_string(&page).unwrap();
        for rest in text.split("](").skip(1) {
            let link = rest.split(')').next().unwrap();
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = match file {
                "" => page.clone(),
                _ => page.with_file_name(file),
            };
            assert!(file.exists(), "{}: {link}", page.display());
            let found = anchor.is_empty() || anchors(&file).iter().any(|one| one == anchor);
            assert!(found, "{}: {link}", page.display());
        }
    }
}
