//! The PROXY protocol: whom a load balancer names, and what is not a header.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::harness::{
    App, Authority, Connection, Folder, Gate, Trust, eventually, tls_listener, with_upstream,
};

const NAME: &str = "one.example";
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const DEADLINE: Duration = Duration::from_millis(600);
const IN_TIME: Duration = Duration::from_millis(1600);

/// A gate that takes headers on a plain and on a TLS listener, and its clients' trust.
fn behind_a_balancer(app: &App, more: &str) -> (Gate, Trust) {
    let (folder, authority) = (Folder::new(), Authority::new());
    let certificate = authority.issue(&[NAME]).write(&folder, "gate");
    let required = "proxy_protocol = \"required\"\n";
    let client = match more.contains("[client]") {
        true => "",
        false => "[client]\nconnections = 1000\n",
    };
    let config = format!(
        "{more}{client}trusted_proxies = [\"127.0.0.1\"]\n[deadlines]\nproxy_header = \"{}ms\"\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n{required}{}",
        DEADLINE.as_millis(),
        tls_listener(&[certificate], required)
    );
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], &config));
    (gate, Trust::of(&authority))
}

/// A connection that begins with these bytes.
fn beginning(gate: &Gate, header: impl AsRef<[u8]>) -> Connection {
    let mut connection = gate.connect();
    connection.send(header);
    connection
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2 with this command, family and rest (section 2.2 of its text).
fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

/// Client and destination with their ports, as version 2 writes them.
fn addresses(client: &str) -> Vec<u8> {
    let octets = |address: &str| match address.parse().unwrap() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let destination = if client.contains(':') {
        "2001:db8::ff"
    } else {
        "192.0.2.255"
    };
    [
        octets(client),
        octets(destination),
        vec![0xdc, 0x04, 0x01, 0xbb],
    ]
    .concat()
}

/// Every good header, and the client that it names; `None` for the balancer itself.
fn good_headers() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    let (v4, v6) = (addresses("198.51.100.7"), addresses("2001:db8::7"));
    // PP2_TYPE_ALPN and PP2_TYPE_NOOP, as balancers add them.
    let extras = [&v4[..], &[1, 0, 2, b'h', b'2', 4, 0, 3, 0, 0, 0]].concat();
    let padded = [&v4[..], &[4, 7, 0xd0], &[0; 2000]].concat();
    vec![
        ("v1 TCP4", b"PROXY TCP4 198.51.100.7 192.0.2.255 56324 443\r\n".to_vec(), Some("198.51.100.7")),
        ("v1 TCP6", b"PROXY TCP6 2001:db8::7 2001:db8::ff 56324 443\r\n".to_vec(), Some("2001:db8::7")),
        ("v1 UNKNOWN", b"PROXY UNKNOWN\r\n".to_vec(), None),
        (
            "v1 UNKNOWN, the longest",
            b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"
                .to_vec(),
            None,
        ),
        ("v2 TCP4", version_2(0x21, 0x11, &v4), Some("198.51.100.7")),
        ("v2 TCP6", version_2(0x21, 0x21, &v6), Some("2001:db8::7")),
        ("v2 mapped", version_2(0x21, 0x21, &addresses("::ffff:198.51.100.7")), Some("198.51.100.7")),
        ("v2 LOCAL", version_2(0x20, 0x00, &[]), None),
        ("v2 LOCAL with addresses", version_2(0x20, 0x11, &v4), None),
        ("v2 LOCAL of a UNIX socket", version_2(0x20, 0x31, &[0; 216]), None),
        ("v2 UNSPEC", version_2(0x21, 0x00, &[]), None),
        ("v2 with extras", version_2(0x21, 0x11, &extras), Some("198.51.100.7")),
        ("v2 padded to its bound", version_2(0x21, 0x11, &padded), Some("198.51.100.7")),
    ]
}

#[test]
fn the_client_that_a_header_names_is_the_client() {
    let app = App::echoing_paths();
    let (gate, trust) = behind_a_balancer(&app, "");
    for (what, header, named) in good_headers() {
        let named = named.unwrap_or("127.0.0.1");
        // The header and the request in one segment, and one after the other.
        let mut at_once = beginning(&gate, [&header, REQUEST.as_bytes()].concat());
        assert_eq!(at_once.response().status, 200, "{what}");
        assert_eq!(
            app.last().field("x-forwarded-for").as_deref(),
            Some(named),
            "{what}"
        );
        let mut later = beginning(&gate, &header);
        assert_eq!(later.get("/").status, 200, "{what}");
        assert_eq!(later.get("/").status, 200, "{what}: the connection is kept");
        let mut encrypted = Connection::open(gate.listeners[1]);
        encrypted.send(&header);
        let mut encrypted = encrypted.try_encrypt(trust.config(), NAME).expect(what);
        assert_eq!(encrypted.get("/").status, 200, "{what}");
        let last = app.last();
        assert_eq!(
            last.field("x-forwarded-for").as_deref(),
            Some(named),
            "{what} and TLS"
        );
        assert_eq!(last.field("x-forwarded-proto").as_deref(), Some("https"));
    }
    let lines = gate.log(good_headers().len() * 4);
    let logged = lines
        .iter()
        .filter(|line| line["client.address"] == "198.51.100.7");
    assert_eq!(
        logged.count(),
        20,
        "lines of the access log that name the client"
    );
    gate.says("with a PROXY protocol header");
    let status = gate.verb(&["status"]).good();
    assert!(
        status.contains(&format!("http://{} (PROXY)", gate.listeners[0])),
        "{status}"
    );
}

#[test]
fn a_header_and_a_first_message_of_tls_may_share_a_segment() {
    let app = App::echoing_paths();
    let (gate, trust) = behind_a_balancer(&app, "");
    for (what, header, _) in good_headers() {
        let mut connection = Connection::open(gate.listeners[1]);
        connection.send([header, trust.hello(NAME)].concat());
        assert_eq!(
            connection.read_exact(1),
            [22],
            "{what}: the handshake is answered"
        );
    }
}

#[test]
fn a_header_may_come_byte_by_byte() {
    let app = App::echoing_paths();
    let (gate, _) = behind_a_balancer(&app, "");
    for (what, header, named) in good_headers() {
        let mut connection = gate.connect();
        for byte in header.iter().take(250) {
            connection.send([*byte]);
        }
        connection.send(header.get(250..).unwrap_or_default());
        assert_eq!(connection.get("/").status, 200, "{what}");
        let client = app.last().field("x-forwarded-for");
        assert_eq!(
            client.as_deref(),
            Some(named.unwrap_or("127.0.0.1")),
            "{what}"
        );
    }
}

#[test]
fn what_is_not_a_header_is_closed_at_once_and_counted() {
    let app = App::echoing_paths();
    let (gate, _) = behind_a_balancer(&app, "");
    let v4 = addresses("198.51.100.7");
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    let endless = format!("PROXY TCP4 {}", "1".repeat(200));
    let mut wrong_signature = version_2(0x21, 0x11, &v4);
    wrong_signature[11] = b'X';
    let mut over_the_bound = version_2(0x21, 0x11, &v4);
    over_the_bound[14..16].copy_from_slice(&2033_u16.to_be_bytes());
    let malformed: Vec<(&str, Vec<u8>)> = vec![
        ("HTTP", REQUEST.into()),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
        (
            "lower case",
            b"proxy tcp4 198.51.100.7 192.0.2.1 1 2\r\n".to_vec(),
        ),
        ("v1 of 108 bytes", long.into()),
        ("v1 without an end", endless.into()),
        (
            "v1 with another family",
            b"PROXY UDP4 198.51.100.7 192.0.2.1 1 2\r\n".to_vec(),
        ),
        (
            "v1 without a destination",
            b"PROXY TCP4 198.51.100.7\r\n".to_vec(),
        ),
        (
            "v1 without a family",
            b"PROXY \r\nGET / HTTP/1.1\r\n\r\n".to_vec(),
        ),
        (
            "v1 with a wrong address",
            b"PROXY TCP4 198.51.100.256 192.0.2.1 1 2\r\n".to_vec(),
        ),
        (
            "v1 with a name",
            b"PROXY TCP4 localhost 192.0.2.1 1 2\r\n".to_vec(),
        ),
        (
            "v1 with IPv6 as TCP4",
            b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n".to_vec(),
        ),
        (
            "v1 with a wrong port",
            b"PROXY TCP4 198.51.100.7 192.0.2.1 65536 2\r\n".to_vec(),
        ),
        (
            "v1 with a part too many",
            b"PROXY TCP4 198.51.100.7 192.0.2.1 1 2 3\r\n".to_vec(),
        ),
        (
            "v1 with a bare LF",
            b"PROXY TCP4 198.51.100.7 192.0.2.1 1 2\nGET / HTTP/1.1\r\n\r\n".to_vec(),
        ),
        ("v2 with another signature", wrong_signature),
        ("version 1 in binary", version_2(0x11, 0x11, &v4)),
        ("version 3", version_2(0x31, 0x11, &v4)),
        ("an unknown command", version_2(0x22, 0x11, &v4)),
        ("an unknown family", version_2(0x21, 0x41, &v4)),
        ("an unknown protocol", version_2(0x21, 0x13, &v4)),
        ("datagrams", version_2(0x21, 0x12, &v4)),
        (
            "datagrams over IPv6",
            version_2(0x21, 0x22, &addresses("2001:db8::7")),
        ),
        ("a UNIX socket", version_2(0x21, 0x31, &[0; 216])),
        ("no room for addresses", version_2(0x21, 0x11, &v4[..11])),
        ("no room for IPv6", version_2(0x21, 0x21, &v4)),
        ("longer than the bound", over_the_bound),
        (
            "garbage",
            (0..200_u8).map(|at| at.wrapping_mul(37)).collect(),
        ),
    ];
    for (at, (what, bytes)) in malformed.iter().enumerate() {
        let started = Instant::now();
        let mut connection = gate.connect();
        let _ = connection.try_send(bytes);
        assert!(connection.is_closed(), "{what} got an answer");
        assert!(started.elapsed() < DEADLINE, "{what} was held");
        let counted = at + 1;
        eventually(&format!("{what} to be counted"), || {
            gate.closed("proxy_malformed") == counted as f64
        });
    }
    assert_eq!(app.requests(), 0);
}

#[test]
fn a_second_header_is_a_malformed_request() {
    let app = App::echoing_paths();
    let (gate, _) = behind_a_balancer(&app, "");
    let first = "PROXY TCP4 198.51.100.7 192.0.2.1 1 2\r\n";
    for second in [
        b"PROXY TCP4 203.0.113.9 192.0.2.1 1 2\r\n".to_vec(),
        version_2(0x20, 0, &[]),
    ] {
        let bytes = [first.as_bytes(), &second, REQUEST.as_bytes()].concat();
        assert_eq!(beginning(&gate, bytes).response().status, 400);
    }
    assert_eq!(app.requests(), 0);
}

#[test]
fn a_header_cut_anywhere_ends_at_its_deadline_or_with_the_connection() {
    let app = App::echoing_paths();
    let (gate, _) = behind_a_balancer(&app, "");
    let headers = [
        good_headers()[0].1.clone(),
        version_2(0x21, 0x11, &addresses("198.51.100.7")),
    ];
    let cuts: Vec<&[u8]> = headers
        .iter()
        .flat_map(|header| (0..header.len()).map(|cut| &header[..cut]))
        .collect();
    for cut in &cuts {
        let mut gone = beginning(&gate, cut);
        gone.finish();
        assert!(gone.is_closed(), "{} bytes", cut.len());
    }
    eventually("each to be counted as gone", || {
        gate.closed("gone") == cuts.len() as f64
    });
    let started = Instant::now();
    let open: Vec<Connection> = cuts.iter().map(|cut| beginning(&gate, cut)).collect();
    for (at, mut connection) in open.into_iter().enumerate() {
        assert!(connection.is_closed(), "cut {at}");
        let took = started.elapsed();
        assert!(
            (DEADLINE..IN_TIME).contains(&took),
            "cut {at} was held for {took:?}"
        );
    }
    eventually("each to be counted as late", || {
        gate.closed("proxy_timeout") == cuts.len() as f64
    });
    assert_eq!(gate.metric("tidegate_connections_open"), 0.0);
}

#[test]
fn a_byte_now_and_then_does_not_put_the_deadline_off() {
    let app = App::echoing_paths();
    let (gate, _) = behind_a_balancer(&app, "");
    let mut slow = gate.connect();
    let started = Instant::now();
    for byte in &good_headers()[3].1 {
        if slow.try_send([*byte]).is_err() || started.elapsed() > IN_TIME {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(
        slow.is_closed() && started.elapsed() < IN_TIME,
        "{:?}",
        started.elapsed()
    );
    eventually("it to be counted", || gate.closed("proxy_timeout") == 1.0);
}

#[test]
fn a_peer_that_is_not_trusted_names_nobody() {
    let app = App::echoing_paths();
    let (gate, _) = behind_a_balancer(&app, "");
    for (at, (what, header, _)) in good_headers().into_iter().enumerate() {
        let mut stranger = Connection::open_from("127.0.0.2", gate.address);
        let _ = stranger.try_send([&header, REQUEST.as_bytes()].concat());
        assert!(stranger.is_closed(), "{what}");
        eventually("it to be counted", || {
            gate.closed("proxy_untrusted") == (at + 1) as f64
        });
    }
    let mut silent = Connection::open_from("127.0.0.2", gate.address);
    let started = Instant::now();
    assert!(silent.is_closed());
    assert!(started.elapsed() < DEADLINE, "it is not waited for");
    assert_eq!(app.requests(), 0);
}

fn announcing(client: &str) -> String {
    format!("PROXY TCP4 {client} 192.0.2.255 1 2\r\n")
}

#[test]
fn caps_and_limits_are_the_named_clients() {
    let app = App::echoing_paths();
    let limits = "[client]\nconnections = 2\nlimit = { rate = \"1/h\", burst = 3 }\n";
    let (gate, _) = behind_a_balancer(&app, limits);
    let open = |client: &str| beginning(&gate, announcing(client));
    let mut own = [open("198.51.100.7"), open("198.51.100.7")];
    let statuses = [0, 1, 0, 1].map(|at: usize| own[at].get("/").status);
    assert_eq!(statuses, [200, 200, 200, 429], "one budget");
    assert!(
        open("198.51.100.7").is_closed(),
        "a third connection of this client"
    );
    assert_eq!(gate.closed("client"), 1.0);
    let mut other = open("198.51.100.8");
    assert_eq!(other.get("/").status, 200, "another client");
}

#[test]
fn known_customers_are_told_by_the_name_in_the_header() {
    let app = App::echoing_paths();
    let (gate, _) = behind_a_balancer(&app, "");
    gate.verb(&["known", "add", "198.51.100.7"]).good();
    gate.verb(&["mode", "known-only"]).good();
    let ask = |client: &str| {
        let mut client = beginning(&gate, announcing(client));
        client.try_send(REQUEST).ok()?;
        client.try_response()
    };
    assert_eq!(ask("198.51.100.7").map(|answer| answer.status), Some(200));
    assert!(ask("198.51.100.8").is_none_or(|answer| answer.status == 503));
    assert_eq!(app.requests(), 1);
}

/// A plain listener with this much more in its table.
fn plain(app: &App, more: &str) -> String {
    let listener = format!("[[listener]]\naddress = \"127.0.0.1:0\"\n{more}");
    with_upstream(
        &[app.address],
        &format!("[client]\ntrusted_proxies = [\"127.0.0.1\"]\n{listener}"),
    )
}

#[test]
fn headers_are_required_from_a_reload_on() {
    let app = App::echoing_paths();
    let gate = Gate::start(&plain(&app, ""));
    let mut kept = gate.connect();
    assert_eq!(kept.get("/").status, 200);
    gate.folder
        .configure(&plain(&app, "proxy_protocol = \"required\"\n"));
    let said = gate.verb(&["reload"]).good();
    assert!(said.contains("proxy_protocol"), "{said}");
    assert!(beginning(&gate, REQUEST).is_closed(), "no header");
    assert_eq!(
        beginning(&gate, announcing("198.51.100.7")).get("/").status,
        200
    );
    assert_eq!(
        app.last().field("x-forwarded-for").as_deref(),
        Some("198.51.100.7")
    );
    assert_eq!(kept.get("/").status, 200, "a connection of before goes on");
    gate.folder.configure(&plain(&app, ""));
    gate.verb(&["reload"]).good();
    assert_eq!(gate.get("/").status, 200, "no longer");
}

#[test]
fn another_address_needs_an_upgrade() {
    let app = App::echoing_paths();
    let gate = Gate::start(&plain(&app, ""));
    let other: SocketAddr = crate::harness::unused_address();
    let text = plain(&app, "").replace("127.0.0.1:0", &other.to_string());
    gate.folder.configure(&text);
    let refused = gate.verb(&["reload"]);
    assert_ne!(refused.code, 0);
    for word in ["listener.address", "upgrade"] {
        assert!(refused.stderr.contains(word), "{refused:?}");
    }
    assert_eq!(gate.get("/").status, 200);
}
