//! Request lines: targets, methods and versions that are refused.

use super::{assert_refused, with_target};

#[test]
fn a_target_that_can_be_read_in_two_ways_is_refused() {
    let targets = [
        ("another host", "http://admin/"),
        ("another port", "http://test:8080/"),
        ("another host without a path", "http://admin"),
        ("user information", "http://user@test/"),
        ("an empty host", "http:///x"),
        ("another scheme", "ftp://test/"),
        ("a scheme without slashes", "http:test"),
        ("a host before a query", "http://admin?/x"),
        ("a backslash behind the host", "http://test\\@admin/"),
        ("a fragment", "/a#b"),
        ("a star", "*"),
        ("a star in a path", "*/a"),
        ("no slash", "a"),
        ("a query alone", "?a"),
        ("an authority", "test:80"),
        ("a dot segment", "/a/./b"),
        ("two dots", "/a/../b"),
        ("two dots at the end", "/a/.."),
        ("a dot at the end", "/a/."),
        ("%2e%2e", "/a/%2e%2e/b"),
        ("%2E%2E", "/a/%2E%2E/b"),
        (".%2e", "/a/.%2e/b"),
        ("%2e.", "/a/%2e./b"),
        ("%2e", "/a/%2e/b"),
        ("..%2f", "/a/..%2fb"),
        ("%2f..", "/a%2f../b"),
        ("..%2F at the start", "/..%2Fb"),
        ("..\\", "/a/..\\b"),
        ("..%5c", "/a/..%5cb"),
        ("%5C..", "/a%5C..%5Cb"),
        ("dots with a parameter", "/a/..;x/b"),
        ("dots behind slashes", "/a//../b"),
        ("dots in an absolute target", "http://test/a/../b"),
        ("a null", "/a\0b"),
        ("a delete", "/a\x7fb"),
        ("a space", "/a b"),
        ("a tab", "/a\tb"),
        ("a letter that is not ASCII", "/\u{e9}"),
        ("an escape", "/\x1b[2J"),
        ("angle brackets", "/<a>"),
        ("an angle bracket in the query", "/?<"),
        ("a grave accent", "/`"),
        ("quotes in the query", "/?\"a\""),
        ("another host and an empty Host", "http:///"),
    ];
    let forms: Vec<(&str, String)> = targets
        .iter()
        .map(|(name, target)| (*name, with_target(target)))
        .collect();
    assert_refused(400, "malformed", &forms);
}

#[test]
fn a_request_line_that_is_not_http_is_refused() {
    assert_refused(
        400,
        "malformed",
        &[
            ("HTTP/0.9", "GET /\r\n\r\n"),
            ("HTTP/0.9 with a field", "GET /\r\nHost: test\r\n\r\n"),
            ("no target", "GET HTTP/1.1\r\nHost: test\r\n\r\n"),
            ("an empty target", "GET  HTTP/1.1\r\nHost: test\r\n\r\n"),
            ("two spaces", "GET  / HTTP/1.1\r\nHost: test\r\n\r\n"),
            (
                "two spaces before the version",
                "GET /  HTTP/1.1\r\nHost: test\r\n\r\n",
            ),
            ("tabs", "GET\t/\tHTTP/1.1\r\nHost: test\r\n\r\n"),
            (
                "a space at the start",
                " GET / HTTP/1.1\r\nHost: test\r\n\r\n",
            ),
            (
                "a space at the end",
                "GET / HTTP/1.1 \r\nHost: test\r\n\r\n",
            ),
            ("HTTP/1.10", "GET / HTTP/1.10\r\nHost: test\r\n\r\n"),
            (
                "a lower-case version",
                "GET / http/1.1\r\nHost: test\r\n\r\n",
            ),
            ("another protocol", "GET / ICY/1.1\r\nHost: test\r\n\r\n"),
            ("no method", "/ HTTP/1.1\r\nHost: test\r\n\r\n"),
            (
                "a method with a colon",
                "GET: / HTTP/1.1\r\nHost: test\r\n\r\n",
            ),
            (
                "a method with brackets",
                "G(E)T / HTTP/1.1\r\nHost: test\r\n\r\n",
            ),
            (
                "a method with a null",
                "G\0T / HTTP/1.1\r\nHost: test\r\n\r\n",
            ),
            (
                "a method that is not ASCII",
                "G\u{c9}T / HTTP/1.1\r\nHost: test\r\n\r\n",
            ),
            (
                "an echo of a response",
                "HTTP/1.1 200 OK\r\nHost: test\r\n\r\n",
            ),
            ("TLS", "\x16\x03\x01\x02\0\x01\0\x01\u{7c}\x03\x03"),
            (
                "a PROXY header",
                "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n",
            ),
            ("SSH", "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
            ("a null", "\0"),
            ("a bracket", "{}"),
        ],
    );
}

#[test]
fn another_version_of_http_is_refused_as_such() {
    assert_refused(
        505,
        "version",
        &[
            ("HTTP/1.2", "GET / HTTP/1.2\r\nHost: test\r\n\r\n"),
            ("HTTP/2.0", "GET / HTTP/2.0\r\nHost: test\r\n\r\n"),
            ("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            ("HTTP/3", "GET / HTTP/3\r\nHost: test\r\n\r\n"),
            ("HTTP/0.9 by name", "GET / HTTP/0.9\r\nHost: test\r\n\r\n"),
            ("HTTP/11", "GET / HTTP/11\r\nHost: test\r\n\r\n"),
        ],
    );
}

#[test]
fn a_method_that_a_gate_has_no_use_for_is_refused() {
    assert_refused(
        501,
        "method",
        &[
            (
                "CONNECT",
                "CONNECT test:443 HTTP/1.1\r\nHost: test:443\r\n\r\n",
            ),
            (
                "CONNECT to a path",
                "CONNECT / HTTP/1.1\r\nHost: test\r\n\r\n",
            ),
            ("TRACE", "TRACE / HTTP/1.1\r\nHost: test\r\n\r\n"),
        ],
    );
}

#[test]
fn a_request_line_over_its_bound_is_refused() {
    let long = "a".repeat(16 * 1024);
    assert_refused(
        414,
        "target_too_long",
        &[
            ("a long target", with_target(&format!("/{long}"))),
            ("a long query", with_target(&format!("/?{long}"))),
            (
                "a long method",
                format!("{long} / HTTP/1.1\r\nHost: test\r\n\r\n"),
            ),
            (
                "a line without an end",
                format!("GET /{long}{long}{long}{long}{long}"),
            ),
            ("a method without an end", long.repeat(5)),
        ],
    );
}
