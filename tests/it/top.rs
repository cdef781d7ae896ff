//! Who sends the most, while it happens: `/v1/top`, and `tidegate top` as text and on a terminal.

mod owners;
mod terminal;

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::harness::{App, Connection, Gate, Load, PROXIED, ROOMY, Reply, Request, eventually};

fn top(gate: &Gate, arguments: &[&str]) -> Value {
    let mut all = vec!["top", "-o", "json"];
    all.extend(arguments);
    gate.verb(&all).json()
}

/// What the top tells once it tells of so many requests.
fn of(gate: &Gate, arguments: &[&str], requests: u64) -> Value {
    let mut seen = top(gate, arguments);
    eventually("all requests to be counted", || {
        seen = top(gate, arguments);
        seen["all"]["requests"] == requests
    });
    seen
}

/// Name and value of the sources of a kind, in their order.
fn named<'top>(seen: &'top Value, kind: &str, value: &str) -> Vec<(&'top str, &'top Value)> {
    let all = seen[kind].as_array().expect("a list");
    let pair = |one: &'top Value| (one["name"].as_str().expect("a name"), &one[value]);
    all.iter().map(pair).collect()
}

fn ask(gate: &Gate, source: &str, path: &str, fields: &[&str], times: usize) {
    let mut connection = Connection::open_from(source, gate.address);
    for _ in 0..times {
        connection.get_with(path, fields);
    }
}

#[test]
fn sources_are_told_by_what_they_ask_take_and_hold() {
    let app = App::answering(|request: &Request| match request.path.as_str() {
        "/large" => Reply::Full(200, Vec::new(), vec![b'x'; 100_000]),
        path => Reply::text(path),
    });
    let tenants = "[tenant]\nfrom = \"header:x-tenant\"\ntier = \"any\"\n[tier.any]\n[tenants]\nshop = \"any\"\n";
    let gate = Gate::before(&app, &format!("{ROOMY}{tenants}"));
    ask(
        &gate,
        "127.0.1.1",
        "/a",
        &["User-Agent: one", "X-Tenant: shop"],
        5,
    );
    ask(&gate, "127.0.1.2", "/a", &["User-Agent: two"], 3);
    ask(&gate, "127.0.2.1", "/large", &["User-Agent: two"], 1);
    ask(&gate, "127.0.2.1", "/b?secret", &[], 1);
    gate.verb(&["known", "add", "127.0.2.0/24"]).good();
    gate.verb(&["block", "add", "127.0.1.2", "--force"]).good();
    // Closed at the door, before a request is read.
    assert!(Connection::open_from("127.0.1.2", gate.address).is_closed());
    let seen = of(&gate, &[], 11);
    let five = json!(5);
    assert_eq!(
        named(&seen, "clients", "requests")[0],
        ("127.0.1.1", &five),
        "{seen:#}"
    );
    assert_eq!(
        named(&seen, "networks", "requests"),
        [("127.0.1.0/24", &json!(9)), ("127.0.2.0/24", &json!(2))]
    );
    assert_eq!(named(&seen, "tenants", "requests"), [("shop", &five)]);
    assert_eq!(
        named(&seen, "paths", "requests"),
        [("/a", &json!(8)), ("/large", &json!(1)), ("/b", &json!(1))],
        "without queries"
    );
    assert_eq!(
        named(&seen, "user_agents", "requests"),
        [("one", &five), ("two", &json!(4)), ("", &json!(1))]
    );
    let number = |value: &Value| value.as_f64().expect("a number");
    let first = &seen["clients"][0];
    assert_eq!(number(&first["error"]), 0.0, "it is exact");
    assert!(
        (number(&first["share"]) - 5.0 / 11.0).abs() < 1e-9,
        "{first}"
    );
    assert_eq!(
        (&seen["refused_one_in"], &seen["missed"]),
        (&json!(1), &json!(0))
    );
    let seen = top(&gate, &["--by", "bytes", "--limit", "1"]);
    assert_eq!(
        named(&seen, "clients", "known"),
        [("127.0.2.1", &json!(true))],
        "{seen:#}"
    );
    let seen = top(&gate, &["--by", "refused", "--window", "1m"]);
    assert_eq!(
        named(&seen, "clients", "blocked"),
        [("127.0.1.2", &json!(true))],
        "{seen:#}"
    );
}

#[test]
fn who_holds_the_app_is_told_by_the_time_and_not_by_the_number() {
    let (app, latch) = App::waiting_at_slow();
    let gate = Gate::before(&app, ROOMY);
    let mut slow = Connection::open_from("127.0.3.1", gate.address);
    slow.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the slow one to reach the app", || app.requests() == 1);
    ask(&gate, "127.0.3.2", "/", &[], 20);
    latch.open();
    assert_eq!(slow.response().status, 200);
    of(&gate, &[], 21);
    let seen = top(&gate, &["--by", "upstream"]);
    assert_eq!(
        named(&seen, "clients", "requests")[0],
        ("127.0.3.1", &json!(1)),
        "{seen:#}"
    );
    assert_eq!(named(&seen, "paths", "requests")[0].0, "/slow");
}

/// The share of the client of this rank.
fn share(seen: &Value, rank: usize) -> f64 {
    seen["clients"][rank]["share"].as_f64().unwrap_or(0.0)
}

#[test]
fn the_heaviest_of_a_flood_from_everywhere_is_named_first() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &format!("mode = \"known-only\"\n{PROXIED}"));
    // Each fiftieth request is of one client; the others are of a million.
    let load = Load::flood(&gate, |number| {
        let other = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 44;
        let client = match number % 50 {
            0 => Ipv4Addr::new(203, 0, 113, 7),
            _ => Ipv4Addr::from_bits(0x0A00_0000 | other as u32),
        };
        format!(
            "GET /{other} HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: {client}\r\nUser-Agent: bot {}\r\n\r\n",
            number % 3
        )
    });
    let mut seen = top(&gate, &[]);
    eventually("the heaviest to be named", || {
        seen = top(&gate, &["--by", "refused"]);
        seen["clients"][0]["name"] == "203.0.113.7"
    });
    load.wait_for(20_000);
    // The error is of two standard deviations: one look in twenty is further off.
    eventually("its share to be as told, within the error", || {
        seen = top(&gate, &["--by", "refused"]);
        let first = share(&seen, 0);
        let error = seen["clients"][0]["error"].as_f64().expect("a number");
        (first - 0.02).abs() <= error.max(0.002)
    });
    load.stop();
    assert!(share(&seen, 1) < share(&seen, 0) / 4.0, "{seen:#}");
    let told = seen["clients"].as_array().map_or(0, Vec::len);
    assert!((1..=10).contains(&told), "{seen:#}");
    let agents = named(&seen, "user_agents", "share");
    assert_eq!(agents.len(), 3, "{agents:?}");
}

#[test]
fn what_a_client_sends_does_not_write_on_the_terminal() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, ROOMY);
    let long = format!("/{}", "long/".repeat(2000));
    let mut client = gate.connect();
    client.send("GET /a HTTP/1.1\r\nHost: test\r\nUser-Agent: \u{9b}2J\u{202e}evil\r\n\r\n");
    client.response();
    ask(
        &gate,
        "127.0.0.1",
        &long,
        &["User-Agent: \t \"quoted\" \\"],
        1,
    );
    let seen = of(&gate, &["--limit", "100"], 2);
    let paths = named(&seen, "paths", "requests");
    assert!(paths.iter().all(|(path, _)| path.len() <= 96), "{paths:?}");
    let text = gate.verb(&["top"]).good();
    assert!(
        text.contains("evil") && text.contains("\"quoted\""),
        "{text}"
    );
    let unseen = |letter: char| letter != '\n' && letter.is_control() || letter == '\u{202e}';
    assert!(!text.contains(unseen), "{text:?}");
}

#[test]
fn what_cannot_be_asked_is_told() {
    let gate = Gate::before(&App::echoing_paths(), "");
    for (arguments, told) in [
        (
            ["--by", "colour"],
            "possible values: requests, refused, bytes, upstream",
        ),
        (["--window", "7s"], "possible values: 10s, 1m, 10m"),
        (["--limit", "0"], "0 is not in 1..=100"),
    ] {
        let refused = gate.verb(&[&["top"], &arguments[..]].concat());
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
}
