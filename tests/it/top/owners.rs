//! Autonomous systems and countries, by databases that the configuration names.

use std::fs::{self, File};
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::harness::{Folder, Output, Terminal, database, database_of, tidegate, with_upstream};

const KEYS: &str = "[top]\nsystems_file = \"as.mmdb\"\ncountries_file = \"country.mmdb\"\n";

fn system(number: u32, name: &str) -> Value {
    json!({ "autonomous_system_number": number, "autonomous_system_organization": name })
}

fn systems() -> Vec<u8> {
    let records = [
        ("198.51.100.0/24", system(64500, "Example Net")),
        ("203.0.113.0/25", system(64501, "\u{1b}[2JBad Net")),
        ("2001:db8:1::/48", system(64500, "Example Net")),
    ];
    database("GeoLite2-ASN", &records)
}

fn country(code: &str) -> Value {
    json!({ "country": { "geoname_id": 1, "iso_code": code, "names": { "en": "a country with a long name" } } })
}

fn countries() -> Vec<u8> {
    let records = [
        ("198.51.100.0/24", country("DE")),
        ("2001:db8::/32", country("FR")),
        ("203.0.113.0/24", json!({ "continent": { "code": "EU" } })),
    ];
    database("GeoLite2-Country", &records)
}

/// A gate with both databases behind a trusted proxy.
fn gate(app: &App) -> Gate {
    let folder = Folder::new();
    fs::write(folder.path("as.mmdb"), systems()).unwrap();
    fs::write(folder.path("country.mmdb"), countries()).unwrap();
    let text = with_upstream(&[app.address], &format!("{PROXIED}{KEYS}"));
    Gate::start_in(folder, &text)
}

/// One request of each.
fn ask_as(gate: &Gate, clients: &[&str]) {
    let mut connection = Connection::open(gate.address);
    for client in clients {
        let field = format!("X-Forwarded-For: {client}");
        assert_eq!(connection.get_with("/", &[&field]).status, 200);
    }
}

#[test]
fn systems_and_countries_are_told_where_there_are_databases() {
    let app = App::echoing_paths();
    let gate = gate(&app);
    ask_as(
        &gate,
        &[
            "198.51.100.1",
            "198.51.100.2",
            "198.51.100.3",
            "2001:db8:1::1",
            "2001:db8:2::1",
            "203.0.113.1",
            "192.0.2.1",
        ],
    );
    let seen = of(&gate, &[], 7);
    assert_eq!(
        named(&seen, "systems", "requests"),
        [
            ("AS64500 Example Net", &json!(4)),
            ("AS64501 \u{1b}[2JBad Net", &json!(1))
        ]
    );
    assert_eq!(
        named(&seen, "countries", "requests"),
        [("DE", &json!(3)), ("FR", &json!(2))]
    );
    let text = gate.verb(&["top"]).good();
    assert!(
        text.contains("\nAS  ") && text.contains("\ncountry  "),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text}");
    let report = gate.verb(&["report"]).good();
    assert!(
        report.contains("| AS |") && report.contains("AS64500 Example Net"),
        "{report}"
    );
    let mut screen = Terminal::of(&gate, &["top"]);
    screen.shows("AS64500 Example Net");
    screen.press("\t\t");
    screen.shows("▸ AS");
    screen.press("q");
    assert_eq!(screen.end(), Some(0));
}

#[test]
fn without_databases_nothing_is_told_of_them() {
    let gate = Gate::before(&App::echoing_paths(), ROOMY);
    gate.get("/");
    let seen = of(&gate, &[], 1);
    assert_eq!(
        (&seen["systems"], &seen["countries"]),
        (&json!([]), &json!([]))
    );
    let text = gate.verb(&["top"]).good();
    assert!(
        !text.contains("\nAS ") && !text.contains("\ncountry"),
        "{text}"
    );
}

#[test]
fn a_reload_reads_them_again_and_keeps_the_good_ones() {
    let app = App::echoing_paths();
    let gate = gate(&app);
    let file = gate.folder.path("as.mmdb");
    for (bytes, why) in bad(&systems()) {
        fs::write(&file, bytes).unwrap();
        let refused = gate.verb(&["reload"]);
        assert_eq!(refused.code, 1, "{why}: {refused:?}");
        names_file_and_key(&refused, &file, why);
    }
    ask_as(&gate, &["198.51.100.1"]);
    let seen = of(&gate, &[], 1);
    assert_eq!(
        named(&seen, "systems", "requests"),
        [("AS64500 Example Net", &json!(1))]
    );

    let newer = [("198.51.100.0/24", system(64502, "New Net"))];
    fs::write(&file, database_of("GeoLite2-ASN", &newer, 1_800_000_000)).unwrap();
    let told = gate.verb(&["reload"]).good();
    assert!(
        told.contains(
            "top.systems_file: a database of 2027-01-15T08:00:00Z, before of 2023-11-14T22:13:20Z"
        ),
        "{told}"
    );
    ask_as(&gate, &["198.51.100.1"]);
    let seen = of(&gate, &[], 2);
    let told = named(&seen, "systems", "requests");
    assert!(told.contains(&("AS64502 New Net", &json!(1))), "{told:?}");
}

#[test]
fn a_database_that_is_not_good_is_told_before_anything_runs() {
    let folder = Folder::new();
    let file = folder.path("as.mmdb");
    fs::write(folder.path("country.mmdb"), countries()).unwrap();
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let path = folder.configure(&with_upstream(&[nowhere], KEYS));
    let path = path.to_str().unwrap();
    let refused = |why: &str| {
        for arguments in [&["validate", path][..], &["run", "--config", path]] {
            let output = tidegate(arguments);
            assert_eq!(output.code, 2, "{why}: {output:?}");
            names_file_and_key(&output, &file, why);
        }
    };
    refused("cannot be read");
    for (bytes, why) in bad(&systems()) {
        fs::write(&file, bytes).unwrap();
        refused(why);
    }
    File::create(&file).unwrap().set_len(1 << 40).unwrap();
    refused("larger than");
    fs::write(&file, systems()).unwrap();
    assert_eq!(tidegate(&["validate", path]).code, 0);
}

/// Files that are no database of systems, and what is said of them.
fn bad(good: &[u8]) -> [(Vec<u8>, &'static str); 6] {
    let damaged = "no database in MaxMind's format, or a damaged one";
    let mut torn = good.to_vec();
    torn[..300].fill(0xff);
    [
        (Vec::new(), damaged),
        (b"198.51.100.0/24 AS64500\n".to_vec(), damaged),
        (good[..good.len() / 2].to_vec(), damaged),
        (good[..good.len() - 20].to_vec(), damaged),
        (torn, damaged),
        (countries(), "a database of the kind \"GeoLite2-Country\""),
    ]
}

fn names_file_and_key(output: &Output, file: &Path, why: &str) {
    for part in ["top.systems_file", file.to_str().unwrap(), why] {
        assert!(
            output.stderr.contains(part),
            "{part:?} is not in {:?}",
            output.stderr
        );
    }
}
