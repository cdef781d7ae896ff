//! Apps that are down, slow, broken, late or not to be found.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crate::harness::{
    App, Gate, ROOMY, Reply, eventually, read_head, unused_address, with_upstream,
};

mod broken;
mod names;

fn gate(servers: &[SocketAddr], more: &str) -> Gate {
    Gate::start(&with_upstream(servers, &format!("{ROOMY}{more}")))
}

/// Failed requests with this reason.
fn failed(gate: &Gate, reason: &str) -> f64 {
    gate.metric(&format!(
        "tidegate_requests_total{{outcome=\"failed\",reason=\"{reason}\"}}"
    ))
}

#[test]
fn servers_take_turns() {
    let apps = [App::echoing_paths(), App::echoing_paths()];
    let gate = gate(&[apps[0].address, apps[1].address], "");
    let mut client = gate.connect();
    for _ in 0..20 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!([apps[0].requests(), apps[1].requests()], [10, 10]);
}

#[test]
fn a_server_that_is_down_costs_no_request() {
    let app = App::answering(|request| Reply::Full(200, Vec::new(), request.body.clone()));
    let gate = gate(&[unused_address(), app.address, unused_address()], "");
    let mut client = gate.connect();
    for number in 0..20 {
        assert_eq!(client.get("/").status, 200);
        let body = format!("body {number}");
        let response = client.post("/", &body);
        assert_eq!((response.status, response.text()), (200, body));
    }
    assert_eq!(app.requests(), 40, "each request exactly once");
    assert_eq!(gate.status()["upstreams"][0]["failed"], 0);
}

#[test]
fn without_any_server_a_request_fails_at_once_and_says_why() {
    let gate = gate(&[unused_address(), unused_address()], "");
    let started = Instant::now();
    let response = gate.get("/");
    assert!(started.elapsed() < Duration::from_secs(1), "it hangs");
    assert_eq!(response.status, 502);
    assert_eq!(response.reason(), "upstream_connect");
    assert_eq!(response.problem()["status"], 502);
    assert_eq!(response.field("cache-control"), Some("no-store"));
    assert_eq!(failed(&gate, "upstream_connect"), 1.0);
    assert_eq!(gate.status()["upstreams"][0]["failed"], 1);
}

#[test]
fn a_post_that_cannot_be_delivered_is_answered_too() {
    let gate = gate(&[unused_address()], "");
    let response = gate.connect().post("/", "body");
    assert_eq!(
        (response.status, response.reason().as_str()),
        (502, "upstream_connect")
    );
}

#[test]
fn an_app_that_fails_once_is_asked_again_for_the_next_request() {
    let app = App::answering(|request| match request.path.as_str() {
        "/broken" => Reply::Raw(b"nonsense\r\n\r\n".into()),
        path => Reply::text(path),
    });
    let gate = gate(&[app.address], "");
    for _ in 0..5 {
        assert_eq!(gate.get("/broken").status, 502);
        assert_eq!(gate.get("/fine").status, 200);
    }
}

#[test]
fn a_slow_app_holds_up_nobody_else() {
    let (app, latch) = App::waiting_at_slow();
    let gate = gate(&[app.address], "");
    let mut slow: Vec<_> = (0..20).map(|_| gate.connect()).collect();
    for client in &mut slow {
        client.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    eventually("the slow requests to be under way", || app.requests() == 20);
    for _ in 0..20 {
        assert_eq!(gate.get("/fast").text(), "/fast");
    }
    latch.open();
    for client in &mut slow {
        assert_eq!(client.response().text(), "/slow");
    }
}

#[test]
fn a_browser_gets_a_page_when_the_app_is_down() {
    let gate = Gate::start(&with_upstream(&[unused_address()], ""));
    let response = gate.send("GET / HTTP/1.1\r\nHost: test\r\nAccept: text/html,*/*\r\n\r\n");
    assert_eq!(response.status, 502);
    assert_eq!(
        response.field("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(
        response.text().starts_with("<!doctype html>"),
        "{}",
        response.text()
    );
}

#[test]
fn an_app_that_says_100_and_no_more_is_a_bad_gateway() {
    let app = App::answering(|_| Reply::Raw(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()));
    let gate = gate(&[app.address], "");
    let response = gate.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(response.status, 502, "{response:?}");
    assert_eq!(gate.log(1)[0]["http.response.status_code"], 502);
}

#[test]
fn an_app_that_is_killed_at_any_stage_fails_one_request_and_no_other() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    // How many bytes it reads, what it says then, and what the client sees of it.
    let stages = [
        (0, String::new(), 502),
        (1, String::new(), 502),
        (60, String::new(), 502),
        (100_000, String::new(), 502),
        (100_000, "HTTP/1.1 100 Continue\r\n\r\n".to_owned(), 502),
        (100_000, "HTTP/1.1 200 OK\r\nContent-Le".to_owned(), 502),
        (100_000, HEAD.to_owned(), 200),
        (100_000, format!("{HEAD}12345"), 200),
        (100_000, format!("{CHUNKED}5\r\n12"), 200),
        (100_000, format!("{CHUNKED}2\r\n12\r\n"), 200),
    ];
    let stage = Arc::new(AtomicUsize::new(usize::MAX));
    let (at, script) = (stage.clone(), stages.clone());
    let app = App::accepting(move |mut stream| {
        let Some((reads, says, _)) = script.get(at.load(SeqCst)) else {
            read_head(&mut stream);
            let _ = stream.write_all(format!("{HEAD}0123456789").as_bytes());
            return;
        };
        let _ = stream.read_exact(&mut vec![0; *reads]);
        let _ = stream.write_all(says.as_bytes());
        // What was said arrives before the reset does.
        std::thread::sleep(Duration::from_millis(20));
        let socket = socket2::SockRef::from(&stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    });
    let gate = gate(&[app.address], "");
    for (index, (reads, says, status)) in stages.iter().enumerate() {
        stage.store(index, SeqCst);
        let mut client = gate.connect();
        let started = Instant::now();
        let body = "x".repeat(200_000);
        let head = format!(
            "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let _ = client.try_send(head + &body);
        let mut head = client.read_head().expect("an answer");
        if head.status == 100 {
            head = client.read_head().expect("an answer behind 100");
        }
        let case = format!("{reads} bytes read, {says:?} said");
        // The reset may overtake the head on its way through the gate.
        let seen = [*status, 502].contains(&head.status);
        assert!(seen, "{case}: answered {}", head.status);
        let rest = client.read_to_end();
        let whole = rest.ends_with(b"0123456789") || rest.ends_with(b"0\r\n\r\n");
        assert!(head.status == 502 || !whole, "{case}: passed off as whole");
        assert!(started.elapsed() < Duration::from_secs(2), "{case}");
        eventually(&format!("{case}: it is counted"), || {
            failed(&gate, "upstream_broken") == (index + 1) as f64
        });
        stage.store(usize::MAX, SeqCst);
        assert_eq!(gate.get("/").text(), "0123456789", "after {case}");
    }
}
