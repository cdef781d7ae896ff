//! Servers that take no connections or fail their health checks: left out for a while, back by
//! themselves, never all of them.

mod checks;
mod innocent;
mod reloaded;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::harness::{App, Gate, ROOMY, Reply, eventually, unused_address, with_upstream};

fn gate(servers: &[SocketAddr], keys: &str) -> Gate {
    Gate::start(&(with_upstream(servers, ROOMY) + keys))
}

fn servers(gate: &Gate, state: &str) -> f64 {
    gate.metric(&format!(
        "tidegate_upstream_servers{{state=\"{state}\",upstream=\"app\"}}"
    ))
}

#[test]
fn a_server_that_takes_no_connections_is_left_out_and_comes_back_by_itself() {
    let (app, dead) = (App::echoing_paths(), unused_address());
    let gate = gate(
        &[app.address, dead],
        "eject = { failures = 3, first = \"1s\", longest = \"1s\" }\nslow_start = \"1s\"\n",
    );
    // It comes back in between, and is left out again at once.
    let told = format!("{dead} takes no connections");
    eventually("it to be left out", || {
        assert_eq!(gate.get("/").status, 200);
        servers(&gate, "ejected") == 1.0
    });
    eventually("the status to say so", || {
        assert_eq!(gate.get("/").status, 200);
        gate.verb(&["status"]).good().contains(&told)
    });
    eventually("it to be told", || {
        gate.get("/").status == 200
            && gate.said(&format!("{dead} takes no connections and is left out")) > 0
    });
    let back = App::on(&dead.to_string(), |_| Reply::text("back"));
    eventually("requests to reach it again", || {
        assert_eq!(gate.get("/").status, 200);
        back.requests() > 0
    });
    eventually("it to have its share again", || {
        servers(&gate, "available") == 2.0
    });
    eventually("its return to be told", || {
        gate.said(&format!("{dead} is asked again")) > 0
    });
}

#[test]
fn the_turns_of_a_server_that_is_out_are_shared_by_all_others() {
    let apps: Vec<App> = (0..3).map(|_| App::echoing_paths()).collect();
    let mut all: Vec<SocketAddr> = apps.iter().map(|app| app.address).collect();
    all.push(unused_address());
    let gate = gate(
        &all,
        "eject = { failures = 1, first = \"1h\", longest = \"1h\" }\n",
    );
    let mut client = gate.connect();
    for _ in 0..4 {
        assert_eq!(client.get("/").status, 200);
    }
    let before: Vec<u64> = apps.iter().map(App::requests).collect();
    for _ in 0..30 {
        assert_eq!(client.get("/").status, 200);
    }
    let got: Vec<u64> = apps
        .iter()
        .zip(before)
        .map(|(app, before)| app.requests() - before)
        .collect();
    assert_eq!(got, [10, 10, 10]);
}

#[test]
fn when_all_are_out_all_are_used() {
    let dead = [unused_address(), unused_address()];
    let gate = gate(
        &dead,
        "eject = { failures = 1, first = \"1h\", longest = \"1h\" }\n",
    );
    for _ in 0..3 {
        let response = gate.get("/");
        assert_eq!(
            (response.status, response.reason().as_str()),
            (502, "upstream_connect")
        );
    }
    assert_eq!(servers(&gate, "ejected"), 2.0);
    let _back = App::on(&dead[1].to_string(), |_| Reply::text("back"));
    for _ in 0..3 {
        assert_eq!(gate.get("/").text(), "back", "it is found at once");
    }
    assert_eq!(servers(&gate, "ejected"), 1.0);
}

#[test]
fn a_server_that_comes_back_gets_more_and_more() {
    let (app, dead) = (App::echoing_paths(), unused_address());
    let gate = gate(
        &[app.address, dead],
        "eject = { failures = 1, first = \"1s\", longest = \"1s\" }\nslow_start = \"1h\"\n",
    );
    for _ in 0..2 {
        assert_eq!(gate.get("/").status, 200);
    }
    let back = App::on(&dead.to_string(), |_| Reply::text("back"));
    eventually("it to come back", || servers(&gate, "slow_start") == 1.0);
    let mut client = gate.connect();
    for _ in 0..1000 {
        assert_eq!(client.get("/").status, 200);
    }
    // A tenth of its turns at first: 91 of 1,000 requests are expected, with a deviation of 9.
    let got = back.requests();
    assert!((30..170).contains(&got), "{got} of 1000 requests");
}

/// A server whose queue of connections is full, so that the system does not even refuse one.
fn overrun() -> (Socket, Vec<Socket>) {
    let server = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    server.bind(&address.into()).unwrap();
    server.listen(0).unwrap();
    let address = server.local_addr().unwrap();
    let mut waiting = Vec::new();
    loop {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let connected = client.connect_timeout(&address, Duration::from_millis(300));
        waiting.push(client);
        if connected.is_err() {
            return (server, waiting);
        }
    }
}

#[test]
fn a_server_that_lets_connections_time_out_delays_a_few_requests_alone() {
    let (app, (stuck, _waiting)) = (App::echoing_paths(), overrun());
    let stuck = stuck.local_addr().unwrap().as_socket().unwrap();
    let gate = gate(
        &[app.address, stuck],
        "eject = { failures = 2, first = \"1h\", longest = \"1h\" }\n\
         [deadlines]\nupstream_connect = \"300ms\"\n",
    );
    eventually("it to be left out", || {
        assert_eq!(gate.get("/").status, 200, "another one serves");
        servers(&gate, "ejected") == 1.0
    });
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(gate.get("/").status, 200);
    }
    // Ten of them would have waited for the deadline.
    assert!(started.elapsed() < Duration::from_secs(3));
}
