//! What is left of who was learned when the process or its disk is not.

use std::os::unix::fs::PermissionsExt;

use super::*;

const LOG: &str = "state/learned.log";

fn length(folder: &Folder) -> u64 {
    fs::metadata(folder.path(LOG)).map_or(0, |meta| meta.len())
}

/// Learns a client and waits until that is written down.
fn learned_by(app: &App, source: &str) -> Gate {
    let gate = gate(app, LEARN);
    eventually("the store", || length(&gate.folder) > 0);
    let before = length(&gate.folder);
    log_in(&gate, source);
    eventually("the entry in the store", || length(&gate.folder) > before);
    gate
}

fn restarted(app: &App, folder: Folder) -> Gate {
    let config = format!("{ROOMY}{OPEN}{LEARN}");
    Gate::start_in(folder, &with_upstream(&[app.address], &config))
}

fn problem(gate: &Gate, kind: &str) -> f64 {
    gate.metric(&format!(
        "tidegate_learned_store_problem{{problem=\"{kind}\"}}"
    ))
}

/// Ends in order, with which everything is written that can be.
fn ended(mut gate: Gate) -> Folder {
    gate.signal("TERM");
    assert!(gate.wait().success(), "{:#?}", gate.messages());
    gate.kill()
}

/// The gate serves, learns, and says everywhere what is wrong.
fn serves_and_says(gate: &Gate, kind: &str, words: &str) {
    eventually(&format!("the problem {kind}"), || {
        problem(gate, kind) == 1.0
    });
    log_in(gate, "127.0.0.77");
    known_only(gate);
    assert_eq!(from(gate, "127.0.0.77").get("/").status, 200);
    gate.says(words);
    let status = gate.verb(&["status"]).good();
    assert!(
        status.contains("STORE: ") && status.contains(words),
        "{status}"
    );
}

#[test]
fn who_was_learned_survives_a_kill() {
    let app = app();
    let gate = learned_by(&app, "127.0.0.5");
    let before = gate.verb(&["known", "list", "-o", "json"]).json();
    let gate = restarted(&app, gate.kill());
    assert_eq!(gate.verb(&["known", "list", "-o", "json"]).json(), before);
    known_only(&gate);
    assert_eq!(from(&gate, "127.0.0.5").get("/").status, 200);
    assert_eq!(from(&gate, "127.0.0.6").get("/").status, 503);
    // The header, the entry and the clock, 64 bytes each but for the first.
    eventually("the store to be written anew", || {
        length(&gate.folder) == 144
    });
    gate.verb(&["known", "remove", "127.0.0.5"]).good();
    eventually("the removal in the store", || length(&gate.folder) > 144);
    let gate = restarted(&app, gate.kill());
    assert_eq!(learned(&gate), 0.0, "forgotten");
    assert_eq!(from(&gate, "127.0.0.5").get("/").status, 503);
}

#[test]
fn a_gate_that_ends_in_order_writes_down_everything() {
    let app = app();
    let gate = gate(&app, LEARN);
    log_in(&gate, "127.0.0.5");
    let gate = restarted(&app, ended(gate));
    assert_eq!(learned(&gate), 1.0);
}

#[test]
fn an_upgrade_goes_on_with_who_was_learned() {
    let app = app();
    let folder = Folder::new();
    folder.configure(&with_upstream(
        &[app.address],
        &format!("{ROOMY}{OPEN}{LEARN}"),
    ));
    let binary = env!("CARGO_BIN_EXE_tidegate");
    let gate = Gate::run(folder, &mut std::process::Command::new(binary));
    log_in(&gate, "127.0.0.5");
    gate.verb(&["upgrade"]).good();
    known_only(&gate);
    assert_eq!(from(&gate, "127.0.0.5").get("/").status, 200);
    log_in(&gate, "127.0.0.6");
    let before = length(&gate.folder);
    gate.verb(&["known", "remove", "127.0.0.5"]).good();
    eventually("the new process to write the store", || {
        length(&gate.folder) > before
    });
}

#[test]
fn a_store_that_is_damaged_at_its_beginning_is_kept_aside() {
    let app = app();
    let folder = learned_by(&app, "127.0.0.5").kill();
    fs::write(folder.path(LOG), "not a store at all").unwrap();
    let gate = restarted(&app, folder);
    serves_and_says(&gate, "damaged", "moved aside as ");
    let aside = fs::read_to_string(gate.folder.path("state/learned.damaged"));
    assert_eq!(aside.unwrap(), "not a store at all");
    eventually("a new store", || length(&gate.folder) > 64);
    let gate = restarted(&app, gate.kill());
    assert_eq!((learned(&gate), problem(&gate, "damaged")), (1.0, 0.0));
}

#[test]
fn an_entry_that_is_damaged_costs_itself_alone() {
    let app = app();
    let gate = learned_by(&app, "127.0.0.5");
    let before = length(&gate.folder);
    log_in(&gate, "127.0.0.6");
    eventually("the second entry", || length(&gate.folder) > before);
    let folder = gate.kill();
    let mut bytes = fs::read(folder.path(LOG)).unwrap();
    let address = [127, 0, 0, 5];
    let at = bytes.windows(4).position(|four| four == address).unwrap();
    bytes[at] ^= 1;
    fs::write(folder.path(LOG), &bytes).unwrap();
    let gate = restarted(&app, folder);
    assert_eq!(learned(&gate), 1.0);
    serves_and_says(&gate, "damaged", "1 entries are damaged");
    assert_eq!(from(&gate, "127.0.0.6").get("/").status, 200);
    assert_eq!(from(&gate, "127.0.0.5").get("/").status, 503);
    let aside = fs::read(gate.folder.path("state/learned.damaged"));
    assert_eq!(aside.unwrap(), bytes);
}

#[test]
fn a_second_damaged_store_does_not_replace_the_first() {
    let app = app();
    let folder = learned_by(&app, "127.0.0.5").kill();
    fs::write(folder.path(LOG), "second").unwrap();
    fs::write(folder.path("state/learned.damaged"), "first").unwrap();
    let gate = restarted(&app, folder);
    serves_and_says(&gate, "damaged", "cannot be moved aside");
    let folder = ended(gate);
    let read = |name| fs::read_to_string(folder.path(name)).unwrap();
    assert_eq!(read("state/learned.damaged"), "first");
    assert_eq!(read(LOG), "second");
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let app = app();
    let folder = learned_by(&app, "127.0.0.5").kill();
    let mut newer = b"TGLEARN\n\x09\0\0\0".to_vec();
    newer.extend(crc32fast::hash(&newer).to_le_bytes());
    newer.extend(b"what it holds");
    fs::write(folder.path(LOG), &newer).unwrap();
    let gate = restarted(&app, folder);
    serves_and_says(&gate, "newer_version", "version 9");
    let folder = ended(gate);
    assert_eq!(fs::read(folder.path(LOG)).unwrap(), newer);
}

#[test]
fn a_store_that_cannot_be_read_is_left_alone() {
    let app = app();
    let folder = learned_by(&app, "127.0.0.5").kill();
    fs::remove_file(folder.path(LOG)).unwrap();
    fs::create_dir(folder.path(LOG)).unwrap();
    let gate = restarted(&app, folder);
    serves_and_says(&gate, "unreadable", "not a regular file");
    assert!(ended(gate).path(LOG).is_dir());
}

#[test]
fn a_full_disk_keeps_nobody_from_becoming_known() {
    let app = app();
    let folder = learned_by(&app, "127.0.0.5").kill();
    let before = fs::read(folder.path(LOG)).unwrap();
    // Where the store is written anew, the disk is full.
    symlink("/dev/full", folder.path("state/learned.log.new")).unwrap();
    let gate = restarted(&app, folder);
    serves_and_says(&gate, "unwritable", "No space left");
    assert_eq!(learned(&gate), 2.0);
    let now = fs::read(gate.folder.path(LOG)).unwrap();
    assert_eq!(now, before, "it stays as it was");
    // What stood for the full disk is gone: there is room again.
    let gate = restarted(&app, ended(gate));
    assert_eq!(learned(&gate), 2.0);
    assert_eq!(problem(&gate, "unwritable"), 0.0);
}

#[test]
fn a_read_only_folder_keeps_nobody_from_becoming_known() {
    let app = app();
    let folder = learned_by(&app, "127.0.0.5").kill();
    let state = folder.path("state");
    let allow = |mode| fs::set_permissions(&state, fs::Permissions::from_mode(mode)).unwrap();
    allow(0o500);
    // Root may write anyway.
    let is_root = fs::write(state.join("probe"), "").is_ok();
    let gate = restarted(&app, folder);
    if !is_root {
        serves_and_says(&gate, "unwritable", "Permission denied");
        assert_eq!(learned(&gate), 2.0);
    }
    allow(0o700);
}
