//! What the switch to `known-only` does to connections that are open, and when it is refused.

use std::time::{Duration, Instant};

use crate::harness::{App, Connection, Gate, Latch, ROOMY, eventually};

/// A gate that knows 127.0.0.1, before an app that keeps `/slow` waiting.
fn knowing_one() -> (App, Latch, Gate) {
    let (app, latch) = App::waiting_at_slow();
    let gate = Gate::before(&app, ROOMY);
    gate.verb(&["known", "add", "127.0.0.1"]).good();
    (app, latch, gate)
}

#[test]
fn idle_connections_of_strangers_end_at_the_switch_and_others_stay() {
    let (_app, _latch, gate) = knowing_one();
    let mut stranger = Connection::open_from("127.0.0.2", gate.address);
    let mut customer = gate.connect();
    assert_eq!(
        [stranger.get("/").status, customer.get("/").status],
        [200; 2]
    );
    let mut silent = Connection::open_from("127.0.0.3", gate.address);
    eventually("all are let in", || {
        gate.metric("tidegate_connections_open") == 3.0
    });
    let began = Instant::now();
    gate.verb(&["mode", "known-only"]).good();
    assert!(stranger.is_closed() && silent.is_closed());
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(
        customer.get("/").status,
        200,
        "a customer's connection stays"
    );
    assert_eq!(gate.ended("shut_out"), 2.0);
}

#[test]
fn a_stranger_gets_the_response_it_waits_for_and_then_the_end() {
    let (app, latch, gate) = knowing_one();
    let mut stranger = Connection::open_from("127.0.0.2", gate.address);
    stranger.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("it is at the app", || app.requests() == 1);
    gate.verb(&["mode", "known-only"]).good();
    latch.open();
    let response = stranger.response();
    assert_eq!(response.status, 200);
    assert_eq!(response.field("connection"), Some("close"));
    assert!(stranger.is_closed());
    eventually("it is counted", || gate.ended("shut_out") == 1.0);
}

#[test]
fn a_switch_with_fewer_customers_than_there_have_to_be_needs_force() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "[known_only]\nminimum = 3\n");
    gate.verb(&["known", "add", "127.0.0.1"]).good();
    let refused = gate.verb(&["mode", "known-only"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    for word in ["1 known prefixes", "known_only.minimum is 3", "--force"] {
        assert!(refused.stderr.contains(word), "{}", refused.stderr);
    }
    assert_eq!(gate.status()["mode"]["mode"], "normal");
    gate.verb(&["mode", "known-only", "--force"]).good();
}

#[test]
fn the_end_of_a_mode_is_announced() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    gate.verb(&["mode", "observe", "--for", "30s"]).good();
    eventually("it is announced", || {
        let messages = gate.messages();
        messages
            .iter()
            .any(|line| line.contains("mode observe ends in"))
    });
}
