//! The end: requests under way are completed, nothing new is begun, and it takes no longer than said.

use std::time::{Duration, Instant};

use crate::harness::{App, Connection, Gate, Latch, Load, ROOMY, Reply, eventually};

/// An app that answers when the latch opens.
fn waiting(latch: &Latch) -> App {
    let latch = latch.clone();
    App::answering(move |request| {
        if request.path == "/slow" {
            latch.wait();
        }
        Reply::text(&request.path)
    })
}

fn begin(gate: &Gate, app: &App, count: usize) -> Vec<Connection> {
    let before = app.requests();
    let mut clients: Vec<_> = (0..count).map(|_| gate.connect()).collect();
    for client in &mut clients {
        client.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    eventually("the requests to reach the app", || {
        app.requests() == before + count as u64
    });
    clients
}

fn terminate(gate: &Gate) {
    gate.signal("TERM");
    eventually("the signal to be obeyed", || gate.has_said("draining "));
}

#[test]
fn requests_under_way_are_completed_and_nothing_new_is_begun() {
    let latch = Latch::new();
    let app = waiting(&latch);
    let mut gate = Gate::before(&app, ROOMY);
    let mut busy = begin(&gate, &app, 10);
    let mut idle = gate.connect();
    assert_eq!(idle.get("/").status, 200);
    terminate(&gate);
    eventually("new connections to be refused", || {
        Connection::try_open(gate.address).is_err()
    });
    assert!(idle.is_closed(), "an idle connection is closed");
    assert_eq!(gate.status()["draining"], true);
    let ready = Connection::open(gate.metrics).get("/readyz");
    assert_eq!((ready.status, ready.text().as_str()), (503, "draining\n"));
    assert_eq!(Connection::open(gate.metrics).get("/livez").status, 200);
    latch.open();
    for client in &mut busy {
        let response = client.response();
        assert_eq!((response.status, response.text().as_str()), (200, "/slow"));
        assert!(response.closes() || client.is_closed(), "{response:?}");
    }
    let status = gate.wait();
    assert!(status.success(), "{status}: {:#?}", gate.messages());
    gate.says("drained; goodbye");
}

#[test]
fn a_gate_with_nothing_to_do_ends_at_once() {
    for signal in ["TERM", "INT"] {
        let app = App::echoing_paths();
        let mut gate = Gate::before(&app, "");
        assert_eq!(gate.get("/").status, 200);
        let started = Instant::now();
        gate.signal(signal);
        assert!(gate.wait().success(), "{:#?}", gate.messages());
        let taken = started.elapsed();
        assert!(taken < Duration::from_secs(2), "{signal} took {taken:?}");
        assert!(
            !gate.folder.path("admin.sock").exists(),
            "its socket is left over"
        );
    }
}

#[test]
fn a_request_that_hangs_is_cut_at_the_deadline() {
    let latch = Latch::new();
    let app = waiting(&latch);
    let mut gate = Gate::before(&app, "[deadlines]\ndrain = \"1s\"\n");
    let mut busy = begin(&gate, &app, 1);
    let started = Instant::now();
    gate.signal("TERM");
    assert!(gate.wait().success(), "{:#?}", gate.messages());
    let taken = started.elapsed();
    assert!(
        (900..2500).contains(&taken.as_millis()),
        "it ended after {taken:?}"
    );
    assert!(busy[0].try_response().is_none());
    gate.says("1 connections are still open and are closed now");
    let lines = gate.log(1);
    assert_eq!(
        (lines[0]["outcome"].as_str(), lines[0]["reason"].as_str()),
        (Some("failed"), Some("drained"))
    );
    latch.open();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let latch = Latch::new();
    let app = waiting(&latch);
    let mut gate = Gate::before(&app, "[deadlines]\ndrain = \"1h\"\n");
    let _busy = begin(&gate, &app, 1);
    terminate(&gate);
    let started = Instant::now();
    gate.signal("TERM");
    assert!(gate.wait().success(), "{:#?}", gate.messages());
    let taken = started.elapsed();
    assert!(taken < Duration::from_secs(3), "it took {taken:?}");
    latch.open();
}

#[test]
fn a_body_that_is_still_being_sent_is_completed() {
    let app = App::answering(|request| Reply::text(&request.body.len().to_string()));
    let mut gate = Gate::before(&app, "");
    let mut client = gate.connect();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nfirst");
    eventually("the request to reach the app", || app.connections() == 1);
    terminate(&gate);
    client.send("later");
    assert_eq!(client.response().text(), "10");
    assert!(gate.wait().success());
}

#[test]
fn no_request_that_was_begun_fails_when_the_gate_goes_down_under_load() {
    let app = App::echoing_paths();
    let mut gate = Gate::before(&app, ROOMY);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let address = gate.address;
            std::thread::spawn(move || ask_until_closed(address))
        })
        .collect();
    eventually("the load to be under way", || app.requests() > 50);
    gate.signal("TERM");
    let asked: u64 = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    assert!(gate.wait().success());
    assert_eq!(
        app.requests(),
        asked,
        "each answered request, and no other, reached the app"
    );
}

/// Asks on one connection until the gate announces its end; every request must be answered.
fn ask_until_closed(gate: std::net::SocketAddr) -> u64 {
    let mut client = Connection::open(gate);
    let mut answered = 0;
    loop {
        let response = client.get("/");
        assert_eq!(response.status, 200);
        answered += 1;
        if response.closes() {
            return answered;
        }
    }
}

#[test]
fn the_load_of_a_gate_that_stays_is_not_disturbed_by_one_that_goes() {
    let app = App::echoing_paths();
    let stays = Gate::before(&app, ROOMY);
    let load = Load::from(&["127.0.0.1", "127.0.0.2"], &stays);
    let mut goes = Gate::before(&app, ROOMY);
    load.wait_for(10);
    goes.signal("TERM");
    assert!(goes.wait().success());
    load.wait_for(10);
    let tally = load.stop();
    assert_eq!(tally.other_than(200), 0, "{tally:?}");
}
