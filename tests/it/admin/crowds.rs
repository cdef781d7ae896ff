//! Crowds of clients of the admin side that are slow, by accident or not: whoever asks and reads is
//! answered all the same.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::api::{ask, socket};
use super::gate;
use crate::harness::{Connection, Gate};

/// More than there are places.
const CROWD: usize = 200;
/// What an operator would call an answer.
const SOON: Duration = Duration::from_secs(2);

fn is_answered_soon(gate: &Gate, beside: &str) {
    let began = Instant::now();
    let (status, _, answer) = ask(gate, "GET", "/v1/status", "");
    assert_eq!(status, 200, "beside {beside}: {answer}");
    assert_eq!(
        Connection::open(gate.metrics).get("/readyz").status,
        200,
        "beside {beside}"
    );
    let took = began.elapsed();
    assert!(took < SOON, "an answer took {took:?} beside {beside}");
}

#[test]
fn whoever_asks_is_answered_beside_crowds_that_do_not_go_on() {
    let (_app, gate) = gate();
    for (crowd, bytes) in [
        ("silent ones", &b""[..]),
        ("heads that do not end", b"GET /v1/status HTTP/1.1\r\nHost: a\r\nX: "),
        (
            "bodies that do not end",
            b"POST /v1/mode HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
        ),
        (
            "bodies of no known length",
            b"POST /v1/mode HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        ),
        ("idle ones", b"GET /v1/mode HTTP/1.1\r\nHost: a\r\n\r\n"),
    ] {
        let mut slow: Vec<_> = (0..CROWD).map(|_| socket(&gate)).collect();
        let mut scrapers: Vec<_> = (0..CROWD).map(|_| Connection::open(gate.metrics)).collect();
        for (stream, scraper) in slow.iter_mut().zip(&mut scrapers) {
            // An error means that its place was needed already.
            let _ = stream.write_all(bytes);
            let _ = scraper.try_send(bytes);
        }
        is_answered_soon(&gate, crowd);
    }
    let ended = gate.status()["admin"]["ended_for_others"].as_u64();
    assert!(ended > Some(0), "nobody was ended: {ended:?}");
}

#[test]
fn whoever_does_not_read_goes_when_its_place_is_needed() {
    let (_app, gate) = gate();
    let request = b"GET /v1/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n".repeat(50);
    let mut deaf: Vec<_> = (0..CROWD).map(|_| socket(&gate)).collect();
    for stream in &mut deaf {
        let _ = stream.write_all(&request);
    }
    is_answered_soon(&gate, "those who do not read");
}

#[test]
fn a_slow_client_is_ended_also_when_nobody_needs_its_place() {
    let (_app, gate) = gate();
    for bytes in [
        &b"GET /v1/sta"[..],
        b"POST /v1/mode HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
    ] {
        let mut slow = socket(&gate);
        slow.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        let ended = slow.read_to_end(&mut answer);
        assert!(ended.is_ok(), "it is still there: {ended:?}");
    }
}
