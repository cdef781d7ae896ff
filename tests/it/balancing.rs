//! Which server of an upstream gets a request, and how often it may be tried again.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};

use crate::harness::{
    App, Gate, Latch, ROOMY, Reply, eventually, read_head, unused_address, with_upstream,
};

/// Requests that are under way at all servers together.
fn in_flight(gate: &Gate) -> u64 {
    let status = gate.status();
    let servers = status["upstreams"][0]["addresses"].as_array().unwrap();
    let each = servers.iter().map(|one| one["in_flight"].as_u64().unwrap());
    each.sum()
}

/// Of 12 requests, one after the other, how many go to an app that does not answer, beside one that does.
fn sent_to_the_slow_one(balance: &str) -> u64 {
    let latch = Latch::new();
    let waiting = latch.clone();
    let slow = App::answering(move |request| {
        waiting.wait();
        Reply::text(&request.path)
    });
    let fast = App::echoing_paths();
    let keys = format!("balance = \"{balance}\"\n");
    let gate = Gate::start(&(with_upstream(&[slow.address, fast.address], ROOMY) + &keys));
    let mut clients = Vec::new();
    for sent in 1..=12 {
        let mut client = gate.connect();
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        eventually("the request to arrive", || {
            slow.requests() + fast.requests() == sent
        });
        clients.push(client);
        eventually("the fast one to be done", || {
            in_flight(&gate) == slow.requests()
        });
    }
    latch.open();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    eventually("all to be given back", || in_flight(&gate) == 0);
    slow.requests()
}

#[test]
fn in_turn_a_slow_server_gets_as_many_requests_as_a_fast_one() {
    assert_eq!(sent_to_the_slow_one("round-robin"), 6);
}

#[test]
fn the_least_loaded_server_gets_the_request() {
    assert_eq!(sent_to_the_slow_one("least-loaded"), 1);
}

#[test]
fn servers_that_are_equally_loaded_take_turns() {
    let apps: Vec<App> = (0..20).map(|_| App::echoing_paths()).collect();
    let addresses: Vec<_> = apps.iter().map(|app| app.address).collect();
    let keys = "balance = \"least-loaded\"\n";
    let gate = Gate::start(&(with_upstream(&addresses, ROOMY) + keys));
    for _ in 0..100 {
        assert_eq!(gate.get("/").status, 200);
        eventually("it to be given back", || in_flight(&gate) == 0);
    }
    let requests: Vec<u64> = apps.iter().map(App::requests).collect();
    assert_eq!(requests, [5; 20]);
}

/// Retries: made, and beyond the budget.
fn retries(gate: &Gate) -> [f64; 2] {
    ["made", "over_budget"].map(|outcome| {
        gate.metric(&format!(
            "tidegate_upstream_retries_total{{outcome=\"{outcome}\",upstream=\"app\"}}"
        ))
    })
}

/// Servers stay in, so that each connection is tried.
const STAYING: &str = "eject = { failures = 1000 }\n";

#[test]
fn an_upstream_in_trouble_gets_no_more_than_a_share_of_its_requests_again() {
    let (app, dead) = (App::echoing_paths(), unused_address());
    let keys = format!("{STAYING}retries = \"10%\"\n");
    let gate = Gate::start(&(with_upstream(&[app.address, dead], ROOMY) + &keys));
    let mut failed = 0;
    for _ in 0..400 {
        let response = gate.get("/");
        if response.status != 200 {
            assert_eq!(
                (response.status, response.reason().as_str()),
                (502, "upstream_connect")
            );
            failed += 1;
        }
    }
    let [made, refused] = retries(&gate);
    assert!(
        (1.0..=100.0).contains(&made),
        "{made} of 400 were tried again"
    );
    assert_eq!(refused, f64::from(failed));
    assert!(failed > 0, "everything was tried again");
    let human = gate.verb(&["status"]).good();
    let said = format!("{failed} requests were not tried again");
    assert!(human.contains(&said), "{human}");
}

/// An app that closes each connection at its second request.
fn forgetful() -> App {
    App::accepting(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        read_head(&mut stream);
    })
}

#[test]
fn a_request_on_a_kept_connection_that_closed_is_within_the_budget_too() {
    let app = forgetful();
    let gate = Gate::before(&app, ROOMY);
    // On one connection, a request is begun when the one before is done with the app's.
    let mut client = gate.connect();
    for _ in 0..5 {
        assert_eq!(client.get("/").text(), "ok");
    }
    // The connection of a second try is not kept.
    assert_eq!(retries(&gate), [2.0, 0.0]);

    let none = Gate::start(&(with_upstream(&[app.address], ROOMY) + "retries = \"0%\"\n"));
    for _ in 0..2 {
        let mut client = none.connect();
        assert_eq!([(); 2].map(|()| client.get("/").status), [200, 502]);
    }
    assert_eq!(retries(&none), [0.0, 2.0]);
}

#[test]
fn of_kept_connections_that_are_all_closed_one_costs_a_request_its_second_try() {
    const KEPT: usize = 5;
    let (arrived, repeated) = (Barrier::new(KEPT), Arc::new(AtomicUsize::new(0)));
    let (first, counted) = (AtomicUsize::new(0), repeated.clone());
    let app = App::accepting(move |mut stream| {
        read_head(&mut stream);
        if first.fetch_add(1, SeqCst) < KEPT {
            arrived.wait();
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        if !read_head(&mut stream).is_empty() {
            counted.fetch_add(1, SeqCst);
        }
    });
    let gate = Gate::before(&app, ROOMY);
    let mut clients = [(); KEPT].map(|()| gate.connect());
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.response().text(), "ok");
    }
    eventually("the connections to be kept", || in_flight(&gate) == 0);
    assert_eq!(gate.get("/").text(), "ok", "the second try is a new one");
    assert_eq!(repeated.load(SeqCst), 1, "closed at their second request");
    assert_eq!(retries(&gate), [1.0, 0.0]);
}

#[test]
fn what_an_app_may_have_done_is_not_done_again_whatever_the_budget() {
    let app = forgetful();
    let gate = Gate::start(&(with_upstream(&[app.address], ROOMY) + "retries = \"100%\"\n"));
    let mut client = gate.connect();
    assert_eq!(client.get("/").text(), "ok");
    assert_eq!(client.post("/", "body").status, 502);
    assert_eq!(retries(&gate), [0.0, 0.0]);
}
