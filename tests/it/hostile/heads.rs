//! Heads that come slowly, in pieces, or never whole.

use super::*;
use crate::harness::ROOMY;

#[test]
fn a_head_that_comes_byte_by_byte_is_answered_at_its_deadline() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, IMPATIENT);
    let mut connection = gate.connect();
    let started = Instant::now();
    for byte in b"GET / HTTP/1.1\r\nHost: test\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" {
        if started.elapsed() > Duration::from_millis(400) || connection.try_send([*byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(connection.response().status, 408);
    assert!(connection.is_closed());
    assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());
    assert_eq!(gate.requests("refused", "head_timeout"), 1.0);
    assert_unharmed(&gate);
}

#[test]
fn empty_lines_do_not_put_the_deadline_off() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, IMPATIENT);
    let mut connection = gate.connect();
    let started = Instant::now();
    while started.elapsed() < IN_TIME && connection.try_send("\r\n").is_ok() {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(
        started.elapsed() < IN_TIME,
        "still open after {:?}",
        started.elapsed()
    );
    assert_unharmed(&gate);
}

#[test]
fn thousands_of_tiny_segments_are_one_request() {
    let app = App::answering(|request| Reply::text(&request.body.len().to_string()));
    let patient = IMPATIENT.replace("request_header = \"300ms\"", "request_header = \"10s\"");
    let gate = Gate::before(&app, &patient);
    let mut connection = gate.connect();
    let value = "v".repeat(2_000);
    let body = "b".repeat(2_000);
    let bytes = format!(
        "POST / HTTP/1.1\r\nHost: test\r\nX: {value}\r\nContent-Length: 2000\r\n\r\n{body}"
    );
    for byte in bytes.bytes() {
        connection.send([byte]);
    }
    assert_eq!(connection.response().text(), "2000");
    drop(connection);
    assert_unharmed(&gate);
}

#[test]
fn half_heads_do_not_make_memory_grow_without_bound() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, IMPATIENT);
    let head = format!("GET / HTTP/1.1\r\nHost: test\r\nX: {}", "a".repeat(60_000));
    let round = || {
        let mut connections: Vec<Connection> = (0..100).map(|_| gate.connect()).collect();
        for connection in &mut connections {
            let _ = connection.try_send(&head);
        }
        drop(connections);
        eventually("they are gone", || {
            gate.metric("tidegate_connections_open") == 0.0
        });
    };
    round();
    let before = gate.memory();
    for _ in 0..5 {
        round();
    }
    let grown = gate.memory().saturating_sub(before);
    assert!(
        grown < 24 * 1024,
        "{grown} kB more after five times the same"
    );
    assert_unharmed(&gate);
}

#[test]
fn empty_lines_without_a_request_are_refused() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, ROOMY);
    let mut client = gate.connect();
    client.send("\r\n\r\nGET /after HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.response().text(), "/after");
    let mut client = gate.connect();
    client.send("\r\n".repeat(100));
    assert_eq!(client.response().status, 400);
    assert!(client.is_closed());
}
