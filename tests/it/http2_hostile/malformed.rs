//! Requests that no HTTP/2 request may be.

use super::Siege;
use crate::harness::eventually;
use crate::harness::frames::{
    BAD_REQUEST, DATA, END_HEADERS, END_STREAM, Frames, GET, HEADERS, OK, Outcome, POST, block,
    frame, get, head,
};

type Fields<'field> = Vec<(&'field str, &'field str)>;

/// A GET with some of its pseudo-fields changed, or left out.
fn with<'field>(name: &str, value: Option<&'field str>) -> Fields<'field> {
    let fields = GET.iter().filter_map(|(key, old)| match *key == name {
        true => value.map(|value| (*key, value)),
        false => Some((*key, *old)),
    });
    fields.collect()
}

/// A GET with more fields.
fn and<'field>(more: &[(&'field str, &'field str)]) -> Fields<'field> {
    [GET, more].concat()
}

fn ask(frames: &mut Frames, stream: u32, fields: &[(&str, &str)]) -> Outcome {
    frames.send(head(END_STREAM, stream, &block(fields)));
    frames.outcome(stream)
}

/// Asks each of these on one connection, with good requests before and behind.
fn each(siege: &Siege, cases: &[Fields], judge: impl Fn(&Fields, Outcome)) {
    for cases in cases.chunks(20) {
        let mut frames = siege.frames();
        let mut stream = 1;
        for fields in cases {
            judge(fields, ask(&mut frames, stream, fields));
            frames.send(get(stream + 2));
            assert_eq!(frames.outcome(stream + 2), OK, "behind {fields:?}");
            stream += 4;
        }
    }
}

#[test]
fn what_the_gate_reads_differently_is_refused_and_counted() {
    let siege = Siege::patient();
    let cases = [
        with(":path", Some("/a/../b")),
        with(":path", Some("/%2e%2e/b")),
        with(":path", Some("*")),
        with(":authority", None),
        with(":authority", Some("user@one.example")),
        with(":authority", Some("one.example,two.example")),
        and(&[("host", "two.example")]),
        and(&[("host", "one.example"), ("host", "one.example")]),
        and(&[("content_length", "0")]),
        and(&[("transfer_encoding", "chunked")]),
        and(&[("x", " space")]),
        and(&[("x", "space ")]),
    ];
    each(&siege, &cases, |fields, outcome| {
        assert_eq!(outcome, BAD_REQUEST, "{fields:?}");
    });
    let app = siege.app.requests();
    assert_eq!(app as usize, cases.len(), "none but the good ones");
    let counted = siege.gate.requests("refused", "malformed");
    assert_eq!(counted as usize, cases.len());
}

#[test]
fn what_http2_forbids_never_reaches_the_app() {
    let siege = Siege::patient();
    let cases = [
        with(":path", None),
        with(":path", Some("")),
        with(":path", Some("a")),
        with(":path", Some("https://one.example/a")),
        with(":path", Some("/a b")),
        with(":path", Some("/a\u{1}b")),
        with(":path", Some("/a\u{7f}b")),
        with(":path", Some("/\r\nx: y")),
        with(":method", None),
        with(":method", Some("")),
        with(":method", Some("GE T")),
        with(":scheme", None),
        with(":authority", Some("one example")),
        with(":authority", Some("one.example/path")),
        and(&[("content-length", "1"), ("content-length", "2")]),
        and(&[("content-length", "1")]),
        and(&[("content-length", "-1")]),
        and(&[("content-length", "0, 0")]),
        and(&[("transfer-encoding", "chunked")]),
        and(&[("connection", "close")]),
        and(&[("keep-alive", "1")]),
        and(&[("proxy-connection", "close")]),
        and(&[("upgrade", "websocket")]),
        and(&[("te", "gzip")]),
        and(&[("X-Upper", "1")]),
        and(&[("", "empty")]),
        and(&[("x y", "1")]),
        and(&[("x:", "1")]),
        and(&[("x", "a\rb")]),
        and(&[("x", "a\nb")]),
        and(&[("x", "a\0b")]),
        and(&[(":path", "/twice")]),
        and(&[(":status", "200")]),
        and(&[(":unknown", "1")]),
        and(&[("x", "1"), (":late", "1")]),
    ];
    for fields in &cases {
        let mut frames = siege.frames();
        frames.send(get(1));
        assert_eq!(frames.outcome(1), OK);
        match ask(&mut frames, 3, fields) {
            BAD_REQUEST | Outcome::Reset(1) => {
                frames.send(get(5));
                assert_eq!(frames.outcome(5), OK, "behind {fields:?}");
            }
            // The header block could not be read to its end.
            Outcome::Over(Some(1)) => {}
            other => panic!("{fields:?}: {other:?}"),
        }
    }
    let asked = 2.0 * cases.len() as f64 - siege.gate.ended("http2_malformed");
    assert_eq!(siege.app.requests() as f64, asked, "none but the good ones");
}

#[test]
fn a_length_that_disagrees_with_the_body_is_not_served() {
    let siege = Siege::patient();
    for (said, sent) in [("3", "12345"), ("9", "12345")] {
        let mut frames = siege.frames();
        let fields = [POST, &[("content-length", said)]].concat();
        frames.send(frame(HEADERS, END_HEADERS, 1, &block(&fields)));
        frames.send(frame(DATA, END_STREAM, 1, sent.as_bytes()));
        assert_eq!(frames.outcome(1), Outcome::Reset(1), "{said}: {sent}");
        frames.send(get(3));
        assert_eq!(frames.outcome(3), OK, "{said}: {sent}");
    }
    assert_eq!(siege.app.requests(), 2, "the app got a whole request");
    let gate = &siege.gate;
    eventually("all are counted", || {
        gate.requests("failed", "body_malformed") == 2.0
    });
}

#[test]
fn other_methods_and_heads_that_are_too_large_have_their_reasons() {
    let siege = Siege::patient();
    let mut frames = siege.frames();
    assert!(matches!(
        ask(&mut frames, 1, &with(":method", Some("TRACE"))),
        Outcome::Status(_)
    ));
    let connect = [(":method", "CONNECT"), (":authority", "one.example:443")];
    assert!(matches!(ask(&mut frames, 3, &connect), Outcome::Status(_)));
    assert_eq!(siege.gate.requests("refused", "method"), 2.0);
    let names: Vec<String> = (0..101).map(|at| format!("x-{at}")).collect();
    let many: Fields = names.iter().map(|name| (name.as_str(), "1")).collect();
    assert!(matches!(
        ask(&mut frames, 5, &and(&many)),
        Outcome::Status(_)
    ));
    assert_eq!(siege.gate.requests("refused", "head_too_large"), 1.0);
    let path = format!("/{}", "a".repeat(17_000));
    let long = with(":path", Some(&path));
    assert!(matches!(ask(&mut frames, 7, &long), Outcome::Status(_)));
    assert_eq!(siege.gate.requests("refused", "target_too_long"), 1.0);
    let large = "a".repeat(70_000);
    let refused = ask(&mut frames, 9, &and(&[("x", &large)]));
    assert!(matches!(refused, Outcome::Status(_)), "{refused:?}");
    assert_eq!(siege.app.requests(), 0);
    frames.send(get(11));
    assert_eq!(frames.outcome(11), OK);
}

#[test]
fn a_connection_with_too_many_malformed_requests_ends() {
    let siege = Siege::patient();
    let mut frames = siege.frames();
    let fields = with(":path", Some("/a/../b"));
    let flags = END_STREAM | END_HEADERS;
    for at in 0..33 {
        frames.send(frame(HEADERS, flags, 2 * at + 1, &block(&fields)));
    }
    assert_eq!(frames.goodbye(), Some(11), "ENHANCE_YOUR_CALM");
    siege.ends_as("http2_malformed", 1.0);
    assert_eq!(siege.gate.requests("refused", "malformed"), 33.0);
}

#[test]
fn what_is_no_http2_at_all_ends_the_connection() {
    let siege = Siege::patient();
    let broken: [(&str, Vec<u8>); 9] = [
        ("DATA on no stream", frame(DATA, 0, 0, b"x")),
        ("DATA on an idle stream", frame(DATA, 0, 1, b"x")),
        ("HEADERS on an even stream", get(2)),
        (
            "RST_STREAM on an idle stream",
            crate::harness::frames::reset(1),
        ),
        ("a frame that is too large", frame(DATA, 0, 1, &[0; 16_385])),
        ("a PING of 7 bytes", frame(6, 0, 0, &[0; 7])),
        ("SETTINGS of 5 bytes", frame(4, 0, 0, &[0; 5])),
        ("CONTINUATION of nothing", frame(9, END_HEADERS, 1, b"")),
        (
            "HPACK that points nowhere",
            frame(HEADERS, 5, 1, &[0xff, 0x80, 0x7f]),
        ),
    ];
    for (count, (what, bytes)) in broken.iter().enumerate() {
        let mut frames = siege.frames();
        frames.send(bytes);
        let code = frames.goodbye();
        assert!(code.is_some_and(|code| code != 0), "{what}: {code:?}");
        siege.ends_as("http2_malformed", count as f64 + 1.0);
    }
}

#[test]
fn a_fragment_is_cut_off_before_anybody_reads_the_path() {
    let siege = Siege::patient();
    let mut frames = siege.frames();
    assert_eq!(ask(&mut frames, 1, &with(":path", Some("/a#/../b"))), OK);
    assert_eq!(siege.app.last().path, "/a");
}
