//! Clients that are slow, and connections that nobody uses: each is ended at its deadline, and a
//! counter names it. What is not the client's fault ends nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::{App, Connection, Gate, Reply, eventually, read_head};

/// A deadline, and what a busy machine may add to it.
const IN_TIME: Duration = Duration::from_millis(400 + 1000);

/// Deadlines of 400 ms, and these rates.
fn deadlines(request_rate: &str, response_rate: &str) -> String {
    format!(
        "[client]\nlimit = {{ rate = \"100000/s\", burst = 100000 }}\nconnections = 1000\n\
         requests_per_connection = 1000000\n[deadlines]\nrequest_header = \"400ms\"\nkeepalive = \"400ms\"\n\
         request_body_idle = \"400ms\"\nrequest_body_rate = \"{request_rate}\"\n\
         response_body_idle = \"400ms\"\nresponse_body_rate = \"{response_rate}\"\n\
         upgraded_idle = \"400ms\"\n"
    )
}

fn eventually_closed(gate: &Gate, reason: &str, count: f64) {
    eventually(&format!("{count} closed as {reason}"), || {
        gate.ended(reason) == count
    });
}

/// An app that sends this many bytes without end of patience, or as many as are taken.
fn sending(mebibytes: usize) -> App {
    App::answering(move |_| {
        Reply::Takeover(Box::new(move |mut stream: TcpStream| {
            let length = mebibytes << 20;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
            let piece = vec![b'x'; 1 << 20];
            let _ = (0..mebibytes).try_for_each(|_| stream.write_all(&piece));
        }))
    })
}

/// Reads this much after each `every` until the gate ends it or the time is over; whether it goes on.
fn read_slowly(connection: &Connection, piece: usize, every: Duration, time: Duration) -> bool {
    let started = Instant::now();
    let mut space = vec![0; piece];
    while started.elapsed() < time {
        std::thread::sleep(every);
        if !matches!(connection.stream().read(&mut space), Ok(1..)) {
            return false;
        }
    }
    true
}

#[test]
fn a_body_below_the_minimum_rate_is_ended_though_it_is_never_idle() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &deadlines("1KiB/s", "off"));
    let length = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n";
    let chunked = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n";
    for (count, head) in [(1.0, length), (2.0, chunked)] {
        let (mut connection, mut sender) = gate.connect().split();
        connection.send(head);
        let started = Instant::now();
        let trickle = std::thread::spawn(move || {
            // A byte in each 20 ms is 50 bytes a second, and 20 of them in each idle deadline.
            while started.elapsed() < IN_TIME && sender.try_send("x").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let response = connection.response();
        assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());
        assert_eq!(response.status, 408);
        assert_eq!(response.reason(), "body_too_slow");
        assert!(connection.is_closed());
        trickle.join().unwrap();
        eventually("it is counted", || {
            gate.requests("failed", "body_too_slow") == count
        });
    }
    assert_eq!(app.requests(), 0, "the app got a whole request");
}

#[test]
fn a_body_that_stops_is_ended_though_the_app_goes_on_answering() {
    let app = App::accepting(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        // Pingora's own deadline of a read starts anew with each part of the response.
        while stream.write_all(b"1\r\nx\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let gate = Gate::before(&app, &deadlines("off", "off"));
    let mut connection = gate.connect();
    connection.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc");
    let started = Instant::now();
    assert!(connection.try_response().is_none(), "broken off");
    assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());
    eventually("it is counted", || {
        gate.requests("failed", "body_timeout") == 1.0
    });
}

#[test]
fn an_app_that_takes_a_body_slowly_is_not_the_clients_fault() {
    const LENGTH: usize = 24 << 20;
    let app = App::accepting(|mut stream| {
        read_head(&mut stream);
        std::thread::sleep(Duration::from_millis(1500));
        let mut body = vec![0; LENGTH];
        stream.read_exact(&mut body).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let gate = Gate::before(&app, &deadlines("64MiB/s", "off"));
    let response = gate.connect().post("/", vec![b'x'; LENGTH]);
    assert_eq!(response.text(), "ok");
}

#[test]
fn a_client_that_reads_below_the_minimum_rate_is_ended() {
    let app = sending(256);
    let gate = Gate::before(&app, &deadlines("off", "256MiB/s"));
    let mut connection = gate.connect();
    connection.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let started = Instant::now();
    // What fits into the system's buffers may make good for the first deadline.
    let all = read_slowly(
        &connection,
        100 << 10,
        Duration::from_millis(20),
        2 * IN_TIME,
    );
    assert!(!all, "still open after {:?}", started.elapsed());
    eventually("it is counted", || {
        gate.requests("failed", "response_too_slow") == 1.0
    });
}

#[test]
fn what_a_client_has_not_read_is_dropped_with_its_connection() {
    let app = sending(64);
    let gate = Gate::before(&app, &deadlines("off", "off"));
    let mut connection = gate.connect();
    connection.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("it is ended", || {
        gate.requests("failed", "response_stalled") == 1.0
    });
    // The system would go on sending what it has taken from the gate, as slowly as the client reads.
    let mut rest = Vec::new();
    let end = connection.stream().read_to_end(&mut rest);
    let end = end.expect_err("a reset").kind();
    assert_eq!(end, ErrorKind::ConnectionReset, "after {}", rest.len());
}

#[test]
fn a_client_that_reads_slowly_but_steadily_is_not_idle() {
    let app = sending(64);
    let gate = Gate::before(&app, &deadlines("off", "500B/s"));
    let mut connection = gate.connect();
    connection.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    // The system lets a write go on when a third of a buffer of megabytes is free: at this pace that
    // takes several idle deadlines.
    let every = Duration::from_millis(100);
    let goes_on = read_slowly(&connection, 64 << 10, every, Duration::from_secs(3));
    assert!(goes_on, "ended: {:?}", gate.log(1));
    // The client would go on reading from its own system's buffer for a while.
    assert_eq!(gate.metric("tidegate_connections_open"), 1.0);
    assert_eq!(gate.requests("failed", "response_stalled"), 0.0);
}

#[test]
fn a_client_that_does_not_read_what_it_is_refused_with_is_let_go() {
    let app = App::echoing_paths();
    let text =
        deadlines("off", "off") + "[[route]]\nhost = \"shop.example.com\"\nupstream = \"app\"\n";
    let gate = Gate::before(&app, &text);
    let mut connection = gate.connect();
    let requests = "GET / HTTP/1.1\r\nHost: test\r\n\r\n".repeat(1000);
    while connection.try_send(&requests).is_ok() {}
    eventually_closed(&gate, "not_reading", 1.0);
    assert_eq!(app.requests(), 0);
}

#[test]
fn each_way_a_connection_ends_without_a_request_has_its_counter() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &deadlines("off", "off"));
    let started = Instant::now();
    let mut silent = gate.connect();
    let mut idle = gate.connect();
    assert_eq!(idle.get("/").status, 200);
    assert!(silent.is_closed() && idle.is_closed());
    assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());
    eventually_closed(&gate, "no_request", 1.0);
    eventually_closed(&gate, "keepalive_idle", 1.0);
    drop(gate.connect());
    let mut left = gate.connect();
    left.send("GET / HT");
    drop(left);
    eventually_closed(&gate, "client", 2.0);
    let mut told = gate.connect();
    assert_eq!(told.get_with("/", &["Connection: close"]).status, 200);
    assert!(told.is_closed());
    let mut malformed = gate.connect();
    malformed.send("nonsense\r\n\r\n");
    assert_eq!(malformed.response().status, 400);
    eventually_closed(&gate, "request", 2.0);
    let accepted = "tidegate_connections_total{outcome=\"accepted\",reason=\"none\"}";
    assert_eq!(gate.metric(accepted), 6.0, "each of them has one reason");
}

#[test]
fn a_connection_has_so_many_requests_and_the_last_is_told() {
    let app = App::echoing_paths();
    let routes = "[[route]]\nhost = \"test\"\nupstream = \"app\"\n";
    let gate = Gate::before(
        &app,
        &format!("[client]\nrequests_per_connection = 3\n{routes}"),
    );
    for last_is_refused in [false, true] {
        let mut connection = gate.connect();
        assert!(!connection.get("/1").closes());
        // A refused one is a request, too.
        assert!(!connection.get_with("/2", &["Host: other"]).closes());
        let third = match last_is_refused {
            true => connection.get_with("/3", &["Host: other"]),
            false => connection.get("/3"),
        };
        assert!(third.closes(), "{third:?}");
        assert!(connection.is_closed());
    }
    eventually_closed(&gate, "requests_limit", 2.0);
    assert_eq!(gate.requests("refused", "no_route"), 3.0);
}

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

#[test]
fn a_tunnel_that_is_silent_is_ended_and_one_that_is_not_goes_on() {
    // It speaks until it has said ten words, or the other side is gone.
    let app = App::accepting(|mut stream| {
        read_head(&mut stream);
        stream.write_all(SWITCHING).unwrap();
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(100));
            let _ = stream.write_all(b"word");
        }
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let gate = Gate::before(&app, &deadlines("1MiB/s", "off"));
    let mut connection = gate.connect();
    connection.send(HANDSHAKE);
    assert_eq!(connection.response().status, 101);
    // Longer than the deadline in one direction, and more slowly than any body may come.
    assert_eq!(connection.read_exact(40), b"word".repeat(10));
    let silent = Instant::now();
    assert!(connection.is_closed());
    assert!(silent.elapsed() < IN_TIME, "{:?}", silent.elapsed());
    eventually_closed(&gate, "tunnel_idle", 1.0);
    assert_eq!(gate.requests("forwarded", "none"), 1.0, "it was no failure");
}
