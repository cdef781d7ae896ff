use super::*;
use crate::head::{NO_FIELDS, parse};

const BALANCER: &str = "10.0.0.1";

/// Whom a request from `peer` with these lines comes from, when 10.0.0.0/8 and fd00::/8 are trusted.
fn client(address_from: AddressFrom, peer: &str, lines: &str) -> String {
    let rules = ClientRules {
        address_from,
        trusted_proxies: ["10.0.0.0/8", "fd00::/8"]
            .map(|net| net.parse().unwrap())
            .to_vec(),
        ipv4_prefix: 32,
        ipv6_prefix: 64,
        ipv6_network: None,
    };
    let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    let mut fields = NO_FIELDS;
    let head = parse(bytes.as_bytes(), &mut fields).unwrap();
    rules.client(peer.parse().unwrap(), &head).to_string()
}

#[test]
fn the_nearest_address_that_is_not_ours_is_the_client() {
    for (chain, expected) in [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
        ("203.0.113.9, 192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, 10.0.0.7", "192.0.2.1"),
        ("192.0.2.1,10.0.0.7,fd00::7", "192.0.2.1"),
        ("203.0.113.9, 192.0.2.1, 10.0.0.7", "192.0.2.1"),
        ("10.0.0.7", "10.0.0.7"),
        ("10.0.0.8, 10.0.0.7", "10.0.0.8"),
        ("::ffff:10.0.0.8", "10.0.0.8"),
        // What cannot be read ends the walk at the last that could.
        ("", BALANCER),
        (",", BALANCER),
        ("unknown", BALANCER),
        ("_hidden", BALANCER),
        ("192.0.2.1, unknown", BALANCER),
        ("192.0.2.1, ", BALANCER),
        ("192.0.2.1, unknown, 10.0.0.7", "10.0.0.7"),
        ("192.0.2.1,, 10.0.0.7", "10.0.0.7"),
        ("192.0.2.256", BALANCER),
        ("192.0.2.1:", BALANCER),
        ("192.0.2.1:99999", BALANCER),
        ("[2001:db8::1", BALANCER),
        ("[2001:db8::1]x", BALANCER),
        ("2001:db8::1%eth0", BALANCER),
        ("0x7f000001", BALANCER),
        ("192.0.2.1 203.0.113.9", BALANCER),
        ("\"192.0.2.1\"", BALANCER),
        ("\u{661}92.0.2.1", BALANCER),
    ] {
        let lines = format!("X-Forwarded-For: {chain}\r\n");
        assert_eq!(
            client(AddressFrom::XForwardedFor, BALANCER, &lines),
            expected,
            "{chain:?}"
        );
    }
}

#[test]
fn several_fields_are_one_chain_in_their_order() {
    for (lines, expected) in [
        ("", BALANCER),
        (
            "X-Forwarded-For: 203.0.113.9\r\nx-forwarded-for: 192.0.2.1\r\n",
            "192.0.2.1",
        ),
        (
            "X-Forwarded-For: 192.0.2.1\r\nX-FORWARDED-FOR: 10.0.0.7, 10.0.0.8\r\n",
            "192.0.2.1",
        ),
        (
            "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For:\r\n",
            BALANCER,
        ),
        (
            "X-Forwarded-Fo: 192.0.2.1\r\nX-Real-IP: 192.0.2.2\r\nForwarded: for=192.0.2.3\r\n",
            BALANCER,
        ),
    ] {
        assert_eq!(
            client(AddressFrom::XForwardedFor, BALANCER, lines),
            expected,
            "{lines:?}"
        );
    }
}

#[test]
fn nobody_else_may_say_who_the_client_is() {
    let lines = "X-Forwarded-For: 192.0.2.1\r\n";
    for peer in ["11.0.0.1", "203.0.113.1", "2001:db8::7"] {
        assert_eq!(client(AddressFrom::XForwardedFor, peer, lines), peer);
    }
    assert_eq!(client(AddressFrom::Peer, BALANCER, lines), BALANCER);
    assert_eq!(
        client(AddressFrom::XForwardedFor, "fd00::1", lines),
        "192.0.2.1"
    );
}

#[test]
fn an_address_has_one_form() {
    let of = |text: &str| canonical(text.parse().unwrap()).to_string();
    assert_eq!(of("[::ffff:192.0.2.1]:80"), "192.0.2.1");
    assert_eq!(of("192.0.2.1:80"), "192.0.2.1");
    assert_eq!(of("[2001:db8::1]:80"), "2001:db8::1");
}

#[test]
fn addresses_that_share_a_prefix_are_one_client_and_others_are_not() {
    let hasher = KeyHasher::new();
    let same = |v4: u8, v6: u8, one: &str, other: &str| {
        let rules = ClientRules {
            address_from: AddressFrom::Peer,
            trusted_proxies: Vec::new(),
            ipv4_prefix: v4,
            ipv6_prefix: v6,
            ipv6_network: None,
        };
        let key = |text: &str| rules.key(&hasher, text.parse().unwrap());
        key(one) == key(other)
    };
    assert!(!same(32, 64, "192.0.2.1", "192.0.2.2"));
    assert!(same(24, 64, "192.0.2.1", "192.0.2.254"));
    assert!(!same(24, 64, "192.0.2.1", "192.0.3.1"));
    assert!(same(32, 64, "2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"));
    assert!(!same(32, 64, "2001:db8::1", "2001:db8:0:1::1"));
    assert!(!same(32, 128, "2001:db8::1", "2001:db8::2"));
    assert!(same(0, 0, "192.0.2.1", "203.0.113.1") && same(0, 0, "::1", "ffff::"));
    assert!(!same(0, 0, "0.0.0.0", "::"), "the families stay apart");
}

#[test]
fn of_two_names_in_one_request_none_counts() {
    for (lines, header, cookie) in [
        ("Tenant: a\r\nCookie: t=a\r\n", Some("a"), Some("a")),
        ("Cookie: x=y; t=a; t2=b\r\n", None, Some("a")),
        ("Tenant: a\r\ntenant: b\r\nCookie: t=a; t=b\r\n", None, None),
        ("Cookie: t=a\r\nCookie: t=a\r\n", None, None),
        // The app will not see a field that Connection takes away.
        (
            "Tenant: a\r\nCookie: t=a\r\nConnection: close, TENANT\r\n",
            None,
            Some("a"),
        ),
        (
            "Tenant: a\r\nCookie: t=a\r\nConnection: cookie\r\n",
            Some("a"),
            None,
        ),
        ("Tenant: \u{e9}\r\nCookie: t\r\n", Some("\u{e9}"), Some("")),
    ] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let mut fields = NO_FIELDS;
        let head = parse(bytes.as_bytes(), &mut fields).unwrap();
        assert_eq!(from_header(&head, "tenant"), header, "{lines}");
        assert_eq!(from_cookie(&head, "t"), cookie, "{lines}");
    }
}

#[test]
fn a_cookie_counts_only_where_no_app_reads_another_one() {
    for (fields, expected) in [
        (&[&b"t=a"[..]][..], Some("a")),
        (&[b"t = a ;x"], Some("a")),
        (&[b"\tt=a"], Some("a")),
        (&[b"t=a=b"], Some("a=b")),
        (&[b"t="], Some("")),
        (&[b"tt=b; t=a; T=b; x=t=b"], Some("a")),
        // One that is not UTF-8 hides no other.
        (&[b"x=\xff; t=a"], Some("a")),
        (&[b"t=a", b"\xff"], Some("a")),
        (&[b"t=\xff"], None),
        (&[b"t=a; t=\xff"], None),
        (&[b"t=a", b"x=\xff; t=b"], None),
        // Spaces around a name are none of it, and to some apps those beyond ASCII are spaces.
        (&[b"t=a; t =b"], None),
        (&[b"t=a;\tt\t=b"], None),
        (&["t=a; t\u{a0}=b".as_bytes()], None),
        (&["t=a;\u{3000}t=b".as_bytes()], None),
        (&[b"t=a; \xa0t\x85=b"], None),
        // A name alone is a cookie without a value.
        (&[b"t=a; t"], None),
        (&[b"t"], Some("")),
        (&[b"x=t"], None),
        (&[b""], None),
    ] {
        let lines = fields
            .iter()
            .map(|field| [b"Cookie: ", *field, b"\r\n"].concat());
        let lines = lines.collect::<Vec<_>>().concat();
        let bytes = [b"GET / HTTP/1.1\r\nHost: a\r\n", &lines[..], b"\r\n"].concat();
        let mut space = NO_FIELDS;
        let head = parse(&bytes, &mut space).unwrap();
        let lines = String::from_utf8_lossy(&lines);
        assert_eq!(from_cookie(&head, "t"), expected, "{lines}");
    }
}

#[test]
fn forwarded_is_read_as_rfc_7239_writes_it() {
    for (value, expected) in [
        ("for=192.0.2.1", "192.0.2.1"),
        ("For=\"192.0.2.1:4711\"", "192.0.2.1"),
        ("for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
        ("for=192.0.2.1;proto=https;by=203.0.113.43", "192.0.2.1"),
        ("proto=https ; FOR=192.0.2.1", "192.0.2.1"),
        ("for=203.0.113.9, for=192.0.2.1", "192.0.2.1"),
        ("for=192.0.2.1, for=10.0.0.7", "192.0.2.1"),
        (
            "for=192.0.2.1, for=\"[fd00::7]\";ext=\"a,b;for=203.0.113.9\"",
            "192.0.2.1",
        ),
        // Hidden, missing, doubled or malformed: the walk ends.
        ("for=unknown", BALANCER),
        ("for=_hidden, for=10.0.0.7", "10.0.0.7"),
        ("proto=https", BALANCER),
        ("for=192.0.2.1;for=203.0.113.9", BALANCER),
        ("for=\"192.0.2.1", BALANCER),
        ("for=192.0.2.1\"", BALANCER),
        ("for=\"192\\.0.2.1\"", BALANCER),
        ("for = 192.0.2.1", BALANCER),
        ("192.0.2.1", BALANCER),
        ("", BALANCER),
        (",;,\"", BALANCER),
    ] {
        let lines = format!("Forwarded: {value}\r\n");
        let found = client(AddressFrom::Forwarded, BALANCER, &lines);
        assert_eq!(found, expected, "{value:?}");
        let peer = client(AddressFrom::Forwarded, "198.51.100.1", &lines);
        assert_eq!(peer, "198.51.100.1", "nobody else may say so: {value:?}");
    }
    let two = "Forwarded: for=203.0.113.9\r\nForwarded: for=192.0.2.1\r\n";
    assert_eq!(client(AddressFrom::Forwarded, BALANCER, two), "192.0.2.1");
    let long = format!(
        "Forwarded: for=192.0.2.1{}\r\n",
        ", for=10.0.0.7".repeat(700)
    );
    assert_eq!(client(AddressFrom::Forwarded, BALANCER, &long), "192.0.2.1");
}
