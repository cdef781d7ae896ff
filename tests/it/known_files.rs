//! Files of known customers while the gate runs: a change is taken over by itself when it is good, and
//! the customers before stay when it is not.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::thread;
use std::time::Duration;

use crate::harness::{App, Folder, Gate, Load, ROOMY, eventually, with_upstream};

mod entries;
mod refused;

/// A gate that reads these files of its folder.
fn gate_with(folder: Folder, app: &App, patterns: &str) -> Gate {
    let text = format!("{ROOMY}max_tracked = 1000\n[known]\nfiles = [{patterns}]\n");
    Gate::start_in(folder, &with_upstream(&[app.address], &text))
}

fn gate_of(lines: &str) -> (App, Gate) {
    let app = App::echoing_paths();
    let folder = Folder::new();
    folder.write("known.txt", lines);
    let gate = gate_with(folder, &app, "\"known.txt\"");
    (app, gate)
}

fn prefixes(gate: &Gate) -> u64 {
    gate.status()["known"]["prefixes"].as_u64().unwrap()
}

#[track_caller]
fn eventually_knows(gate: &Gate, count: u64) {
    eventually(&format!("{count} known prefixes"), || {
        prefixes(gate) == count
    });
}

fn is_known(gate: &Gate, address: &str) -> bool {
    gate.verb(&["known", "list", address])
        .good()
        .contains(address)
}

/// So many lines with an address each.
fn lines(count: u8) -> String {
    (1..=count)
        .map(|last| format!("192.0.2.{last}\n"))
        .collect()
}

#[test]
fn a_change_is_taken_over_by_itself() {
    let (_app, gate) = gate_of("192.0.2.1\n");
    let path = gate.folder.path("known.txt");
    let mut file = File::options().append(true).open(&path).unwrap();
    file.write_all(b"192.0.2.2\n").unwrap();
    eventually_knows(&gate, 2);
    gate.says("taken over: known prefixes: 1 -> 2 (");
    gate.says("known.txt 1 -> 2)");
    assert!(is_known(&gate, "192.0.2.2"));
    // As editors and `mv` do it.
    gate.folder.write("beside.txt", lines(3));
    fs::rename(gate.folder.path("beside.txt"), &path).unwrap();
    eventually_knows(&gate, 3);
    // As `cp` and a shell do it, with a number that is the same.
    gate.folder
        .write("known.txt", "192.0.2.1\n192.0.2.2\n192.0.2.9\n");
    eventually("the other address", || is_known(&gate, "192.0.2.9"));
    assert!(!is_known(&gate, "192.0.2.3"));
    let taken = "tidegate_known_files_changes_total{outcome=\"taken\"}";
    assert_eq!(gate.metric(taken), 3.0);
    assert_eq!(gate.metric("tidegate_known_files_rejected"), 0.0);
}

#[test]
fn a_file_that_keeps_its_date_is_read_all_the_same() {
    let (_app, gate) = gate_of("192.0.2.1\n");
    let path = gate.folder.path("known.txt");
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    gate.folder.write("known.txt", "192.0.2.2\n");
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(written)
        .unwrap();
    eventually("the other address", || is_known(&gate, "192.0.2.2"));
}

#[test]
fn what_a_pattern_matches_comes_and_goes() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    fs::create_dir_all(folder.path("d")).unwrap();
    folder.write("d/a.txt", lines(4));
    let gate = gate_with(folder, &app, "\"d/*.txt\"");
    gate.folder.write("d/b.txt", "198.51.100.1\n");
    eventually_knows(&gate, 5);
    gate.says("b.txt is new, 1");
    fs::remove_file(gate.folder.path("d/b.txt")).unwrap();
    eventually_knows(&gate, 4);
    gate.says("b.txt is gone, 1");
    fs::rename(
        gate.folder.path("d/a.txt"),
        gate.folder.path("d/renamed.txt"),
    )
    .unwrap();
    eventually("the new name", || gate.has_said("renamed.txt is new, 4"));
    assert_eq!(prefixes(&gate), 4);
}

#[test]
fn a_link_that_is_turned_is_followed() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    // As Kubernetes mounts a ConfigMap: the file is a link through a folder that is a link.
    for (version, count) in [("v1", 1), ("v2", 2)] {
        fs::create_dir(folder.path(version)).unwrap();
        folder.write(&format!("{version}/known.txt"), lines(count));
    }
    symlink("v1", folder.path("data")).unwrap();
    symlink("data/known.txt", folder.path("known.txt")).unwrap();
    let gate = gate_with(folder, &app, "\"known.txt\"");
    symlink("v2", gate.folder.path("next")).unwrap();
    fs::rename(gate.folder.path("next"), gate.folder.path("data")).unwrap();
    eventually_knows(&gate, 2);
}

#[test]
fn a_file_that_is_being_written_is_waited_for() {
    let (_app, gate) = gate_of(&lines(2));
    let mut file = File::create(gate.folder.path("known.txt")).unwrap();
    for last in 1..=12 {
        write!(file, "192.0.2.").unwrap();
        thread::sleep(Duration::from_millis(200));
        writeln!(file, "{last}").unwrap();
    }
    drop(file);
    eventually_knows(&gate, 12);
    gate.says_once("taken over");
}

#[test]
fn files_that_change_under_load_disturb_nobody() {
    let (_app, gate) = gate_of(&lines(5));
    gate.verb(&["known", "add", "127.0.0.1"]).good();
    gate.verb(&["mode", "known-only"]).good();
    let load = Load::from(&["127.0.0.1"], &gate);
    for count in [20_000_u32, 30_000] {
        let line =
            |number: u32| format!("{}\n", std::net::Ipv4Addr::from_bits(0x0a00_0000 + number));
        gate.folder
            .write("known.txt", (0..count).map(line).collect::<String>());
        eventually_knows(&gate, u64::from(count) + 1);
        load.wait_for(20);
    }
    let tally = load.stop();
    assert_eq!(tally.other_than(200), 0, "{tally:?}");
}
