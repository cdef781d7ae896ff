//! Who the client is: the peer, or whom a trusted proxy names.

use crate::harness::{App, Connection, Gate};

/// One request for each client, by what trusted proxies say.
const NAMED: &str = "[client]\naddress_from = \"x-forwarded-for\"\n\
    trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n\
    limit = { rate = \"1/h\", burst = 1 }\n";

struct Asked {
    gate: Gate,
    client: Connection,
    _app: App,
}

impl Asked {
    fn new() -> Asked {
        let app = App::echoing_paths();
        let gate = Gate::before(&app, NAMED);
        Asked {
            client: gate.connect(),
            gate,
            _app: app,
        }
    }

    /// Whether a request with this `X-Forwarded-For` is one of `client`, as the access log has it,
    /// and whether it was its first.
    fn ask(&mut self, forwarded_for: &str) -> u16 {
        let field = format!("X-Forwarded-For: {forwarded_for}");
        self.client.get_with("/", &[&field]).status
    }

    /// The clients of all requests so far.
    fn clients(&self, count: usize) -> Vec<String> {
        let lines = self.gate.log(count);
        let address =
            |line: &serde_json::Value| line["client.address"].as_str().unwrap().to_owned();
        lines.iter().map(address).collect()
    }
}

#[test]
fn each_client_that_a_trusted_proxy_names_has_a_limit_of_its_own() {
    let mut asked = Asked::new();
    assert_eq!(asked.ask("192.0.2.1"), 200);
    assert_eq!(asked.ask("192.0.2.2"), 200);
    assert_eq!(asked.ask("192.0.2.1"), 429);
    assert_eq!(asked.ask("192.0.2.2"), 429);
    assert_eq!(asked.ask("192.0.2.3"), 200);
}

#[test]
fn what_a_client_writes_left_of_its_own_address_is_hearsay() {
    let mut asked = Asked::new();
    assert_eq!(asked.ask("192.0.2.1"), 200);
    for invented in ["203.0.113.1", "203.0.113.2", "127.0.0.1", "10.1.1.1"] {
        assert_eq!(asked.ask(&format!("{invented}, 192.0.2.1")), 429);
    }
}

#[test]
fn the_walk_goes_past_trusted_proxies_from_the_right() {
    let mut asked = Asked::new();
    assert_eq!(asked.ask("192.0.2.1, 10.0.0.1, 10.255.0.1"), 200);
    assert_eq!(asked.ask("203.0.113.1, 192.0.2.1, 10.0.0.2"), 429);
    // None but trusted ones: the leftmost is the best there is.
    assert_eq!(asked.ask("10.0.0.1, 10.0.0.2"), 200);
    assert_eq!(asked.clients(3), ["192.0.2.1", "192.0.2.1", "10.0.0.1"]);
}

#[test]
fn an_entry_that_cannot_be_read_ends_the_walk() {
    let mut asked = Asked::new();
    let broken = ["unknown", "192.0.2.300", "", "_hidden", "10.0.0", "::g"];
    for entry in broken {
        asked.ask(&format!("192.0.2.1, {entry}"));
        asked.ask(&format!("192.0.2.1, {entry}, 10.0.0.1"));
    }
    let clients = asked.clients(2 * broken.len());
    for (entry, client) in broken.iter().zip(clients.chunks(2)) {
        assert_eq!(
            client,
            ["127.0.0.1", "10.0.0.1"],
            "after {entry:?} the last trusted one is the client"
        );
    }
}

#[test]
fn entries_may_have_ports_and_may_be_ipv6() {
    let mut asked = Asked::new();
    let entries = [
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8:1::1]", "2001:db8:1::1"),
        ("[2001:db8:2::1]:443", "2001:db8:2::1"),
        ("::ffff:192.0.2.9", "192.0.2.9"),
        ("  192.0.2.7\t", "192.0.2.7"),
    ];
    for (entry, _) in entries {
        assert_eq!(asked.ask(entry), 200, "{entry:?}");
    }
    let clients = asked.clients(entries.len());
    assert_eq!(clients, entries.map(|(_, client)| client));
}

#[test]
fn an_ipv6_network_is_one_client() {
    let mut asked = Asked::new();
    assert_eq!(asked.ask("2001:db8:0:1::1"), 200);
    assert_eq!(asked.ask("2001:db8:0:1:ffff::2"), 429, "the same /64");
    assert_eq!(asked.ask("2001:db8:0:2::1"), 200, "another /64");
}

#[test]
fn several_fields_are_one_list() {
    let mut asked = Asked::new();
    let two = ["X-Forwarded-For: 203.0.113.1", "X-Forwarded-For: 192.0.2.1"];
    assert_eq!(asked.client.get_with("/", &two).status, 200);
    assert_eq!(asked.clients(1), ["192.0.2.1"]);
}

#[test]
fn an_untrusted_peer_cannot_name_anybody() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, NAMED);
    let mut client = Connection::open_from("127.0.0.2", gate.address);
    let first = client.get_with("/", &["X-Forwarded-For: 192.0.2.1"]);
    let second = client.get_with("/", &["X-Forwarded-For: 192.0.2.2"]);
    assert_eq!((first.status, second.status), (200, 429));
    assert_eq!(gate.log(2)[1]["client.address"], "127.0.0.2");
}

#[test]
fn without_being_told_to_the_gate_believes_no_header_at_all() {
    let app = App::echoing_paths();
    let config =
        "[client]\ntrusted_proxies = [\"127.0.0.0/8\"]\nlimit = { rate = \"1/h\", burst = 1 }";
    let gate = Gate::before(&app, config);
    let mut client = gate.connect();
    let first = client.get_with("/", &["X-Forwarded-For: 192.0.2.1"]);
    let second = client.get_with("/", &["X-Forwarded-For: 192.0.2.2"]);
    assert_eq!((first.status, second.status), (200, 429));
}
