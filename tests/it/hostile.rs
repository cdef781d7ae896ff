//! Clients that mean harm: garbage, slowness, silence, sudden ends. Whatever they do, afterwards
//! every place is free again, every request is accounted for, and the gate serves.

use std::time::{Duration, Instant};

use crate::harness::{App, Connection, Gate, Reply, eventually};

mod heads;
mod readers;

/// Short deadlines, one place in flight for everybody, and no other limit that gets in the way.
const IMPATIENT: &str = r#"
[client]
limit = { rate = "100000/s", burst = 100000 }
connections = 5000

[tenant]
from = "host"
tier = "all"

[tier.all]
in_flight = 1

[deadlines]
request_header = "300ms"
request_body_idle = "300ms"
request_body_rate = "10B/s"
response_body_idle = "300ms"
keepalive = "300ms"
"#;

/// A deadline, and what a busy machine may add to it.
const IN_TIME: Duration = Duration::from_millis(300 + 1000);

/// The sum of all outcomes of requests.
fn accounted(gate: &Gate) -> f64 {
    let text = Connection::open(gate.metrics).get("/metrics").text();
    let counters = text
        .lines()
        .filter_map(|line| line.strip_prefix("tidegate_requests_total{"));
    counters
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// No connection is open, the place in flight is free, nothing has panicked.
fn assert_unharmed(gate: &Gate) {
    let closed = || gate.metric("tidegate_connections_open") == 0.0;
    eventually("every connection is closed", closed);
    assert_eq!(
        gate.get("/").status,
        200,
        "the gate serves, and the place in flight is free"
    );
    assert!(!gate.has_said("panicked"), "{:#?}", gate.messages());
    eventually("its connection is closed, too", closed);
}

/// Bytes that look like nothing, the same in every run.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn garbage_is_answered_or_closed_and_harms_nobody() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, IMPATIENT);
    for seed in 0..100 {
        let mut connection = gate.connect();
        let _ = connection.try_send(noise(seed, 1 + seed as usize * 50));
        connection.finish();
        assert!(
            connection
                .try_response()
                .is_none_or(|response| response.status >= 400)
        );
    }
    let mut connection = gate.connect();
    // The first bytes of a browser that was told https://.
    connection.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert_eq!(connection.response().status, 400);
    assert!(connection.is_closed());
    assert_eq!(app.requests(), 0);
    assert_unharmed(&gate);
}

#[test]
fn a_connection_without_a_byte_or_between_requests_is_closed_in_silence() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, IMPATIENT);
    let mut silent = gate.connect();
    let mut idle = gate.connect();
    let mut empty_lines = gate.connect();
    empty_lines.send("\r\n\r\n");
    assert_eq!(idle.get("/").status, 200);
    let started = Instant::now();
    for connection in [&mut silent, &mut idle] {
        assert!(connection.is_closed(), "not a byte, and closed");
    }
    // Empty lines are the start of something.
    assert!(
        empty_lines
            .try_response()
            .is_none_or(|response| response.status == 408)
    );
    assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());
    assert_unharmed(&gate);
}

#[test]
fn a_body_that_stops_is_answered_and_one_that_is_slow_is_waited_for() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, IMPATIENT);
    let head = "POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n";
    let mut slow = gate.connect();
    slow.send(head);
    for byte in b"0123456789" {
        std::thread::sleep(Duration::from_millis(50));
        slow.send([*byte]);
    }
    assert_eq!(slow.response().status, 200, "each byte was in time");
    assert_eq!(app.last().body, b"0123456789");
    drop(slow);
    assert_unharmed(&gate);
    for head in [
        head,
        "POST /a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
    ] {
        let mut stopped = gate.connect();
        stopped.send(format!("{head}abc"));
        let started = Instant::now();
        assert_eq!(stopped.response().status, 408);
        assert!(stopped.is_closed());
        assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());
        drop(stopped);
        assert_unharmed(&gate);
    }
    assert_eq!(app.last().path, "/", "the app got none of the others whole");
    eventually("both are counted", || {
        gate.requests("failed", "body_timeout") == 2.0
    });
    assert_unharmed(&gate);
}

#[test]
fn a_client_that_has_finished_sending_still_gets_a_refusal() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, IMPATIENT);
    for (bytes, status) in [
        ("TRACE / HTTP/1.1\r\nHost: test\r\n\r\n", 501),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        (
            "OPTIONS / HTTP/1.1\r\nHost: test\r\nMax-Forwards: 0\r\n\r\n",
            200,
        ),
    ] {
        let mut connection = gate.connect();
        connection.send(bytes);
        connection.finish();
        assert_eq!(connection.response().status, status, "{bytes:?}");
        assert!(connection.is_closed());
    }
    // One that is being forwarded is given up, as nginx does: it may as well be gone.
    let mut connection = gate.connect();
    connection.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    connection.finish();
    assert!(
        connection
            .try_response()
            .is_none_or(|response| response.status == 200)
    );
    eventually("each is counted once", || accounted(&gate) == 4.0);
    assert_unharmed(&gate);
}

#[test]
fn a_client_that_is_killed_at_any_stage_leaves_nothing_behind() {
    let app = App::answering(|request| match request.path.as_str() {
        "/slow" => {
            std::thread::sleep(Duration::from_millis(150));
            Reply::text("late")
        }
        "/large" => Reply::Full(200, Vec::new(), vec![b'x'; 8 << 20]),
        path => Reply::text(path),
    });
    // Who is killed is gone at once: no deadline has to run out, nor must one for a slow machine.
    let gate = Gate::before(&app, &IMPATIENT.replace("300ms", "10s"));
    let stages: [(&str, usize); 10] = [
        ("", 0),
        ("G", 0),
        ("GET / HTTP/1.1\r\nHost: te", 0),
        ("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n", 0),
        ("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n", 10),
        ("GET /large HTTP/1.1\r\nHost: test\r\n\r\n", 1),
        ("GET /large HTTP/1.1\r\nHost: test\r\n\r\n", 1 << 20),
        (
            "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nabc",
            0,
        ),
        (
            "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            0,
        ),
        ("GET / HTTP/1.1\r\nHost: test\r\n\r\nGET / HTTP", 10),
    ];
    for (index, (bytes, read)) in stages.into_iter().enumerate() {
        let mut connection = gate.connect();
        connection.send(bytes);
        connection.read_exact(read);
        // What is unread makes the system reset the connection.
        drop(connection);
        eventually(&format!("the place of stage {index} is free"), || {
            gate.metric("tidegate_connections_open") == 0.0
        });
        let forwarded = gate.get("/").status;
        assert_eq!(
            forwarded, 200,
            "after stage {index}: {bytes:?} and {read} bytes read"
        );
    }
    // Three stages were no requests, and each stage was followed by a good one.
    eventually("each request is counted once", || accounted(&gate) == 17.0);
    assert_eq!(gate.requests("failed", "internal"), 0.0);
    assert_unharmed(&gate);
}

#[test]
fn hundreds_of_connections_that_are_opened_and_dropped_are_let_go() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, IMPATIENT);
    for _ in 0..2 {
        let connections: Vec<Connection> = (0..250).map(|_| gate.connect()).collect();
        drop(connections);
    }
    let accepted = "tidegate_connections_total{outcome=\"accepted\",reason=\"none\"}";
    eventually("all were let in", || gate.metric(accepted) == 500.0);
    assert_eq!(accounted(&gate), 0.0, "none of them was a request");
    assert_unharmed(&gate);
}

#[test]
fn every_request_has_one_outcome() {
    let app = App::answering(|request| match request.path.as_str() {
        "/broken" => Reply::Raw(b"nonsense\r\n\r\n".to_vec()),
        "/gone" => Reply::Raw(Vec::new()),
        "/short" => Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".to_vec()),
        path => Reply::text(path),
    });
    let gate = Gate::before(&app, "[client]\nlimit = { rate = \"1/h\", burst = 30 }");
    let mut asked = 0.0;
    let mut send = |bytes: &str| {
        let mut connection = gate.connect();
        connection.send(bytes);
        asked += 1.0;
        connection
            .try_response()
            .map_or(0, |response| response.status)
    };
    for path in ["/", "/broken", "/gone", "/short", "/a/../b", "/%", "/?x"] {
        for method in ["GET", "HEAD", "POST", "TRACE", "get"] {
            send(&format!(
                "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
            ));
        }
    }
    assert_eq!(send("GET / HTTP/3.0\r\nHost: test\r\n\r\n"), 505);
    assert_eq!(
        send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"),
        400
    );
    while send("GET / HTTP/1.1\r\nHost: test\r\n\r\n") != 429 {}
    for _ in 0..20 {
        assert_eq!(send("GET / HTTP/1.1\r\nHost: test\r\n\r\n"), 429);
    }
    eventually("the outcomes add up", || accounted(&gate) == asked);
    assert_eq!(gate.requests("failed", "internal"), 0.0);
    let status = gate.status();
    let told: u64 = ["forwarded", "refused", "failed"]
        .iter()
        .map(|outcome| status["requests"][outcome].as_u64().unwrap())
        .sum();
    assert_eq!(told as f64, asked, "the status tells the same");
    assert_eq!(
        gate.log(asked as usize).len() as f64,
        asked,
        "and so does the log"
    );
}
