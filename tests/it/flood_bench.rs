//! The gate's configurations of the flood benchmark, which nobody else loads until the day of a
//! measurement.

use crate::harness::{Authority, Folder, tidegate};

/// As `benches/flood/proxies.py` does it: `?KIND` and `?!KIND` begin lines of that kind of scenario, and
/// of all others; `<NAME>` is a value.
fn rendered(template: &str, kind: &str, folder: &Folder) -> String {
    let kept = template.lines().filter_map(|line| {
        let Some(conditional) = line.strip_prefix('?') else {
            return Some(line);
        };
        let (name, rest) = conditional.split_once(' ')?;
        let wanted = match name.strip_prefix('!') {
            Some(other) => other != kind,
            None => name == kind,
        };
        wanted.then_some(rest)
    });
    let mut text: String = kept.map(|line| format!("{line}\n")).collect();
    let certificates = folder.path("").display().to_string();
    for (name, value) in [
        ("<plain>", "0"),
        ("<tls>", "0"),
        ("<admin>", "0"),
        ("<app>", "3000"),
        ("<rate>", "10"),
        ("<unit>", "s"),
        ("<burst>", "20"),
        ("<patience>", "60s"),
        ("<size>", "1000"),
        ("<all_connections>", "504"),
        ("<certificates>", &certificates),
    ] {
        text = text.replace(name, value);
    }
    text
}

#[test]
fn its_configurations_are_valid() {
    let flood = include_str!("../../benches/flood/tidegate.toml");
    let growth = include_str!("../../benches/flood/growth.toml");
    let kinds = ["forward", "refuse", "million", "block", "cap", "felt"].map(|kind| (flood, kind));
    let grown = ["clients", "known", "tenants", "connections"].map(|kind| (growth, kind));
    for (template, kind) in kinds.into_iter().chain(grown) {
        let folder = Folder::new();
        Authority::new().issue(&["localhost"]).write(&folder, "tls");
        folder.write("known.txt", "192.0.2.0/24\n");
        folder.write("tenants.txt", "t1 verified\n");
        let file = folder.write("tidegate.toml", rendered(template, kind, &folder));
        let output = tidegate(&["validate", &file]);
        assert_eq!(output.code, 0, "for {kind}: {output:#?}");
    }
}
