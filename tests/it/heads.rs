//! Heads that two parsers could read differently are refused, and good ones of every shape pass.
//!
//! Each form goes over a connection of its own. A refused one gets its exact status, the connection
//! is closed, the app sees nothing of it, and it is counted under its reason.

mod good;
mod request_lines;

use std::sync::atomic::Ordering::SeqCst;

use crate::harness::{App, Gate};

/// A client that is allowed as many requests and connections as the tables here have forms.
const FREE: &str =
    "[client]\nlimit = { rate = \"100000/s\", burst = 100000 }\nconnections = 1000\n";

/// Sends each form and collects what went otherwise than it should.
fn assert_refused<T: AsRef<[u8]>>(status: u16, reason: &str, forms: &[(&str, T)]) {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, FREE);
    let mut wrong = Vec::new();
    for (name, bytes) in forms {
        let mut connection = gate.connect();
        // The gate may close before it has read all of it.
        let _ = connection.try_send(bytes.as_ref());
        match connection.try_response() {
            Some(response) if response.status != status => {
                wrong.push(format!(
                    "{name}: answered {}, not {status}",
                    response.status
                ));
            }
            Some(response) if response.field("connection") != Some("close") => {
                wrong.push(format!("{name}: does not say Connection: close"));
            }
            Some(_) if !connection.is_closed() => wrong.push(format!("{name}: not closed")),
            Some(_) => {}
            None => wrong.push(format!("{name}: no answer")),
        }
        if app.connections.load(SeqCst) > 0 {
            wrong.push(format!("{name}: the app got a connection"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(app.requests(), 0, "the app got a request");
    let counted = format!("tidegate_requests_total{{outcome=\"refused\",reason=\"{reason}\"}}");
    assert_eq!(gate.metric(&counted), forms.len() as f64, "{counted}");
}

/// A GET of `/` with these lines behind the request line, and then what nobody must take for a
/// request of its own.
fn with_fields(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\n{lines}\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n")
}

fn post_with(lines: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: test\r\n{lines}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"
    )
}

fn with_target(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")
}

#[test]
fn a_length_that_can_be_read_in_two_ways_is_refused() {
    let values = [
        ("a list of the same", "3, 3"),
        ("a list of others", "3, 4"),
        ("a list without space", "3,3"),
        ("a plus sign", "+3"),
        ("a minus sign", "-3"),
        ("hexadecimal", "0x3"),
        ("hexadecimal digits", "a"),
        ("a fraction", "3.0"),
        ("an exponent", "1e1"),
        ("a space inside", "3 3"),
        ("a tab inside", "3\t3"),
        ("an underscore", "1_0"),
        ("nothing", ""),
        ("spaces alone", "   "),
        ("a word", "three"),
        ("quotes", "\"3\""),
        ("65 bits", "18446744073709551616"),
        ("forty digits", "3000000000000000000000000000000000000000"),
        ("digits that are not ASCII", "\u{ff13}"),
        ("a parameter", "3;q=1"),
    ];
    let mut forms: Vec<(&str, String)> = values
        .iter()
        .map(|(name, value)| (*name, post_with(&format!("Content-Length: {value}"))))
        .collect();
    for (name, lines) in [
        ("twice the same", "Content-Length: 3\r\nContent-Length: 3"),
        ("twice another", "Content-Length: 3\r\nContent-Length: 4"),
        (
            "twice in other letters",
            "content-length: 3\r\nCONTENT-LENGTH: 3",
        ),
        ("twice, one empty", "Content-Length: 3\r\nContent-Length:"),
        (
            "zero and another",
            "Content-Length: 0\r\nContent-Length: 40",
        ),
    ] {
        forms.push((name, post_with(lines)));
    }
    assert_refused(400, "malformed", &forms);
}

#[test]
fn a_transfer_coding_other_than_one_chunked_is_refused() {
    let values = [
        ("gzip before it", "gzip, chunked"),
        ("gzip behind it", "chunked, gzip"),
        ("twice in a list", "chunked, chunked"),
        ("identity", "identity"),
        ("identity in a list", "identity, chunked"),
        ("a letter before", "xchunked"),
        ("a letter behind", "chunkedx"),
        ("quotes", "\"chunked\""),
        ("a vertical tab before", "\x0bchunked"),
        ("a comma before", ", chunked"),
        ("a comma behind", "chunked,"),
        ("a parameter", "chunked;q=1"),
        ("nothing", ""),
        ("another coding", "br"),
        ("a null behind", "chunked\0"),
        ("a letter that is not ASCII", "chun\u{212a}ed"),
    ];
    let mut forms: Vec<(&str, String)> = values
        .iter()
        .map(|(name, value)| (*name, post_with(&format!("Transfer-Encoding: {value}"))))
        .collect();
    for (name, lines) in [
        (
            "two fields",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ),
        (
            "two fields, one identity",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        ),
        (
            "two fields, one odd",
            "Transfer-Encoding: chunked\r\nTransfer-encoding: cow",
        ),
        (
            "with a length",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
        ),
        (
            "with a length behind",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
        ),
        (
            "with a length of zero",
            "Transfer-Encoding: chunked\r\nContent-Length: 0",
        ),
        ("a space before the colon", "Transfer-Encoding : chunked"),
        ("a tab before the colon", "Transfer-Encoding\t: chunked"),
        ("a folded line", "Transfer-Encoding:\r\n chunked"),
        (
            "behind a folded line",
            "X: a\r\n\tTransfer-Encoding: chunked",
        ),
        ("a bare LF before it", "X: a\nTransfer-Encoding: chunked"),
        ("a bare CR before it", "X: a\rTransfer-Encoding: chunked"),
    ] {
        forms.push((name, post_with(lines)));
    }
    let http10 = "POST / HTTP/1.0\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    forms.push(("over HTTP/1.0", http10.to_owned()));
    assert_refused(400, "malformed", &forms);
}

#[test]
fn a_line_that_ends_in_another_way_is_refused() {
    assert_refused(
        400,
        "malformed",
        &[
            (
                "LF after the request line",
                "GET / HTTP/1.1\nHost: test\r\n\r\n",
            ),
            (
                "LF after a field",
                "GET / HTTP/1.1\r\nHost: test\nX: y\r\n\r\n",
            ),
            ("LF before the end", "GET / HTTP/1.1\r\nHost: test\n\r\n"),
            ("LF at the end", "GET / HTTP/1.1\r\nHost: test\r\n\n"),
            ("LF everywhere", "GET / HTTP/1.1\nHost: test\n\n"),
            ("LF at the start", "\nGET / HTTP/1.1\r\nHost: test\r\n\r\n"),
            (
                "LF in the target",
                "GET /a\nb HTTP/1.1\r\nHost: test\r\n\r\n",
            ),
            (
                "LF in a name",
                "GET / HTTP/1.1\r\nHost: test\r\nX\nY: z\r\n\r\n",
            ),
            (
                "CR in the request line",
                "GET / HTTP/1.1\rHost: test\r\n\r\n",
            ),
            (
                "CR in the target",
                "GET /a\rb HTTP/1.1\r\nHost: test\r\n\r\n",
            ),
            (
                "CR in a value",
                "GET / HTTP/1.1\r\nHost: test\r\nX: a\rb\r\n\r\n",
            ),
            ("CR at the start", "\rGET / HTTP/1.1\r\nHost: test\r\n\r\n"),
            ("CR CR LF", "GET / HTTP/1.1\r\nHost: test\r\r\n\r\n"),
            (
                "a folded field",
                "GET / HTTP/1.1\r\nHost: test\r\nX: a\r\n b\r\n\r\n",
            ),
            ("a folded Host", "GET / HTTP/1.1\r\nHost:\r\n test\r\n\r\n"),
            (
                "a space before the first field",
                "GET / HTTP/1.1\r\n Host: test\r\n\r\n",
            ),
            (
                "a space before the empty line",
                "GET / HTTP/1.1\r\nHost: test\r\n \r\n\r\n",
            ),
        ],
    );
}

#[test]
fn a_field_that_is_not_a_token_and_a_value_is_refused() {
    assert_refused(
        400,
        "malformed",
        &[
            ("no name", with_fields("Host: test\r\n: value")),
            ("no colon", with_fields("Host: test\r\nvalue")),
            (
                "a space before the colon",
                with_fields("Host: test\r\nX : value"),
            ),
            (
                "a tab before the colon",
                with_fields("Host: test\r\nX\t: value"),
            ),
            (
                "a space in the name",
                with_fields("Host: test\r\nX Y: value"),
            ),
            (
                "a slash in the name",
                with_fields("Host: test\r\nX/Y: value"),
            ),
            (
                "brackets in the name",
                with_fields("Host: test\r\n(X): value"),
            ),
            (
                "a null in the name",
                with_fields("Host: test\r\nX\0Y: value"),
            ),
            (
                "a letter that is not ASCII",
                with_fields("Host: test\r\nX\u{e9}: value"),
            ),
            ("a null in the value", with_fields("Host: test\r\nX: a\0b")),
            (
                "a control character",
                with_fields("Host: test\r\nX: a\x01b"),
            ),
            ("an escape", with_fields("Host: test\r\nX: a\x1bb")),
            ("a delete", with_fields("Host: test\r\nX: a\x7fb")),
        ],
    );
}

#[test]
fn a_host_that_is_missing_doubled_or_not_a_host_is_refused() {
    let hosts = [
        ("user information", "user@test"),
        ("user and password", "user:secret@test"),
        ("a slash", "test/admin"),
        ("a backslash", "test\\admin"),
        ("a space", "test admin"),
        ("a tab", "test\tadmin"),
        ("a list", "test, admin"),
        ("a query", "test?x"),
        ("a fragment", "test#x"),
        ("a port that is a word", "test:http"),
        ("a port with a sign", "test:+80"),
        ("a port too many", "test:80:81"),
        ("a port of 17 bits", "test:65536"),
        ("a port of twenty digits", "test:00000000000000000080"),
        ("a bracket left open", "[::1"),
        ("a bracket left open before a port", "[::1:80"),
        ("a bracket alone", "test]"),
        ("letters behind a bracket", "[::1]x"),
        ("a letter that is not ASCII", "t\u{e9}st"),
        ("a scheme", "http://test"),
        ("quotes", "\"test\""),
        ("angle brackets", "<test>"),
        ("a list without space", "test,admin"),
        ("an encoded slash", "test%2fadmin"),
        ("a port without a host", ":80"),
        ("a name in brackets", "[test]"),
        ("IPv6 without brackets", "::1"),
    ];
    let mut forms: Vec<(&str, String)> = hosts
        .iter()
        .map(|(name, host)| (*name, with_fields(&format!("Host: {host}"))))
        .collect();
    forms.extend([
        ("none", with_fields("X: y")),
        ("two the same", with_fields("Host: test\r\nHost: test")),
        ("two others", with_fields("Host: test\r\nHost: admin")),
        ("two, one empty", with_fields("Host: test\r\nHost:")),
        (
            "empty, and another in the target",
            "GET http://admin/ HTTP/1.1\r\nHost:\r\n\r\n".to_owned(),
        ),
        (
            "two in other letters",
            with_fields("Host: test\r\nhOST: admin"),
        ),
    ]);
    assert_refused(400, "malformed", &forms);
}

#[test]
fn a_head_over_its_bounds_is_refused() {
    let value = "a".repeat(70 * 1024);
    let many = |count: usize| -> String {
        let fields: String = (1..count).map(|n| format!("x-{n}: y\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n")
    };
    assert_refused(
        431,
        "head_too_large",
        &[
            (
                "a large value",
                with_fields(&format!("Host: test\r\nX: {value}")),
            ),
            (
                "a large name",
                with_fields(&format!("Host: test\r\n{value}: x")),
            ),
            (
                "a head without an end",
                format!("GET / HTTP/1.1\r\nHost: test\r\nX: {value}"),
            ),
            ("101 fields", many(101)),
            ("1,000 fields", many(1_000)),
            (
                "30,000 empty fields",
                "GET / HTTP/1.1\r\n".to_owned() + &"a:\r\n".repeat(30_000),
            ),
        ],
    );
}
