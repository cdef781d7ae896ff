//! Requests that are sent before the last one was answered.

use crate::harness::{App, Gate, Latch, ROOMY, Reply, eventually};

/// An app that says what it was asked for and with which body.
fn saying() -> App {
    App::answering(|request| {
        let body = String::from_utf8_lossy(&request.body);
        Reply::text(&format!("{} {} {body}", request.method, request.path))
    })
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

#[test]
fn requests_in_one_write_are_answered_in_their_order() {
    let app = saying();
    let gate = Gate::before(&app, ROOMY);
    let mut client = gate.connect();
    let paths: Vec<String> = (0..50).map(|number| format!("/{number}")).collect();
    let all: String = paths.iter().map(|path| get(path)).collect();
    client.send(all);
    for path in paths {
        assert_eq!(client.response().text(), format!("GET {path} "));
    }
    assert_eq!(app.requests(), 50);
}

#[test]
fn a_request_behind_a_body_in_the_same_write_is_answered() {
    let app = saying();
    let gate = Gate::before(&app, ROOMY);
    let mut client = gate.connect();
    let post = "POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nfirst";
    client.send(format!("{post}{}{post}{}", get("/b"), get("/c")));
    for said in ["POST /a first", "GET /b ", "POST /a first", "GET /c "] {
        assert_eq!(client.response().text(), said);
    }
}

#[test]
fn a_request_behind_a_chunked_body_in_the_same_write_is_answered() {
    let app = saying();
    let gate = Gate::before(&app, ROOMY);
    let mut client = gate.connect();
    let post = "POST /a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\
                3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n";
    client.send(format!("{post}{}{post}{}", get("/b"), get("/c")));
    for said in ["POST /a onetwo", "GET /b ", "POST /a onetwo", "GET /c "] {
        assert_eq!(client.response().text(), said);
    }
}

#[test]
fn a_request_that_is_sent_while_another_is_answered_waits_for_its_turn() {
    let (app, latch) = App::waiting_at_slow();
    let gate = Gate::before(&app, ROOMY);
    let mut client = gate.connect();
    client.send(get("/slow"));
    eventually("the first request to reach the app", || app.requests() == 1);
    client.send(get("/early"));
    client.send(get("/earlier"));
    latch.open();
    for path in ["/slow", "/early", "/earlier"] {
        assert_eq!(client.response().text(), path);
    }
}

#[test]
fn more_early_bytes_than_the_gate_keeps_wait_in_the_kernel() {
    let latch = Latch::new();
    let waiting = latch.clone();
    let app = App::answering(move |request| {
        waiting.wait();
        Reply::text(&request.body.len().to_string())
    });
    let gate = Gate::before(&app, ROOMY);
    let (mut client, mut sender) = gate.connect().split();
    let body = "x".repeat(10_000);
    let post = format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10000\r\n\r\n{body}");
    sender.send(&post);
    eventually("the first request to reach the app", || app.requests() == 1);
    let sending = std::thread::spawn(move || sender.send(post.repeat(20)));
    latch.open();
    for _ in 0..21 {
        assert_eq!(client.response().text(), "10000");
    }
    sending.join().unwrap();
}

#[test]
fn each_pipelined_request_is_limited_for_itself() {
    let app = saying();
    let gate = Gate::before(
        &app,
        "[client]\nlimit = { rate = \"1/h\", burst = 3 }\nconnections = 9",
    );
    let mut client = gate.connect();
    client.send(get("/").repeat(8));
    let statuses: Vec<u16> = (0..8).map(|_| client.response().status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429, 429, 429, 429]);
    assert_eq!(app.requests(), 3);
}

#[test]
fn a_pipelined_request_that_is_malformed_ends_the_connection_after_the_good_ones() {
    let app = saying();
    let gate = Gate::before(&app, ROOMY);
    let mut client = gate.connect();
    client.send(format!(
        "{}GET no-slash HTTP/1.1\r\nHost: test\r\n\r\n{}",
        get("/good"),
        get("/")
    ));
    assert_eq!(client.response().text(), "GET /good ");
    let refused = client.response();
    assert_eq!((refused.status, refused.closes()), (400, true));
    assert!(client.is_closed());
    assert_eq!(app.requests(), 1, "nothing behind it was served");
}
