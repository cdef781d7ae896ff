//! Modes: who is served in `known-only`, from when on, for how long, and what survives.

mod at_once;

use std::time::{Duration, Instant};

use crate::harness::{
    App, Connection, Folder, Gate, Load, Output, ROOMY, eventually, with_upstream,
};

const KNOWN: &str = "127.0.0.9";

/// With a path that stays open, strangers are let in and told at the request that they are shut out.
const OPEN: &str = "[known_only]\nexempt_paths = [\"/login\", \"/healthz\"]\n";

/// A gate that knows `KNOWN` and whoever else is in this file.
fn knowing(file: &str, more: &str) -> (App, Gate) {
    let app = App::echoing_paths();
    let folder = Folder::new();
    folder.write("known.txt", format!("{file}\n"));
    let open = if more.contains("[known_only]") {
        ""
    } else {
        OPEN
    };
    let config = format!("{ROOMY}{more}{open}[known]\nfiles = [\"known.txt\"]\n");
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], &config));
    (app, gate)
}

fn known_only(gate: &Gate, more: &[&str]) {
    let arguments = [&["mode", "known-only", "--reason", "a test"], more].concat();
    gate.verb(&arguments).good();
}

fn mode_of(gate: &Gate) -> String {
    let record = gate.verb(&["mode", "-o", "json"]).json();
    record["mode"].as_str().unwrap().to_owned()
}

fn unknown_refused(gate: &Gate) -> f64 {
    gate.requests("refused", "unknown_client")
}

#[test]
fn unknown_clients_are_refused_from_their_next_request_on() {
    let (app, gate) = knowing(KNOWN, "");
    let mut stranger = gate.connect();
    let mut customer = Connection::open_from(KNOWN, gate.address);
    assert_eq!(stranger.get("/").status, 200);
    assert_eq!(customer.get("/").status, 200);
    known_only(&gate, &[]);
    let refusal = stranger.get("/");
    assert_eq!(
        (refusal.status, refusal.reason().as_str()),
        (503, "unknown_client")
    );
    let again: u64 = refusal.field("retry-after").unwrap().parse().unwrap();
    assert!((30..=60).contains(&again), "Retry-After: {again}");
    assert_eq!(refusal.field("cache-control"), Some("no-store"));
    assert!(!refusal.closes(), "{refusal:?}");
    assert_eq!(customer.get("/").status, 200);
    assert_eq!(gate.get("/").status, 503, "a new connection");
    assert_eq!(app.requests(), 3, "refusals never reach the app");
    assert_eq!(unknown_refused(&gate), 2.0);
}

#[test]
fn a_browser_is_shown_a_page() {
    let (_app, gate) = knowing(KNOWN, "");
    known_only(&gate, &[]);
    let page = gate.connect().get_with("/", &["Accept: text/html"]);
    assert_eq!(page.status, 503);
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("known customers"), "{}", page.text());
}

#[test]
fn files_and_operators_make_customers_known() {
    let (_app, gate) = knowing("# customers\n127.0.0.9\n127.1.0.0/16 # an office\n\n", "");
    known_only(&gate, &[]);
    let status = |source| Connection::open_from(source, gate.address).get("/").status;
    assert_eq!([status("127.0.0.9"), status("127.1.2.3")], [200, 200]);
    assert_eq!([status("127.0.0.8"), status("127.2.0.1")], [503, 503]);
    let mut waiting = Connection::open_from("127.0.0.8", gate.address);
    assert_eq!(waiting.get("/").status, 503);
    let said = gate.verb(&["known", "add", "127.0.0.8"]).good();
    assert!(said.contains("127.0.0.8"), "{said}");
    assert_eq!(waiting.get("/").status, 200, "from the next request on");
    gate.verb(&["known", "remove", "127.0.0.8"]).good();
    assert_eq!(waiting.get("/").status, 503);
    assert_eq!(gate.metric("tidegate_known_prefixes{source=\"file\"}"), 2.0);
}

#[test]
fn exempt_paths_stay_open_to_everybody() {
    let (_app, gate) = knowing(KNOWN, "");
    known_only(&gate, &[]);
    let mut stranger = gate.connect();
    for (path, status) in [
        ("/login", 200),
        ("/login/form?x=1", 200),
        ("/healthz", 200),
        ("/%6cogin", 200),
        ("/logins", 503),
        ("/", 503),
        ("/x/login", 503),
        ("/?/login", 503),
    ] {
        assert_eq!(stranger.get(path).status, status, "{path}");
    }
    assert_eq!(stranger.get("/login/../secret").status, 400);
}

#[test]
fn the_limits_hold_for_known_clients_too() {
    let app = App::echoing_paths();
    let config = "[client]\nlimit = { rate = \"1/h\", burst = 2 }\n";
    let gate = Gate::before(&app, config);
    gate.verb(&["known", "add", KNOWN]).good();
    known_only(&gate, &[]);
    let mut customer = Connection::open_from(KNOWN, gate.address);
    let statuses = [0; 4].map(|_| customer.get("/").status);
    assert_eq!(statuses, [200, 200, 429, 429]);
}

#[test]
fn it_ends_by_itself_and_the_mode_before_returns() {
    let (_app, gate) = knowing(KNOWN, "");
    gate.verb(&["mode", "observe"]).good();
    let started = Instant::now();
    known_only(&gate, &["--for", "1s"]);
    assert_eq!(gate.get("/").status, 503);
    eventually("the mode before to return", || gate.get("/").status == 200);
    assert!(started.elapsed() < Duration::from_secs(3), "it ended late");
    assert_eq!(mode_of(&gate), "observe");
    assert_eq!(gate.metric("tidegate_mode{mode=\"observe\"}"), 1.0);
    assert_eq!(gate.metric("tidegate_mode_end_timestamp_seconds"), 0.0);
    gate.says("mode known-only has ended");
}

#[test]
fn it_survives_a_crash_with_the_time_that_is_left() {
    let (app, gate) = knowing(KNOWN, "");
    known_only(&gate, &["--for", "1h"]);
    let before = gate.verb(&["mode", "-o", "json"]).json();
    gate.verb(&["known", "add", "127.0.0.7", "--reason", "a friend"])
        .good();
    let folder = gate.kill();
    let config = format!("{ROOMY}{OPEN}[known]\nfiles = [\"known.txt\"]\n");
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], &config));
    assert_eq!(gate.verb(&["mode", "-o", "json"]).json(), before);
    assert_eq!(gate.get("/").status, 503);
    let status = |source| Connection::open_from(source, gate.address).get("/").status;
    assert_eq!([status(KNOWN), status("127.0.0.7")], [200, 200]);
    assert_eq!(
        gate.metric("tidegate_mode_end_timestamp_seconds"),
        before["until"].as_f64().unwrap()
    );
}

#[test]
fn what_ended_while_the_gate_was_down_does_not_come_back() {
    let (app, gate) = knowing(KNOWN, "");
    known_only(&gate, &["--for", "1s"]);
    let until = gate.verb(&["mode", "-o", "json"]).json()["until"]
        .as_u64()
        .unwrap();
    let folder = gate.kill();
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    eventually("the end to pass", || now().unwrap().as_secs() >= until);
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], ROOMY));
    assert_eq!(mode_of(&gate), "normal");
    assert_eq!(gate.get("/").status, 200);
}

#[test]
fn it_is_refused_while_nobody_is_known() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &format!("{ROOMY}{OPEN}"));
    let output = gate.verb(&["mode", "known-only"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert_eq!(output.stdout, "");
    for word in ["known set is empty", "known add", "--force"] {
        assert!(output.stderr.contains(word), "{}", output.stderr);
    }
    assert_eq!(mode_of(&gate), "normal");
    assert_eq!(gate.get("/").status, 200);
    known_only(&gate, &["--force"]);
    assert_eq!(gate.get("/").status, 503);
}

#[test]
fn the_mode_is_shown_with_its_end_and_reason() {
    let (_app, gate) = knowing(KNOWN, "");
    assert!(gate.verb(&["mode"]).good().starts_with("normal"));
    let said = gate
        .verb(&[
            "mode",
            "known-only",
            "--for",
            "30m",
            "--reason",
            "the flood of tonight",
        ])
        .good();
    for text in [said, gate.verb(&["mode"]).good()] {
        for word in [
            "known-only for another ",
            "then normal",
            "the flood of tonight",
        ] {
            assert!(text.contains(word), "no {word:?} in {text}");
        }
    }
    let record = gate.verb(&["mode", "-o", "json"]).json();
    assert_eq!(record["mode"], "known-only");
    assert_eq!(record["before"], "normal");
    assert_eq!(record["reason"], "the flood of tonight");
    let lasting = record["until"].as_u64().unwrap() - record["since"].as_u64().unwrap();
    assert_eq!(lasting, 30 * 60);
    assert_eq!(gate.status()["mode"], record);
    let status = gate.verb(&["status"]).good();
    assert!(status.contains("known-only for another"), "{status}");
}

#[test]
fn it_has_an_end_unless_that_is_asked_for() {
    let (_app, gate) = knowing(KNOWN, "[known_only]\nfor = \"10m\"\n");
    known_only(&gate, &[]);
    let record = gate.verb(&["mode", "-o", "json"]).json();
    let lasting = record["until"].as_u64().unwrap() - record["since"].as_u64().unwrap();
    assert_eq!(lasting, 600, "the configured time");
    known_only(&gate, &["--for", "forever"]);
    let record = gate.verb(&["mode", "-o", "json"]).json();
    assert_eq!(record["until"], serde_json::Value::Null);
    assert!(gate.verb(&["mode"]).good().contains("until it is switched"));
    gate.verb(&["mode", "normal"]).good();
    assert_eq!(gate.get("/").status, 200);
}

#[test]
fn nonsense_is_a_usage_error_and_changes_nothing() {
    let (_app, gate) = knowing(KNOWN, "");
    for arguments in [
        &["mode", "panic"] as &[&str],
        &["mode", "known-only", "--for", "soon"],
        &["mode", "known-only", "--for", "0s"],
        &["mode", "--for", "5m"],
    ] {
        let Output {
            code,
            stdout,
            stderr,
        } = gate.verb(arguments);
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(stderr.contains("--help"), "{arguments:?}: {stderr}");
    }
    let output = gate.verb(&["known", "add", "127.0.0.300"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert_eq!(mode_of(&gate), "normal");
}

#[test]
fn no_request_of_a_known_client_fails_while_the_mode_is_switched_under_load() {
    let (_app, gate) = knowing("127.9.0.0/16", "");
    let customers = Load::from(&["127.9.0.1", "127.9.0.2", "127.9.0.3"], &gate);
    let flood = Load::from(&["127.0.0.1", "127.0.0.2", "127.0.0.3"], &gate);
    customers.wait_for(20);
    flood.wait_for(20);
    for _ in 0..3 {
        known_only(&gate, &[]);
        let refused = unknown_refused(&gate);
        customers.wait_for(20);
        eventually("the flood to be refused", || {
            unknown_refused(&gate) > refused
        });
        gate.verb(&["mode", "normal"]).good();
        customers.wait_for(20);
    }
    known_only(&gate, &[]);
    flood.wait_for(10);
    let late = Load::from(&["127.0.0.4"], &gate);
    late.wait_for(20);
    assert_eq!(
        late.stop().other_than(503),
        0,
        "after the switch strangers get 503"
    );
    let flood = flood.stop();
    assert_eq!(flood.other_than(200), flood.of(503), "{flood:?}");
    assert!(flood.of(503) > 0, "{flood:?}");
    let customers = customers.stop();
    assert_eq!(customers.other_than(200), 0, "{customers:?}");
}
