//! What deploy/README.md says of sizes: its sums are right, and its settings exist.

use std::fs;
use std::path::Path;

use super::repository;

/// The chapter.
fn chapter() -> String {
    let page = fs::read_to_string(repository("deploy/README.md")).unwrap();
    let (_, after) = page.split_once("\n## Sizes\n").unwrap();
    after.split_once("\n## ").unwrap().0.to_owned()
}

/// A number as people write it.
fn number(cell: &str) -> f64 {
    let digits = cell.trim().trim_end_matches(" MiB").replace(',', "");
    digits.parse().unwrap_or_else(|_| panic!("{cell:?}"))
}

#[test]
fn the_sums_of_its_table_are_right() {
    // Four threads and two listeners, as in proxy/descriptors.rs; KiB a connection, as in benches/README.md.
    let chapter = chapter();
    let rows = chapter.lines().filter(|line| line.ends_with(" MiB |"));
    let mut count = 0;
    for row in rows {
        let cells: Vec<f64> = row.trim_matches('|').split('|').map(number).collect();
        assert_eq!(
            cells[1],
            cells[0] * 2.0 + 256.0 + 2.0 * 2.0 + 4.0 * 128.0,
            "{row}"
        );
        for (cell, each) in cells[2..].iter().zip([15.0, 23.0, 42.0, 44.0]) {
            assert!(
                (cell - cells[0] * each / 1024.0).abs() <= 0.6,
                "{row}: {cell}"
            );
        }
        count += 1;
    }
    assert!(count >= 4, "{count} rows");
}

#[test]
fn its_settings_are_the_kernel_s() {
    let chapter = chapter();
    let (_, settings) = chapter.split_once("```ini\n").unwrap();
    let lines = settings.split("```").next().unwrap().lines();
    let keys = lines
        .filter_map(|line| line.split_once(" = "))
        .map(|(key, _)| key);
    let mut count = 0;
    for key in keys {
        let file = Path::new("/proc/sys").join(key.replace('.', "/"));
        // Only where the module is loaded.
        assert!(file.exists() || key.contains("nf_conntrack"), "{key}");
        count += 1;
    }
    assert!(count >= 5, "{count} settings");
}
