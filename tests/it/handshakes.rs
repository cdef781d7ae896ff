//! TLS handshakes: each ends in time, and no more of them than may be.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::{
    App, Authority, Connection, Folder, Gate, PATIENCE, ROOMY, Trust, eventually, tls_listener,
    with_upstream,
};

const NAME: &str = "one.example";
const DEADLINE: Duration = Duration::from_millis(600);
/// The latest end of what has this deadline.
const IN_TIME: Duration = Duration::from_millis(1600);
const KNOWN: &str = "127.0.0.9";

fn serving(app: &App, more: &str) -> (Gate, Trust) {
    serving_clients(app, ROOMY, DEADLINE, more)
}

/// With these clients, who have so long for their handshakes.
fn serving_clients(app: &App, clients: &str, deadline: Duration, more: &str) -> (Gate, Trust) {
    let (folder, authority) = (Folder::new(), Authority::new());
    let certificate = authority.issue(&[NAME]).write(&folder, "gate");
    folder.write("known.txt", format!("{KNOWN}\n"));
    let listener = tls_listener(&[certificate], "");
    let config = format!(
        "{clients}[known]\nfiles = [\"known.txt\"]\n[deadlines]\ntls_handshake = \"{}ms\"\n{more}{listener}",
        deadline.as_millis()
    );
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], &config));
    (gate, Trust::of(&authority))
}

/// Everything that the gate sends up to its end of the connection, and when that was. A reset is an
/// end, too.
fn end(mut connection: Connection, started: Instant) -> Duration {
    while !connection.is_closed() {}
    started.elapsed()
}

#[test]
fn a_handshake_that_stops_anywhere_is_ended_at_its_deadline() {
    let app = App::echoing_paths();
    let (gate, trust) = serving(&app, "");
    let hello = trust.hello(NAME);
    let old_hello = trust.over_1_2().hello(NAME);
    let cuts: Vec<&[u8]> = vec![
        b"",
        &hello[..1],
        &hello[..5],
        &hello[..hello.len() / 2],
        &hello[..hello.len() - 1],
        &hello,
        &old_hello,
    ];
    let started = Instant::now();
    let open: Vec<Connection> = cuts
        .iter()
        .map(|sent| {
            let mut connection = gate.connect();
            connection.send(sent);
            connection
        })
        .collect();
    let count = open.len();
    for (at, connection) in open.into_iter().enumerate() {
        let took = end(connection, started);
        assert!(
            (DEADLINE..IN_TIME).contains(&took),
            "cut {at} was held for {took:?}"
        );
    }
    eventually("all of them to be counted", || {
        gate.closed("tls_timeout") == count as f64
    });
    assert_eq!(gate.metric("tidegate_connections_open"), 0.0);
    assert_eq!(
        gate.metric("tidegate_connections_total{outcome=\"accepted\",reason=\"none\"}"),
        0.0
    );
}

#[test]
fn a_byte_now_and_then_does_not_put_the_deadline_off() {
    let app = App::echoing_paths();
    let (gate, trust) = serving(&app, "");
    let hello = trust.hello(NAME);
    let mut slow = gate.connect();
    let started = Instant::now();
    for byte in &hello {
        if slow.try_send([*byte]).is_err() || started.elapsed() > IN_TIME {
            break;
        }
        sleep(Duration::from_millis(20));
    }
    assert!(slow.is_closed());
    assert!(
        started.elapsed() < IN_TIME + Duration::from_millis(100),
        "{:?}",
        started.elapsed()
    );
    eventually("it to be counted", || gate.closed("tls_timeout") == 1.0);
    let mut fast = gate.connect();
    for byte in &hello {
        fast.send([*byte]);
    }
    assert_eq!(
        fast.read_exact(1),
        [22],
        "a hello in many segments is answered with a handshake"
    );
}

#[test]
fn with_all_places_taken_only_known_clients_complete_a_handshake() {
    let app = App::echoing_paths();
    let (gate, trust) = serving(&app, "[connections]\ntls_handshakes = 3\n");
    let hello = trust.hello(NAME);
    let hold = || {
        let mut connection = gate.connect();
        connection.send(&hello);
        assert_eq!(
            connection.read_exact(1),
            [22],
            "this handshake is under way"
        );
        connection
    };
    let held: Vec<Connection> = (0..3).map(|_| hold()).collect();
    let silent: Vec<Connection> = (0..10).map(|_| gate.connect()).collect();
    assert!(
        gate.try_encrypted(&trust, NAME).is_err(),
        "a fourth handshake"
    );
    assert_eq!(gate.closed("tls_handshakes"), 1.0);
    let customer = Connection::open_from(KNOWN, gate.address);
    let mut customer = customer
        .try_encrypt(trust.config(), NAME)
        .expect("a customer gets in");
    assert_eq!(customer.get("/").status, 200);
    drop(held);
    eventually("the places to be given back", || {
        gate.try_encrypted(&trust, NAME).is_ok()
    });
    drop(silent);
    assert_eq!(customer.get("/").status, 200, "the customer goes on");
}

/// Begins handshakes from one address until one is closed or there are so many.
fn begin(gate: &Gate, source: &str, hello: &[u8], most: usize) -> Vec<Connection> {
    let begun = (0..most).map_while(|_| {
        let mut connection = Connection::open_from(source, gate.address);
        connection.send(hello);
        let answer = connection.try_read().ok()?;
        assert_eq!(answer, 22, "a handshake is answered with one");
        Some(connection)
    });
    begun.collect()
}

/// A client sees the end of its connection before that is counted.
fn eventually_closed(gate: &Gate, count: f64) {
    eventually("what has no place to be counted", || {
        gate.closed("tls_handshakes") == count
    });
}

const WOULD_CLOSE: &str =
    "tidegate_would_refuse_total{mode=\"normal\",reason=\"connection_tls_handshakes\"}";

#[test]
fn a_client_has_its_share_of_the_places_and_a_proxy_that_speaks_for_many_has_all() {
    let app = App::echoing_paths();
    let trusting =
        format!("{ROOMY}address_from = \"x-forwarded-for\"\ntrusted_proxies = [\"127.0.0.1\"]\n");
    let places = "[connections]\ntls_handshakes = 20\n";
    let (gate, trust) = serving_clients(&app, &trusting, PATIENCE, places);
    let hello = trust.hello(NAME);
    let client = begin(&gate, "127.0.0.2", &hello, 10);
    assert_eq!(client.len(), 8, "one client");
    eventually_closed(&gate, 1.0);
    let proxy = begin(&gate, "127.0.0.1", &hello, 20);
    assert_eq!(proxy.len(), 12, "the proxy gets what is left of the places");
    eventually_closed(&gate, 2.0);
    assert_eq!(gate.metric(WOULD_CLOSE), 0.0);
}

#[test]
fn observing_leaves_a_client_more_than_its_share_and_counts_it() {
    let app = App::echoing_paths();
    let places = "[connections]\ntls_handshakes = 10\n";
    let (gate, trust) = serving_clients(&app, ROOMY, PATIENCE, places);
    gate.verb(&["mode", "observe"]).good();
    let client = begin(&gate, "127.0.0.2", &trust.hello(NAME), 20);
    assert_eq!(client.len(), 10, "all the places there are");
    assert_eq!(gate.metric(WOULD_CLOSE), 2.0, "two beyond its share");
    eventually_closed(&gate, 1.0);
}

#[test]
fn plain_http_is_told_to_use_https() {
    let app = App::echoing_paths();
    let (gate, _) = serving(&app, "");
    let answer = gate.get("/");
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("https"), "{answer:?}");
    let mut slow = gate.connect();
    for byte in b"GET / HTTP/1.1\r\nHost: test\r\n\r\n" {
        if slow.try_send([*byte]).is_err() {
            break;
        }
    }
    assert!(slow.is_closed() || slow.try_response().is_some());
    eventually("both to be counted", || gate.closed("tls_failed") == 2.0);
    assert_eq!(app.requests(), 0);
}

#[test]
fn what_is_not_tls_is_closed_at_once() {
    let app = App::echoing_paths();
    let (gate, trust) = serving(&app, "");
    let hello = trust.hello(NAME);
    let mut wrong_version = hello.clone();
    wrong_version[1..3].copy_from_slice(&[9, 9]);
    let mut wrong_type = hello.clone();
    wrong_type[0] = 23;
    let mut too_long = hello.clone();
    too_long[3..5].copy_from_slice(&[0xff, 0xff]);
    let mut wrong_message = hello.clone();
    wrong_message[5] = 2;
    let huge_message = [&[22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff], &[0; 70_000][..]].concat();
    let garbage: [&[u8]; 6] = [
        &wrong_version,
        &wrong_type,
        &too_long,
        &wrong_message,
        &[0xff; 100],
        &huge_message,
    ];
    for (at, bytes) in garbage.iter().enumerate() {
        let started = Instant::now();
        let mut connection = gate.connect();
        let _ = connection.try_send(bytes);
        let took = end(connection, started);
        assert!(took < DEADLINE, "garbage {at} was held for {took:?}");
    }
    eventually("each to be counted", || {
        gate.closed("tls_failed") == garbage.len() as f64
    });
    let mut client = gate.encrypted(&trust, NAME);
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn a_client_that_goes_away_in_the_middle_is_counted_as_gone() {
    let app = App::echoing_paths();
    let (gate, trust) = serving(&app, "");
    let hello = trust.hello(NAME);
    for length in [0, 10, hello.len()] {
        let mut connection = gate.connect();
        connection.send(&hello[..length]);
        connection.finish();
        let started = Instant::now();
        assert!(end(connection, started) < DEADLINE);
    }
    eventually("each to be counted", || gate.closed("gone") == 3.0);
}
