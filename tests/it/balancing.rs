//! Which server of an upstream gets a request, and how often it may be tried again.

use crate::harness::{App, Gate, Latch, ROOMY, Reply, eventually, with_upstream};

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
