//! The files that come with the crate, and files that cannot be read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{fs, path::Path};

use serde_json::Value;
use tidegate_config::{Config, Error, MINIMAL, Mode, TEMPLATE, schema};

fn parse(text: &str) -> Config {
    Config::parse(text, None).unwrap_or_else(|error| panic!("{error}"))
}

/// The template with its examples in force: a line of one begins with # and no
/// space.
fn with_examples() -> String {
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(example) if !example.is_empty() && !example.starts_with(' ') => example.to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<String> = TEMPLATE.lines().map(uncomment).collect();
    lines.join("\n")
}

#[test]
fn the_template_is_valid_with_and_without_its_examples() {
    assert_eq!(parse(TEMPLATE).warnings, [""; 0]);
    let full = parse(&with_examples());
    assert_eq!(full.warnings, [""; 0]);
    assert_eq!(
        (full.routes.len(), full.tiers.len(), full.tenants.len()),
        (2, 2, 2)
    );
}

#[test]
fn the_smallest_is_valid_and_is_the_embedded_default_but_for_its_mode() {
    let smallest = parse(MINIMAL);
    let server = "127.0.0.1:3000".parse().unwrap();
    let embedded = |variables: &[(&str, &str)]| {
        let listen = "127.0.0.1:8080".parse().unwrap();
        let variables = variables
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()));
        Config::embedded_with(listen, &server, variables.collect::<Vec<_>>().into_iter())
    };
    let metrics = embedded(&[("TIDEGATE_METRICS__ADDRESS", "off")])
        .unwrap()
        .metrics;
    assert_eq!(metrics.address, None);
    let wrong = embedded(&[("TIDEGATE_METRICS__ADDRESS", "on")]).unwrap_err();
    assert!(
        wrong.to_string().contains("TIDEGATE_METRICS__ADDRESS"),
        "{wrong}"
    );
    let embedded = embedded(&[]).unwrap();
    assert_eq!(
        (smallest.mode, embedded.mode),
        (Mode::Normal, Mode::Observe)
    );
    let mode = Mode::Normal;
    assert_eq!(smallest, Config { mode, ..embedded });
}

/// What the template says of defaults is so: where it shows a default, the
/// value is the one of a file without that key.
#[test]
fn the_template_shows_the_defaults() {
    let (mut template, smallest) = (parse(TEMPLATE), parse(MINIMAL));
    template.known.files.clear();
    assert_eq!(template, smallest);
}

#[test]
fn the_template_explains_every_key_of_the_schema() {
    let mut keys = Vec::new();
    keys_of(&schema(), &mut keys);
    assert!(keys.len() > 50, "{keys:?}");
    for key in keys {
        let is_there = TEMPLATE.lines().any(|line| {
            let line = line.trim_start_matches('#');
            let header = line.trim_matches(['[', ']']);
            header.split('.').any(|part| part == key)
                || line.starts_with(&format!("{key} = "))
                || line.contains(&format!("{{ {key} = "))
                || line.contains(&format!(", {key} = "))
        });
        assert!(is_there, "{key} is not in tidegate.toml");
    }
}

/// Every value of the template has a comment above it.
#[test]
fn the_template_has_a_comment_above_every_key_the_first_time() {
    let mut seen = Vec::new();
    let mut before = "";
    let mut header = "";
    let template = with_examples();
    for line in template.lines() {
        if line.starts_with('[') {
            header = line.split('.').next().unwrap();
        }
        let key = line.split(" = ").next().unwrap();
        let place = format!("{header} {key}");
        if line.contains(" = ") && !line.starts_with(['#', '"']) && !seen.contains(&place) {
            assert!(before.starts_with("# "), "{line}");
            seen.push(place);
        }
        before = line;
    }
    assert!(seen.len() > 30);
}

fn keys_of(schema: &Value, keys: &mut Vec<String>) {
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        keys.push(key.clone());
        keys_of(schema, keys);
    }
    for below in ["items", "additionalProperties"] {
        schema
            .get(below)
            .into_iter()
            .for_each(|schema| keys_of(schema, keys));
    }
    let forms = schema.get("anyOf").and_then(Value::as_array);
    forms
        .into_iter()
        .flatten()
        .for_each(|form| keys_of(form, keys));
}

fn load(path: &Path) -> Result<Config, Error> {
    Config::load_with(path, std::iter::empty())
}

#[test]
fn a_file_that_cannot_be_used_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("latin1.toml"), b"# one\n# caf\xe9\n").unwrap();
    fs::write(at("utf16.toml"), b"\xff\xfe[\0").unwrap();
    fs::write(at("huge.toml"), vec![b'#'; 16 * 1024 * 1024 + 1]).unwrap();
    fs::write(at("empty.toml"), "").unwrap();
    fs::write(at("comments.toml"), "# nothing\n\n").unwrap();
    let smallest = format!(
        " is empty; the smallest configuration is:\n\n{}",
        MINIMAL.trim_end()
    );
    for (name, message) in [
        (
            "none.toml",
            ": no such file; `tidegate init` writes one with every key explained",
        ),
        (
            "latin1.toml",
            ":2: byte 12 of the file is 0xe9, which is not UTF-8; save the file as UTF-8 text",
        ),
        (
            "utf16.toml",
            ":1: byte 1 of the file is 0xff, which is not UTF-8; save the file as UTF-8 text",
        ),
        (
            "huge.toml",
            ": larger than 16 MiB, which no configuration is; is it the right file? Lists of \
             addresses go into the files that known.files names",
        ),
        ("empty.toml", &smallest),
        ("comments.toml", &smallest),
        (
            "empty.toml/below",
            ": cannot be read: Not a directory (os error 20)",
        ),
    ] {
        let error = load(&at(name)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{}{message}", at(name).display())
        );
    }
}

#[test]
fn a_folder_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert_eq!(
        load(path).unwrap_err().to_string(),
        format!(
            "{}: a folder, but the configuration is one file, such as {}",
            path.display(),
            path.join("tidegate.toml").display()
        )
    );
}

#[test]
fn relative_paths_are_relative_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.toml");
    let text = format!(
        "{MINIMAL}[known]\nfiles = [\"known.d/*.txt\", \"/srv/k\"]\n\
         [tenant]\nfrom = \"host\"\ntier = \"a\"\nfiles = [\"t/*.txt\", \"/srv/t\"]\n[tier.a]\n[log]\nfile = \"access.log\"\n\
         [admin]\nsocket = \"admin.sock\"\n[state]\ndirectory = \"state\"\n\
         [top]\nsystems_file = \"as.mmdb\"\ncountries_file = \"/srv/c.mmdb\"\n"
    );
    fs::write(&path, text).unwrap();
    let config = load(&path).unwrap();
    let at = |name: &str| folder.path().join(name);
    assert_eq!(config.source, Some(path.clone()));
    assert_eq!(config.known.files, [at("known.d/*.txt"), "/srv/k".into()]);
    let tenant = config.tenant.unwrap();
    assert_eq!(tenant.files, [at("t/*.txt"), "/srv/t".into()]);
    assert_eq!(
        config.log.file,
        tidegate_config::LogFile::Path(at("access.log"))
    );
    assert_eq!(config.admin.socket, at("admin.sock"));
    assert_eq!(config.state.directory, at("state"));
    assert_eq!(config.top.systems_file, Some(at("as.mmdb")));
    assert_eq!(config.top.countries_file, Some("/srv/c.mmdb".into()));
}

#[test]
fn a_mark_of_byte_order_and_line_ends_of_windows_do_not_matter() {
    let text = format!("\u{feff}{}", MINIMAL.replace('\n', "\r\n"));
    assert_eq!(parse(&text), parse(MINIMAL));
    let error = Config::parse(&format!("{text}x = 1\r\n"), None)
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("  |\n6 | x = 1\n  | ^"), "{error}");
}
