//! Chunked bodies over real sockets: a malformed one never reaches the app whole, and the end of a
//! good one is the end, whatever follows.

use crate::harness::{App, Gate, Reply, eventually};

const HEAD: &str = "POST /chunked HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";

fn app() -> App {
    App::answering(|request| Reply::text(&format!("{} {}", request.path, request.body.len())))
}

#[test]
fn a_malformed_chunked_body_is_refused_and_never_whole_for_the_app() {
    let app = app();
    let gate = Gate::before(&app, "");
    let extension = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(5_000));
    let trailers = format!("0\r\n{}\r\n", "x: y\r\n".repeat(2_000));
    let forms = [
        ("no size", "\r\nhello\r\n0\r\n\r\n"),
        ("an extension without a size", ";x\r\nhello\r\n0\r\n\r\n"),
        ("a minus sign", "-5\r\nhello\r\n0\r\n\r\n"),
        ("a plus sign", "+5\r\nhello\r\n0\r\n\r\n"),
        ("0x", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("an underscore", "0_5\r\nhello\r\n0\r\n\r\n"),
        ("too many digits", "0000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("64 bits and one", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("all bits", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ("a space before", " 5\r\nhello\r\n0\r\n\r\n"),
        ("a space behind", "5 \r\nhello\r\n0\r\n\r\n"),
        ("a tab behind", "5\t\r\nhello\r\n0\r\n\r\n"),
        ("LF after the size", "5\nhello\r\n0\r\n\r\n"),
        ("CR after the size", "5\rhello\r\n0\r\n\r\n"),
        ("LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("a null in an extension", "5;a\0\r\nhello\r\n0\r\n\r\n"),
        ("no end of the data", "5\r\nhello0\r\n\r\n"),
        ("LF after the data", "5\r\nhello\n0\r\n\r\n"),
        ("data too long", "5\r\nhello world\r\n0\r\n\r\n"),
        ("data too short", "5\r\nhi\r\n0\r\n\r\n\r\n"),
        ("LF after the last chunk", "5\r\nhello\r\n0\n\r\n"),
        ("LF at the end", "5\r\nhello\r\n0\r\n\n"),
        (
            "a trailer without a colon",
            "5\r\nhello\r\n0\r\ngarbage\r\n\r\n",
        ),
        ("a trailer without a name", "5\r\nhello\r\n0\r\n: x\r\n\r\n"),
        ("a folded trailer", "5\r\nhello\r\n0\r\nx: y\r\n z\r\n\r\n"),
        ("a null in a trailer", "5\r\nhello\r\n0\r\nx: \0\r\n\r\n"),
        (
            "a request for a trailer",
            "5\r\nhello\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
        ),
        ("a huge extension", &extension),
        ("huge trailers", &trailers),
    ];
    let mut wrong = Vec::new();
    for (name, body) in forms {
        for at_once in [true, false] {
            let mut connection = gate.connect();
            if at_once {
                let _ = connection.try_send(format!("{HEAD}{body}"));
            } else {
                let _ = connection.try_send(HEAD);
                let _ = connection.try_send(body);
            }
            let seen = connection.try_response().map(|response| response.status);
            if seen != Some(400) {
                wrong.push(format!("{name}: answered {seen:?}"));
            } else if !connection.is_closed() {
                wrong.push(format!("{name}: not closed"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(app.requests(), 0, "the app got a whole request");
    let counted = "tidegate_requests_total{outcome=\"failed\",reason=\"body_malformed\"}";
    eventually("each of them is counted", || {
        gate.metric(counted) == 2.0 * forms.len() as f64
    });
}

#[test]
fn a_body_that_ends_early_never_is_whole_for_the_app() {
    let app = app();
    let gate = Gate::before(&app, "");
    let length = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello";
    let chunked = format!("{HEAD}5\r\nhello\r\n");
    for bytes in [length, &chunked] {
        let mut connection = gate.connect();
        connection.send(bytes);
        connection.finish();
        assert!(
            connection
                .try_response()
                .is_none_or(|response| response.status == 400)
        );
    }
    let counted = "tidegate_requests_total{outcome=\"failed\",reason=\"client_gone\"}";
    eventually("both are counted", || gate.metric(counted) == 2.0);
    assert_eq!(app.requests(), 0, "the app got a whole request");
}

#[test]
fn good_chunked_bodies_pass_and_what_follows_them_is_the_next_request() {
    let app = app();
    let gate = Gate::before(
        &app,
        "[client]\nlimit = { rate = \"10000/s\", burst = 10000 }",
    );
    let long = format!("4000\r\n{}\r\n0\r\n\r\n", "x".repeat(0x4000));
    let many = "1\r\na\r\n".repeat(3000) + "0\r\n\r\n";
    for (body, length) in [
        ("0\r\n\r\n", 0),
        ("5\r\nhello\r\n0\r\n\r\n", 5),
        ("5;name=\"value\";x\r\nhello\r\n00;last\r\n\r\n", 5),
        ("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", 20),
        ("7\r\n0\r\n\r\n\r\n\r\n0\r\nTrailer: x\r\nEmpty:\r\n\r\n", 7),
        ("000000000000005\r\nhello\r\n0\r\n\r\n", 5),
        (
            "5;\tx = \"\u{e9};\"\r\nhello\r\n0;;\r\nX:\t\u{e9}\r\n\r\n",
            5,
        ),
        (long.as_str(), 0x4000),
        (many.as_str(), 3000),
    ] {
        let mut connection = gate.connect();
        connection.send(format!(
            "{HEAD}{body}GET /next HTTP/1.1\r\nHost: test\r\n\r\n{HEAD}{body}"
        ));
        for expected in [
            format!("/chunked {length}"),
            "/next 0".to_owned(),
            format!("/chunked {length}"),
        ] {
            assert_eq!(connection.response().text(), expected, "after {:.40}", body);
        }
    }
}

#[test]
fn a_chunked_body_may_be_cut_anywhere() {
    let app = app();
    let gate = Gate::before(
        &app,
        "[client]\nlimit = { rate = \"10000/s\", burst = 10000 }",
    );
    let bytes =
        format!("{HEAD}3;x\r\nabc\r\n0\r\nT: x\r\n\r\nGET /next HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut connection = gate.connect();
    for cut in (1..bytes.len()).step_by(3).chain(HEAD.len()..bytes.len()) {
        let (first, second) = bytes.split_at(cut);
        connection.send(first);
        // Most often they arrive as two; the test is right either way.
        std::thread::yield_now();
        connection.send(second);
        assert_eq!(connection.response().text(), "/chunked 3", "cut at {cut}");
        assert_eq!(connection.response().text(), "/next 0", "cut at {cut}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let app = app();
    let gate = Gate::before(
        &app,
        "[client]\nlimit = { rate = \"10000/s\", burst = 10000 }",
    );
    let mut connection = gate.connect();
    let mut bytes = String::new();
    for n in 0..50 {
        let body = "x".repeat(n);
        bytes += &match n % 3 {
            0 => format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n"),
            1 => format!("POST /{n} HTTP/1.1\r\nHost: test\r\nContent-Length: {n}\r\n\r\n{body}"),
            _ => format!(
                "POST /{n} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{n:x}\r\n{body}\r\n0\r\n\r\n"
            ),
        };
    }
    connection.send(bytes);
    for n in 0..50 {
        let length = if n % 3 == 0 { 0 } else { n };
        assert_eq!(connection.response().text(), format!("/{n} {length}"));
    }
}
