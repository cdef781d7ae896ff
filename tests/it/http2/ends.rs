//! The ends of streams and of connections, wanted or not.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::serving;
use crate::harness::frames::{Frames, OK, get};
use crate::harness::{App, Gate, Http2, ROOMY, Reply, eventually, pattern, read_head, request};

fn eventually_ended(gate: &Gate, reason: &str, count: f64) {
    eventually(&format!("{count} ended as {reason}"), || {
        gate.ended(reason) == count
    });
}

#[test]
fn an_app_that_dies_in_a_response_ends_one_stream() {
    let (latch, waiting) = {
        let latch = crate::harness::Latch::new();
        (latch.clone(), latch)
    };
    let app = App::answering(move |asked| match asked.path.as_str() {
        "/short" => Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".to_vec()),
        "/chunk" => Reply::Raw(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n".to_vec(),
        ),
        "/gone" => Reply::Raw(Vec::new()),
        "/nonsense" => Reply::Raw(b"nonsense\r\n\r\n".to_vec()),
        _ => {
            waiting.wait();
            Reply::text(&asked.path)
        }
    });
    let (gate, trust) = serving(&app, ROOMY);
    let client = Http2::open(&gate, &trust);
    let sibling = client.begin(request("GET", "/sibling"), &[]);
    for path in ["/short", "/chunk"] {
        let error = client.ask(request("GET", path), &[]).expect_err(path);
        assert!(error.is_reset() && error.is_remote(), "{path}: {error}");
    }
    for path in ["/gone", "/nonsense"] {
        let answer = client.ask(request("GET", path), &[]).unwrap();
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (502, "upstream_broken")
        );
    }
    latch.open();
    assert_eq!(client.wait(sibling).unwrap().text(), "/sibling");
    eventually("all are counted", || {
        gate.requests("failed", "upstream_broken") == 4.0
    });
}

#[test]
fn a_client_that_cancels_gives_its_place_back() {
    let app = App::accepting(|mut stream| {
        let head = read_head(&mut stream);
        if head.starts_with("GET /begun ") {
            let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
            let _ = stream.write_all(begun);
        }
        if head.starts_with("GET / ") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok");
            return;
        }
        // It says no more until the gate goes.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let more =
        format!("{ROOMY}[tenant]\nfrom = \"host\"\ntier = \"one\"\n[tier.one]\nin_flight = 1\n");
    let (gate, trust) = serving(&app, &more);
    let client = Http2::open(&gate, &trust);
    for (count, path, body) in [
        (1, "/waiting", 0),
        (2, "/begun", 0),
        (3, "/uploading", 3_000_000),
    ] {
        let method = if body > 0 { "POST" } else { "GET" };
        let hangs = client.begin(request(method, path), &pattern(body));
        eventually("the request to reach the app", || {
            app.connections() == 2 * count - 1
        });
        assert_eq!(client.get("/").status, 429, "{path}: its place is taken");
        client.cancel(hangs);
        eventually("its place to be free", || client.get("/").status == 200);
        eventually("it is counted", || {
            gate.requests("failed", "client_gone") == count as f64
        });
        assert_eq!(app.connections(), 2 * count, "{path}");
    }
}

#[test]
fn a_connection_that_breaks_ends_all_of_its_streams() {
    let (app, latch) = App::waiting_at_slow();
    let more =
        format!("{ROOMY}[tenant]\nfrom = \"host\"\ntier = \"all\"\n[tier.all]\nin_flight = 100\n");
    let (gate, trust) = serving(&app, &more);
    let client = Http2::open(&gate, &trust);
    let begun: Vec<_> = (0..100)
        .map(|_| client.begin(request("GET", "/slow"), &[]))
        .collect();
    eventually("all of them to reach the app", || app.requests() == 100);
    assert_eq!(gate.metric("tidegate_connections_open"), 1.0);
    drop((client, begun));
    eventually("all are counted", || {
        gate.requests("failed", "client_gone") == 100.0
    });
    eventually("its place at the door is free", || {
        gate.metric("tidegate_connections_open") == 0.0
    });
    let again = Http2::open(&gate, &trust);
    assert_eq!(again.get("/").status, 200, "the places in flight are free");
    latch.open();
}

#[test]
fn a_gate_that_goes_down_lets_streams_finish() {
    let (app, latch) = App::waiting_at_slow();
    let (mut gate, trust) = serving(&app, ROOMY);
    let client = Http2::open(&gate, &trust);
    let mut idle = Frames::open(&gate, &trust, &[]);
    idle.send(get(1));
    assert_eq!(idle.outcome(1), OK);
    let slow: Vec<_> = (0..20)
        .map(|_| client.begin(request("GET", "/slow"), &[]))
        .collect();
    eventually("the requests to reach the app", || app.requests() == 21);
    gate.signal("TERM");
    assert_eq!(idle.goodbye(), Some(0), "an idle connection is told");
    latch.open();
    for pending in slow {
        assert_eq!(client.wait(pending).unwrap().text(), "/slow");
    }
    assert_eq!(client.ended(), None, "ended in order");
    let status = gate.wait();
    assert!(status.success(), "{status}: {:#?}", gate.messages());
    gate.says("drained; goodbye");
}

#[test]
fn a_connection_has_so_many_requests_and_then_another_is_opened() {
    let app = App::echoing_paths();
    let limited = ROOMY.replace("1_000_000_000", "10");
    let (gate, trust) = serving(&app, &limited);
    for round in 1..=3 {
        let client = Http2::open(&gate, &trust);
        for _ in 0..10 {
            assert_eq!(client.get("/").status, 200);
        }
        assert_eq!(client.ended(), None, "ended in order");
        eventually_ended(&gate, "requests_limit", f64::from(round));
    }
}

#[test]
fn a_connection_that_nobody_uses_is_told_to_go() {
    let app = App::echoing_paths();
    let more = format!("{ROOMY}[deadlines]\nkeepalive = \"300ms\"\nrequest_header = \"300ms\"\n");
    let (gate, trust) = serving(&app, &more);
    let mut unused = Frames::open(&gate, &trust, &[]);
    let mut used = Frames::open(&gate, &trust, &[]);
    used.send(get(1));
    assert_eq!(used.outcome(1), OK);
    let started = Instant::now();
    assert_eq!((unused.goodbye(), used.goodbye()), (Some(0), Some(0)));
    assert!(started.elapsed() < Duration::from_millis(300 + 1000));
    eventually_ended(&gate, "no_request", 1.0);
    eventually_ended(&gate, "keepalive_idle", 1.0);
}

#[test]
fn a_response_that_takes_its_time_is_not_idle() {
    let app = App::answering(|asked| {
        if asked.path == "/slow" {
            std::thread::sleep(Duration::from_millis(900));
        }
        Reply::text(&asked.path)
    });
    let (gate, trust) = serving(
        &app,
        &format!("{ROOMY}[deadlines]\nkeepalive = \"300ms\"\n"),
    );
    let client = Http2::open(&gate, &trust);
    assert_eq!(client.get("/slow").text(), "/slow");
    assert_eq!(client.get("/slow").text(), "/slow");
    assert_eq!(gate.ended("keepalive_idle"), 0.0);
}

#[test]
fn streams_go_on_when_certificates_are_read_again() {
    let (app, latch) = App::waiting_at_slow();
    let (gate, trust) = serving(&app, ROOMY);
    let client = Http2::open(&gate, &trust);
    let slow = client.begin(request("GET", "/slow"), &[]);
    eventually("the request to reach the app", || app.requests() == 1);
    for _ in 0..5 {
        gate.verb(&["reload"]).good();
        assert_eq!(client.get("/").status, 200);
        assert_eq!(Http2::open(&gate, &trust).get("/").status, 200);
    }
    latch.open();
    assert_eq!(client.wait(slow).unwrap().text(), "/slow");
}

#[test]
fn a_strangers_idle_connection_ends_at_the_switch_to_known_only() {
    let app = App::echoing_paths();
    let (gate, trust) = serving(&app, "");
    let client = Http2::open(&gate, &trust);
    assert_eq!(client.get("/").status, 200);
    gate.verb(&["known", "add", "192.0.2.1"]).good();
    gate.verb(&["mode", "known-only"]).good();
    assert_eq!(client.ended(), None, "ended in order");
    eventually("it is counted", || gate.ended("shut_out") == 1.0);
}
