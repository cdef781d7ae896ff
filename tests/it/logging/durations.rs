//! How long what took, in the lines of the access log.

use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{App, Gate, Latch, ROOMY, read_head, unused_address, with_upstream};

const CONNECTION: &str = "http.client.request.time_to_connection";
const FIRST_BYTE: &str = "http.client.request.time_to_first_byte";
const UPSTREAM: &str = "http.client.request.duration";
const WHOLE: &str = "http.server.request.duration";

/// Each that the line has, which has to be seconds.
fn durations(line: &Value) -> [Option<f64>; 4] {
    [CONNECTION, FIRST_BYTE, UPSTREAM, WHOLE].map(|name| {
        let seconds = line.get(name)?.as_f64().expect("a number");
        assert!((0.0..20.0).contains(&seconds), "{name}: {line:#}");
        Some(seconds)
    })
}

#[test]
fn a_line_says_when_the_app_was_reached_when_it_began_to_answer_and_when_it_was_done() {
    const EACH: Duration = Duration::from_millis(200);
    let seen = Latch::new();
    let waiting = seen.clone();
    let app = App::accepting(move |mut stream| {
        read_head(&mut stream);
        sleep(EACH);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
        waiting.wait();
        sleep(EACH);
        let _ = stream.write_all(b"body");
    });
    let gate = Gate::before(&app, ROOMY);
    let mut client = gate.connect();
    client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    assert_eq!(client.read_head().expect("a head").status, 200);
    seen.open();
    assert_eq!(client.read_to_end(), b"body");
    let line = &gate.log(1)[0];
    let [connection, first_byte, upstream, whole] = durations(line).map(Option::unwrap);
    assert!(first_byte >= connection + EACH.as_secs_f64(), "{line:#}");
    assert!(upstream >= first_byte + EACH.as_secs_f64(), "{line:#}");
    assert!(whole >= upstream, "{line:#}");
}

#[test]
fn what_did_not_happen_has_no_duration() {
    let down = Gate::start(&with_upstream(&[unused_address()], ROOMY));
    assert_eq!(down.get("/").status, 502);
    let is_there = |gate: &Gate| durations(&gate.log(1)[0]).map(|it| it.is_some());
    assert_eq!(is_there(&down), [false, false, true, true]);

    let broken = App::accepting(|mut stream| drop(read_head(&mut stream)));
    let broken = Gate::before(&broken, ROOMY);
    assert_eq!(broken.get("/").status, 502);
    assert_eq!(is_there(&broken), [true, false, true, true]);

    let refusing = Gate::start(&with_upstream(&[unused_address()], ROOMY));
    let refused = refusing.send("TRACE / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(refused.status, 501, "{refused:?}");
    assert_eq!(is_there(&refusing), [false, false, false, true]);
}
