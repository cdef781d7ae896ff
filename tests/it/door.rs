//! The door: who is let in while places, files or the mode allow few, and what is told of the rest.

use std::net::TcpStream;
use std::time::{Duration, Instant};

mod written;

use crate::harness::{App, Connection, Folder, Gate, PROXIED, ROOMY, eventually, with_upstream};

const KNOWN: &str = "127.0.0.9";

fn closed(gate: &Gate, reason: &str) -> f64 {
    gate.metric(&format!(
        "tidegate_connections_total{{outcome=\"refused\",reason=\"{reason}\"}}"
    ))
}

/// What a new connection's first request is answered with; none when it is closed unread.
fn status(gate: &Gate, source: &str, path: &str) -> Option<u16> {
    let mut client = Connection::try_open_from(source, gate.address).ok()?;
    let _ = client.try_send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
    client.try_response().map(|answer| answer.status)
}

fn let_in(gate: &Gate, source: &str) -> Connection {
    let mut client = Connection::open_from(source, gate.address);
    assert_eq!(client.get("/").status, 200, "{source} is let in");
    client
}

#[test]
fn the_reserve_is_for_known_clients() {
    let app = App::echoing_paths();
    let config = format!("{ROOMY}[connections]\ntotal = 5\nreserved_for_known = 2\n");
    let gate = Gate::before(&app, &config);
    gate.verb(&["known", "add", KNOWN]).good();
    let mut strangers: Vec<_> = (0..3).map(|_| let_in(&gate, "127.0.0.1")).collect();
    assert_eq!(
        status(&gate, "127.0.0.2", "/"),
        None,
        "the rest is reserved"
    );
    assert_eq!(
        (closed(&gate, "reserved"), closed(&gate, "total")),
        (1.0, 0.0)
    );
    let said = gate.verb(&["explain", "127.0.0.2"]).good();
    assert!(
        said.contains("(but for reserved_for_known) is reached"),
        "{said}"
    );
    let _customers = [let_in(&gate, KNOWN), let_in(&gate, KNOWN)];
    assert_eq!(status(&gate, KNOWN, "/"), None, "not more than the total");
    assert_eq!(
        (closed(&gate, "reserved"), closed(&gate, "total")),
        (1.0, 1.0)
    );
    assert_eq!(gate.metric("tidegate_connections_limit"), 5.0);
    // What is free of the places for all is theirs again, also while the reserve is in use.
    drop(strangers.pop());
    eventually("the place to be given back", || {
        gate.metric("tidegate_connections_open") == 4.0
    });
    assert_eq!(
        status(&gate, "127.0.0.2", "/"),
        None,
        "4 are open, and 3 for all"
    );
    gate.verb(&["mode", "observe"]).good();
    let _observed = let_in(&gate, "127.0.0.2");
    let would = "tidegate_would_refuse_total{mode=\"normal\",reason=\"connection_reserved\"}";
    assert_eq!(gate.metric(would), 1.0);
}

#[test]
fn a_race_for_the_last_places_lets_in_exactly_as_many() {
    let app = App::echoing_paths();
    let config = format!("{ROOMY}[connections]\ntotal = 40\nreserved_for_known = 15\n");
    let gate = Gate::before(&app, &config);
    gate.verb(&["known", "add", KNOWN]).good();
    let race = |source: &'static str, count: usize| {
        std::thread::scope(|scope| {
            let rush = || {
                let mut client = Connection::try_open_from(source, gate.address).ok()?;
                client
                    .try_send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                    .ok()?;
                client.try_response().map(|_| client)
            };
            let racers: Vec<_> = (0..count).map(|_| scope.spawn(rush)).collect();
            let ended = racers.into_iter().filter_map(|racer| racer.join().unwrap());
            ended.collect::<Vec<_>>()
        })
    };
    let strangers = race("127.0.0.1", 60);
    assert_eq!(strangers.len(), 25, "strangers");
    let customers = race(KNOWN, 40);
    assert_eq!(customers.len(), 15, "customers");
    assert_eq!(gate.metric("tidegate_connections_open"), 40.0);
}

#[test]
fn in_known_only_strangers_are_closed_unread() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, ROOMY);
    gate.verb(&["known", "add", KNOWN]).good();
    let mut open = let_in(&gate, "127.0.0.1");
    gate.verb(&["mode", "known-only"]).good();
    assert_eq!(status(&gate, "127.0.0.1", "/"), None);
    assert_eq!(closed(&gate, "unknown_client"), 1.0);
    assert!(open.is_closed(), "who was in is let go");
    assert_eq!(status(&gate, KNOWN, "/"), Some(200));
    let said = gate.verb(&["explain", "127.0.0.1"]).good();
    assert!(
        said.contains("NEW ONES ARE CLOSED: unknown_client"),
        "{said}"
    );
    gate.verb(&["known", "add", "127.0.0.1"]).good();
    assert_eq!(status(&gate, "127.0.0.1", "/"), Some(200));
}

#[test]
fn strangers_are_let_in_to_ask_for_a_path_that_stays_open() {
    let app = App::echoing_paths();
    let open = format!("{ROOMY}[known_only]\nexempt_paths = [\"/login\"]\n");
    let gate = Gate::before(&app, &open);
    gate.verb(&["known", "add", KNOWN]).good();
    gate.verb(&["mode", "known-only"]).good();
    assert_eq!(status(&gate, "127.0.0.1", "/login"), Some(200));
    assert_eq!(status(&gate, "127.0.0.1", "/"), Some(503));
    assert_eq!(closed(&gate, "unknown_client"), 0.0);
    let shut = with_upstream(&[app.address], ROOMY);
    gate.folder.configure(&shut);
    gate.verb(&["reload"]).good();
    assert_eq!(
        status(&gate, "127.0.0.1", "/login"),
        None,
        "no path is open any more"
    );
}

#[test]
fn a_trusted_proxy_is_let_in_whoever_it_asks_for() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, PROXIED);
    gate.verb(&["known", "add", "192.0.2.7"]).good();
    gate.verb(&["mode", "known-only"]).good();
    let mut proxy = gate.connect();
    let mut ask = |client: &str| {
        let answer = proxy.get_with("/", &[&format!("X-Forwarded-For: {client}")]);
        answer.status
    };
    assert_eq!([ask("192.0.2.7"), ask("192.0.2.8")], [200, 503]);
}

/// What each of many connections at once came to, and how long the slowest took to be let in or not.
fn rush(gate: &Gate, count: usize) -> (Vec<TcpStream>, Duration) {
    let started = Instant::now();
    let mut open = Vec::new();
    for _ in 0..count {
        let stream = TcpStream::connect_timeout(&gate.address, Duration::from_secs(5));
        open.push(stream.expect("the gate goes on accepting"));
    }
    eventually("all of them to be let in or closed", || {
        let done = gate.metric("tidegate_connections_total{outcome=\"accepted\",reason=\"none\"}");
        done + closed(gate, "total") + closed(gate, "reserved") >= count as f64
    });
    (open, started.elapsed())
}

#[test]
fn two_thousand_connections_against_two_hundred_and_fifty_six_files() {
    let app = App::echoing_paths();
    let config = "[client]\nconnections = 10000\n[connections]\nreserved_for_known = 0\n";
    let gate = Gate::with_files(&app, config, 256);
    let limit = gate.metric("tidegate_connections_limit");
    assert_eq!(limit, 63.0);
    let connections = gate.status()["connections"].clone();
    let problem = connections["problem"].as_str().unwrap();
    assert!(
        problem.contains("is 10000") && problem.contains("room for 63"),
        "{problem}"
    );
    gate.says("leaves room for 63");
    let (open, took) = rush(&gate, 2000);
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    assert_eq!(gate.metric("tidegate_connections_open"), limit);
    let asked = Instant::now();
    assert!(gate.verb(&["status"]).good().contains("LOWERED"));
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );
    drop(open);
    eventually("the places to be given back", || {
        gate.metric("tidegate_connections_open") == 0.0
    });
    // Each of them needs a second descriptor, towards the app.
    let clients: Vec<_> = (0..63).map(|_| let_in(&gate, "127.0.0.1")).collect();
    assert_eq!(clients.len(), 63);
    assert!(
        !gate.has_said("could not be accepted"),
        "{:#?}",
        gate.messages()
    );
}

#[test]
fn a_reload_that_asks_for_more_than_fits_gets_what_fits() {
    let app = App::echoing_paths();
    let gate = Gate::with_files(&app, "[connections]\ntotal = 10\n", 256);
    assert_eq!(gate.metric("tidegate_connections_limit"), 10.0);
    let more = with_upstream(&[app.address], "[connections]\ntotal = 1000\n");
    gate.folder.configure(&more);
    let output = gate.verb(&["reload"]);
    assert_eq!(output.code, 0, "{output:?}");
    let all = format!("{}{}", output.stdout, output.stderr);
    assert!(all.contains("leaves room for 63"), "{output:?}");
    assert_eq!(gate.metric("tidegate_connections_limit"), 63.0);
    assert_eq!(gate.status()["connections"]["reserved_for_known"], 3);
}

#[test]
fn a_gate_without_room_for_a_connection_does_not_start() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    let config = folder.configure(&with_upstream(&[app.address], ""));
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" run --config \"$1\""])
        .arg(env!("CARGO_BIN_EXE_tidegate"))
        .arg(config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["may open 64 files", "LimitNOFILE"] {
        assert!(said.contains(part), "{said}");
    }
}

/// Behind a load balancer that announces each client before anything else.
fn announcing(app: &App, more: &str) -> Gate {
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = \"required\"\n";
    let client = "[client]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    Gate::before(app, &format!("{listener}{client}{more}"))
}

/// What a request is answered with that the load balancer sends for this client.
fn announced(gate: &Gate, client: &str) -> Option<u16> {
    let mut balancer = gate.connect();
    let _ = balancer.try_send(format!(
        "PROXY TCP4 {client} 127.0.0.1 4000 80\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n"
    ));
    balancer.try_response().map(|answer| answer.status)
}

#[test]
fn the_announced_client_is_the_one_that_the_door_judges() {
    let app = App::echoing_paths();
    let gate = announcing(&app, "");
    gate.verb(&["block", "add", "192.0.2.7"]).good();
    assert_eq!(announced(&gate, "192.0.2.7"), None);
    assert_eq!(announced(&gate, "192.0.2.8"), Some(200));
    let line = gate.log(1).remove(0);
    assert_eq!(
        (&line["client.address"], &line["reason"]),
        (&"192.0.2.7".into(), &"blocked".into()),
        "{line}"
    );
    gate.verb(&["known", "add", "192.0.2.8"]).good();
    gate.verb(&["mode", "known-only"]).good();
    assert_eq!(announced(&gate, "192.0.2.8"), Some(200));
    assert_eq!(announced(&gate, "192.0.2.9"), None);
    assert_eq!(
        (closed(&gate, "blocked"), closed(&gate, "unknown_client")),
        (1.0, 1.0)
    );
}

#[test]
fn the_reserve_is_for_known_clients_that_a_load_balancer_announces() {
    let app = App::echoing_paths();
    let caps = "[connections]\ntotal = 3\nreserved_for_known = 1\n";
    let gate = announcing(&app, caps);
    gate.verb(&["known", "add", "192.0.2.8"]).good();
    let held: Vec<Connection> = (0..2)
        .map(|_| {
            let mut balancer = gate.connect();
            balancer.send("PROXY TCP4 192.0.2.9 127.0.0.1 4000 80\r\n");
            assert_eq!(balancer.get("/").status, 200);
            balancer
        })
        .collect();
    assert_eq!(
        announced(&gate, "192.0.2.9"),
        None,
        "the last place is reserved"
    );
    assert_eq!(closed(&gate, "reserved"), 1.0);
    assert_eq!(announced(&gate, "192.0.2.8"), Some(200));
    drop(held);
}

#[test]
fn a_backlog_is_taken_in_no_faster_than_there_are_files() {
    let app = App::echoing_paths();
    let config =
        "threads = 1\n[client]\nconnections = 10000\n[connections]\nreserved_for_known = 0\n";
    let gate = Gate::with_files(&app, config, 130);
    let signal = |name: &str| {
        let mut kill = std::process::Command::new("kill");
        let done = kill.args([name, &gate.pid().to_string()]).status();
        assert!(done.unwrap().success(), "kill {name}");
    };
    signal("-STOP");
    let backlog: Vec<TcpStream> = (0..120)
        .map(|_| TcpStream::connect(gate.address).expect("the backlog has room"))
        .collect();
    signal("-CONT");
    eventually("each of them to be let in or closed", || {
        let accepted = "tidegate_connections_total{outcome=\"accepted\",reason=\"none\"}";
        gate.metric(accepted) + closed(&gate, "total") >= 120.0
    });
    assert!(
        !gate.has_said("could not be accepted"),
        "{:#?}",
        gate.messages()
    );
    let limit = gate.metric("tidegate_connections_limit");
    assert_eq!(gate.metric("tidegate_connections_open"), limit);
    drop(backlog);
}
