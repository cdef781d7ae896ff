//! Moves that outlive reloads, restarts, crashes and the disk.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::thread;

use super::{TENANTS, assert_says, gate_of, left, moved, set, tier_of, tiers};
use crate::harness::{App, Folder, Gate, eventually};

/// `O_NONBLOCK`: a pipe that nobody reads is not waited for.
const NONBLOCK: i32 = 0o4000;

fn pipe(folder: &Folder, name: &str) {
    let path = folder.path(name);
    let _ = fs::remove_file(&path);
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success(), "mkfifo {}", path.display());
}

/// The writing end of a pipe, once somebody reads it.
fn reader_of(folder: &Folder, name: &str) -> fs::File {
    let mut opened = None;
    eventually("the pipe to be read", || {
        let path = folder.path(name);
        let file = fs::File::options()
            .write(true)
            .custom_flags(NONBLOCK)
            .open(path);
        opened = file.ok();
        opened.is_some()
    });
    opened.unwrap()
}

#[test]
fn a_move_survives_a_kill_right_after_the_answer() {
    let (app, gate) = gate_of(TENANTS);
    let arguments = [
        "tenant", "set", "shop", "generous", "--for", "1h", "--reason", "sale",
    ];
    gate.verb(&arguments).good();
    let gate = Gate::start_in(gate.kill(), &tiers(&app, TENANTS));
    assert_eq!(left(&gate, "shop.example"), 10);
    let list = gate.verb(&["tenant", "list", "shop"]).good();
    assert_says(
        &list,
        &["generous", "operator", "until ", "sale", "cart.example"],
    );
    gate.verb(&["tenant", "unset", "shop"]).good();
    let gate = Gate::start_in(gate.kill(), &tiers(&app, TENANTS));
    assert_eq!(left(&gate, "shop.example"), 5);
}

#[test]
fn a_move_that_ended_while_the_gate_was_down_does_not_come_back() {
    let (app, gate) = gate_of(TENANTS);
    let arguments = [
        "tenant", "set", "acme", "generous", "--for", "1s", "-o", "json",
    ];
    let until = gate.verb(&arguments).json()["until"].as_u64().unwrap();
    let folder = gate.kill();
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    eventually("the end to pass", || now().unwrap().as_secs() >= until);
    let gate = Gate::start_in(folder, &tiers(&app, TENANTS));
    assert_eq!(left(&gate, "acme"), 5);
    // It may have ended before the kill, too.
    let gate = Gate::start_in(gate.kill(), &tiers(&app, TENANTS));
    assert!(!gate.has_said("acme"), "told again: {:#?}", gate.messages());
}

#[test]
fn a_reload_that_takes_the_tier_away_is_refused_with_the_way_out() {
    let (app, gate) = gate_of(TENANTS);
    set(&gate, "acme", "generous");
    let without = tiers(&app, TENANTS).replace("generous", "huge");
    gate.folder.configure(&without);
    let output = gate.verb(&["reload"]);
    assert_eq!(output.code, 1, "{output:#?}");
    let parts = [
        "\"acme\"",
        "\"generous\"",
        "tidegate tenant unset acme",
        "nothing was changed",
    ];
    assert_says(&output.stderr, &parts);
    assert_eq!(left(&gate, "acme"), 10);
    gate.verb(&["tenant", "unset", "acme"]).good();
    gate.verb(&["reload"]).good();
    set(&gate, "acme", "huge");
}

#[test]
fn a_start_without_the_tier_warns_and_lets_the_tenant_return() {
    let (app, gate) = gate_of(TENANTS);
    set(&gate, "acme", "generous");
    set(&gate, "other", "strict");
    let without = tiers(&app, TENANTS).replace("generous", "huge");
    let gate = Gate::start_in(gate.kill(), &without);
    let said = "tenant \"acme\" is no longer in tier generous: the configuration has no such tier";
    gate.says(said);
    assert_eq!(moved(&gate), 1);
    assert_eq!([left(&gate, "acme"), left(&gate, "other")], [5, 2]);
    let gate = Gate::start_in(gate.kill(), &tiers(&app, TENANTS));
    assert_eq!(tier_of(&gate, "acme"), "normal", "what was let go stays so");
}

#[test]
fn damaged_moves_are_set_aside() {
    let app = App::echoing_paths();
    for contents in [
        b"".to_vec(),
        b"[{\"name\": \"acme\", \"tier\": ".to_vec(),
        b"{\"acme\": \"generous\"}".to_vec(),
        b"[{\"name\": 7, \"tier\": \"generous\"}]".to_vec(),
        vec![b'['; 100_000],
        vec![0xff; 100],
    ] {
        let folder = Folder::new();
        fs::create_dir(folder.path("state")).unwrap();
        folder.write("state/tenants.json", &contents);
        let gate = Gate::start_in(folder, &tiers(&app, TENANTS));
        gate.says("tenants.json: damaged");
        let aside = fs::read(gate.folder.path("state/tenants.damaged")).unwrap();
        assert_eq!(aside, contents, "what could be recovered is kept");
        assert_eq!(moved(&gate), 0);
        set(&gate, "acme", "generous");
        let gate = Gate::start_in(gate.kill(), &tiers(&app, TENANTS));
        assert_eq!(moved(&gate), 1);
    }
}

#[test]
fn a_pipe_in_the_place_of_the_moves_does_not_hold_the_start_up() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    fs::create_dir(folder.path("state")).unwrap();
    pipe(&folder, "state/tenants.json");
    let gate = Gate::start_in(folder, &tiers(&app, TENANTS));
    gate.says("tenants.json: cannot be read");
    assert_eq!(left(&gate, "acme"), 5);
}

#[test]
fn a_move_that_cannot_be_written_down_is_in_force_with_a_warning() {
    let (_app, gate) = gate_of(TENANTS);
    // A folder in the new file's place stops even root, as a full disk or one that is read-only does.
    fs::create_dir(gate.folder.path("state/tenants.json.new")).unwrap();
    let output = set(&gate, "acme", "generous");
    let parts = [
        "warning",
        "tenants.json",
        "in force",
        "not survive a restart",
    ];
    assert_says(&output.stderr, &parts);
    assert_eq!(left(&gate, "acme"), 10);
    let output = set(&gate, "new.example", "generous");
    assert_says(&output.stderr, &["not survive a restart", "was not listed"]);
    fs::remove_dir(gate.folder.path("state/tenants.json.new")).unwrap();
    let output = gate.verb(&["tenant", "unset", "acme"]);
    assert_eq!(output.stderr, "", "{output:#?}");
}

#[test]
fn a_move_does_not_wait_for_a_reload() {
    let (app, gate) = gate_of(TENANTS);
    let next = format!("{TENANTS}\nnext = \"normal\"");
    let path = gate.folder.configure(&tiers(&app, &next));
    let text = fs::read(path).unwrap();
    // The reload reads its configuration from a pipe, so that it takes as long as this test wants.
    pipe(&gate.folder, "tidegate.toml");
    thread::scope(|scope| {
        let reload = scope.spawn(|| gate.verb(&["reload"]));
        let mut writing = reader_of(&gate.folder, "tidegate.toml");
        set(&gate, "acme", "generous");
        assert_eq!(left(&gate, "acme"), 10);
        assert!(!reload.is_finished());
        // It is read once more, for what is different.
        fs::rename(
            gate.folder.write("whole.toml", &text),
            gate.folder.path("tidegate.toml"),
        )
        .unwrap();
        writing.write_all(&text).unwrap();
        drop(writing);
        reload.join().unwrap().good();
    });
    assert_eq!(
        tier_of(&gate, "acme"),
        "generous",
        "the reload keeps the move"
    );
    assert_eq!(left(&gate, "next"), 5);
}
