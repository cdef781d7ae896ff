//! Who the client is: the peer, or whom a trusted proxy names.

use crate::harness::{App, Connection, Gate};

/// One request for each client, by what trusted proxies say in `X-Forwarded-For` or `Forwarded`.
fn named_by(header: &str) -> String {
    format!(
        "[client]\naddress_from = \"{header}\"\n\
         trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n\
         limit = {{ rate = \"1/h\", burst = 1 }}\n"
    )
}

struct Asked {
    header: &'static str,
    gate: Gate,
    client: Connection,
    _app: App,
}

impl Asked {
    fn new() -> Asked {
        Asked::by("x-forwarded-for")
    }

    fn by(header: &'static str) -> Asked {
        let app = App::echoing_paths();
        let gate = Gate::before(&app, &named_by(header));
        Asked {
            header,
            client: gate.connect(),
            gate,
            _app: app,
        }
    }

    /// The status of a request with this value in the header: 200 for a client's first one, then 429.
    fn ask(&mut self, value: &str) -> u16 {
        let field = format!("{}: {value}", self.header);
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
fn an_ipv4_address_is_one_client_however_it_is_written() {
    let mut asked = Asked::new();
    assert_eq!(asked.ask("192.0.2.1"), 200);
    for same in [
        "::ffff:192.0.2.1",
        "::FFFF:c000:201",
        "[::ffff:192.0.2.1]:443",
        "192.0.2.1:1",
    ] {
        assert_eq!(asked.ask(same), 429, "{same} is 192.0.2.1");
    }
    assert_eq!(asked.ask("::ffff:192.0.2.2"), 200, "another client");
}

#[test]
fn a_header_that_names_nobody_leaves_the_proxy_as_the_client() {
    let empty = ["", " ", ",", ",,,,", " , ,\t, "];
    for header in ["x-forwarded-for", "forwarded"] {
        let mut asked = Asked::by(header);
        let statuses = empty.map(|value| asked.ask(value));
        assert_eq!(statuses, [200, 429, 429, 429, 429], "{header}: one client");
        assert_eq!(asked.clients(empty.len()), ["127.0.0.1"; 5], "{header}");
    }
}

#[test]
fn a_header_of_ten_kilobytes_is_read_from_its_near_end() {
    let mut asked = Asked::new();
    let hearsay = "203.0.113.1, ".repeat(800);
    let garbage = "\"\u{fffd}();[::],%00, ".repeat(500);
    let proxies = ", 10.0.0.7".repeat(1_000);
    for (number, before) in [&hearsay, &garbage].iter().enumerate() {
        let client = format!("192.0.2.{number}");
        assert_eq!(asked.ask(&format!("{before}{client}")), 200);
        assert_eq!(asked.ask(&client), 429, "{client} was not found");
    }
    assert_eq!(asked.ask(&format!("192.0.2.9{proxies}")), 200);
    assert_eq!(asked.ask("192.0.2.9"), 429, "behind a thousand proxies");
    // What cannot be read in the middle of them ends the walk there.
    assert_eq!(asked.ask(&format!("192.0.2.8{proxies}, x{proxies}")), 200);
    assert_eq!(asked.ask("192.0.2.8"), 200, "nobody vouched for it");
    assert_eq!(asked.clients(8)[6], "10.0.0.7");
}

#[test]
fn forwarded_names_clients_as_rfc_7239_writes_them() {
    let mut asked = Asked::by("forwarded");
    let values = [
        ("for=192.0.2.1", "192.0.2.1"),
        ("For=\"192.0.2.2:4711\";proto=https", "192.0.2.2"),
        ("proto=http; for=\"[2001:db8:1::1]:443\"", "2001:db8:1::1"),
        ("for=\"[::ffff:192.0.2.3]\"", "192.0.2.3"),
        ("for=203.0.113.1, for=192.0.2.4;by=10.0.0.1", "192.0.2.4"),
        ("for=192.0.2.5, for=10.0.0.1", "192.0.2.5"),
        // Hidden or malformed: the last one who is vouched for.
        ("for=192.0.2.6, for=_hidden", "127.0.0.1"),
        ("for=192.0.2.6, for=unknown, for=10.0.0.2", "10.0.0.2"),
        ("for=192.0.2.6;for=192.0.2.7, for=10.0.0.3", "10.0.0.3"),
        ("for=\"192.0.2.6, for=10.0.0.4", "10.0.0.4"),
    ];
    for (value, _) in values {
        assert_eq!(asked.ask(value), 200, "{value:?} is of a new client");
    }
    let clients = asked.clients(values.len());
    assert_eq!(clients, values.map(|(_, client)| client));
    for (value, client) in values {
        assert_eq!(asked.ask(value), 429, "{value:?} is of {client}");
    }
}

#[test]
fn of_the_two_headers_only_the_one_that_was_chosen_counts() {
    for (chosen, other) in [
        ("x-forwarded-for", "Forwarded: for="),
        ("forwarded", "X-Forwarded-For: "),
    ] {
        let mut asked = Asked::by(chosen);
        let fields = ["192.0.2.1", "192.0.2.2"].map(|client| format!("{other}{client}"));
        let statuses = fields.map(|field| asked.client.get_with("/", &[&field]).status);
        assert_eq!(statuses, [200, 429], "{chosen}");
        assert_eq!(asked.clients(2), ["127.0.0.1"; 2], "{chosen}");
    }
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
    let gate = Gate::before(&app, &named_by("x-forwarded-for"));
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
