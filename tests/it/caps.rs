//! Caps on open connections: of one client, and of all of them.

use crate::harness::{App, Connection, Gate, Latch, Reply, eventually};

/// Connections closed at the door for this reason.
fn closed(gate: &Gate, reason: &str) -> f64 {
    gate.metric(&format!(
        "tidegate_connections_total{{outcome=\"refused\",reason=\"{reason}\"}}"
    ))
}

fn open(gate: &Gate) -> f64 {
    gate.metric("tidegate_connections_open")
}

/// A connection that was let in, which its first response shows.
fn let_in(gate: &Gate, source: &str) -> Connection {
    let mut client = Connection::open_from(source, gate.address);
    assert_eq!(client.get("/").status, 200, "{source} is let in");
    client
}

/// Whether a new connection from here is closed before anything was read.
fn is_shut_out(gate: &Gate, source: &str) -> bool {
    let connection = Connection::try_open_from(source, gate.address);
    connection.is_ok_and(|mut client| {
        let _ = client.try_send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        client.try_response().is_none()
    })
}

#[test]
fn a_client_has_so_many_connections_and_another_one_its_own() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "[client]\nconnections = 3\n");
    let mut clients: Vec<_> = (0..3).map(|_| let_in(&gate, "127.0.0.1")).collect();
    assert!(is_shut_out(&gate, "127.0.0.1"), "a fourth connection");
    assert_eq!(closed(&gate, "client"), 1.0);
    let _other = let_in(&gate, "127.0.0.2");
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200, "open ones are not disturbed");
    }
    assert_eq!(open(&gate), 4.0);
}

#[test]
fn all_clients_together_have_so_many_connections() {
    let app = App::echoing_paths();
    let gate = Gate::before(
        &app,
        "[connections]\ntotal = 3\n[client]\nconnections = 2\n",
    );
    let sources = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
    let clients: Vec<_> = sources.map(|source| let_in(&gate, source)).into();
    assert!(is_shut_out(&gate, "127.0.0.4"));
    assert_eq!(closed(&gate, "total"), 1.0);
    assert_eq!(gate.metric("tidegate_connections_limit"), 3.0);
    drop(clients);
    eventually("the places to be given back", || open(&gate) == 0.0);
    let_in(&gate, "127.0.0.4");
}

/// What ends a connection, and what the client does to that end.
type Ending = (&'static str, fn(&mut Connection));

#[test]
fn a_place_is_given_back_however_the_connection_ends() {
    let latch = Latch::new();
    let waiting = latch.clone();
    let app = App::answering(move |request| match request.path.as_str() {
        "/wait" => {
            waiting.wait();
            Reply::text("late")
        }
        "/broken" => Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".into()),
        path => Reply::text(path),
    });
    let config = "[client]\nconnections = 1\nlimit = { rate = \"1000/s\", burst = 1000 }\n\
                  [deadlines]\nkeepalive = \"1s\"\nrequest_header = \"1s\"\n";
    let gate = Gate::before(&app, config);
    let endings: [Ending; 9] = [
        ("closed before a request", |_| ()),
        ("closed after a response", |client| drop(client.get("/"))),
        ("closed by the client's word", |client| {
            drop(client.get_with("/", &["Connection: close"]));
        }),
        ("closed in the middle of a head", |client| {
            client.send("GET / HT")
        }),
        ("closed in the middle of a body", |client| {
            client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf");
        }),
        ("closed while the app works", |client| {
            client.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n");
        }),
        ("malformed", |client| {
            client.send("nonsense\r\n\r\n");
            assert_eq!(client.response().status, 400);
        }),
        ("broken by the app", |client| {
            client.send("GET /broken HTTP/1.1\r\nHost: test\r\n\r\n");
            assert!(client.try_response().is_none());
        }),
        ("idle for too long", |client| {
            assert_eq!(client.get("/").status, 200);
            assert!(client.is_closed());
        }),
    ];
    for (ending, act) in endings {
        let mut client = gate.connect();
        act(&mut client);
        drop(client);
        eventually(
            &format!("the place of a connection that was {ending}"),
            || open(&gate) == 0.0,
        );
    }
    latch.open();
    let_in(&gate, "127.0.0.1");
}

#[test]
fn connections_of_a_trusted_proxy_are_not_one_clients() {
    let app = App::echoing_paths();
    let gate = Gate::before(
        &app,
        "[client]\nconnections = 1\ntrusted_proxies = [\"127.0.0.1\"]\naddress_from = \"x-forwarded-for\"\n",
    );
    let _clients: Vec<_> = (0..5).map(|_| let_in(&gate, "127.0.0.1")).collect();
    let _other = let_in(&gate, "127.0.0.2");
    assert!(is_shut_out(&gate, "127.0.0.2"));
}

#[test]
fn observing_counts_a_clients_connections_and_closes_none() {
    let app = App::echoing_paths();
    let gate = Gate::before(
        &app,
        "mode = \"observe\"\n[client]\nconnections = 2\n[connections]\ntotal = 5\n",
    );
    let _clients: Vec<_> = (0..5).map(|_| let_in(&gate, "127.0.0.1")).collect();
    let would = "tidegate_would_refuse_total{mode=\"normal\",reason=\"connection_client\"}";
    assert_eq!(gate.metric(would), 3.0);
    assert!(
        is_shut_out(&gate, "127.0.0.2"),
        "the total cap is for the gate's own safety"
    );
    assert_eq!(
        (closed(&gate, "client"), closed(&gate, "total")),
        (0.0, 1.0)
    );
}

#[test]
fn the_admin_side_answers_while_every_connection_is_taken() {
    let app = App::echoing_paths();
    let gate = Gate::before(
        &app,
        "[connections]\ntotal = 2\n[client]\nconnections = 2\n",
    );
    let _clients = [let_in(&gate, "127.0.0.1"), let_in(&gate, "127.0.0.1")];
    assert!(is_shut_out(&gate, "127.0.0.1"));
    let connections = &gate.status()["connections"];
    assert_eq!(
        (connections["open"].clone(), connections["limit"].clone()),
        (2.into(), 2.into())
    );
    assert_eq!(connections["refused"], 1);
}
