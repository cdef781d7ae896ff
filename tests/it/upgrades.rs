//! Connections that become something else: WebSockets, and nothing but WebSockets.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::harness::{App, Connection, Gate, Latch, ROOMY, Reply, eventually, pattern, read_head};

pub(crate) const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// The answer to that key in RFC 6455 section 1.3.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// An app that takes the handshake and does this with the connection.
pub(crate) fn upgrading(then: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> App {
    App::accepting(move |mut stream| {
        let head = read_head(&mut stream).to_ascii_lowercase();
        assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
        assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
        stream.write_all(SWITCHING.as_bytes()).unwrap();
        then(&mut stream);
    })
}

/// A connection that was upgraded.
fn upgraded(gate: &Gate) -> Connection {
    let mut client = gate.connect();
    client.send(HANDSHAKE);
    let response = client.response();
    assert_eq!(response.status, 101, "{response:?}");
    assert_eq!(response.field("upgrade"), Some("websocket"));
    assert_eq!(response.field("sec-websocket-accept"), Some(ACCEPT));
    let connection = response.field("connection").unwrap_or_default();
    assert!(connection.eq_ignore_ascii_case("upgrade"), "{response:?}");
    client
}

pub(crate) fn echo(stream: &mut TcpStream) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut bytes) {
        stream.write_all(&bytes[..read]).unwrap();
    }
}

/// A frame of RFC 6455 section 5.2 as a client sends it: final, text, masked.
pub(crate) fn masked(text: &str) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 126, "short frames only");
    let mut frame = vec![0x81, 0x80 | length];
    frame.extend_from_slice(&mask);
    frame.extend(
        text.bytes()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// A server that understands frames: it answers each text with the same text.
fn websocket(stream: &mut TcpStream) {
    let mut head = [0; 6];
    while stream.read_exact(&mut head).is_ok() {
        let length = usize::from(head[1] & 0x7f);
        let mut text = vec![0; length];
        stream.read_exact(&mut text).unwrap();
        for (at, byte) in text.iter_mut().enumerate() {
            *byte ^= head[2 + at % 4];
        }
        stream.write_all(&[0x81, head[1] & 0x7f]).unwrap();
        stream.write_all(&text).unwrap();
    }
}

#[test]
fn frames_go_both_ways() {
    let app = upgrading(websocket);
    let gate = Gate::before(&app, "");
    let mut client = upgraded(&gate);
    for text in ["Hello", "", "a longer message that is still one frame"] {
        client.send(masked(text));
        let frame = client.read_exact(2 + text.len());
        assert_eq!(frame[..2], [0x81, u8::try_from(text.len()).unwrap()]);
        assert_eq!(&frame[2..], text.as_bytes());
    }
}

#[test]
fn the_server_may_speak_first_right_behind_the_handshake() {
    let app = upgrading(|stream| {
        stream.write_all(b"\x81\x07welcome").unwrap();
        echo(stream);
    });
    let gate = Gate::before(&app, "");
    for _ in 0..10 {
        let mut client = upgraded(&gate);
        assert_eq!(client.read_exact(9), b"\x81\x07welcome");
        client.send("thanks");
        assert_eq!(client.read_exact(6), b"thanks");
    }
}

/// cloudflare/pingora#946: without care, up to 8 tunnels of 1,000 were torn.
#[test]
fn an_app_may_switch_at_once() {
    let app = App::accepting(|mut stream| {
        read_head(&mut stream);
        stream.write_all(SWITCHING.as_bytes()).unwrap();
        echo(&mut stream);
    });
    let gate = Gate::before(&app, ROOMY);
    for _ in 0..1000 {
        let mut client = upgraded(&gate);
        client.send("hello");
        assert_eq!(client.read_exact(5), b"hello");
    }
}

#[test]
fn the_server_may_speak_first_in_the_very_packet_of_the_handshake() {
    let app = App::answering(|_| {
        Reply::Takeover(Box::new(|mut stream| {
            let together = [SWITCHING.as_bytes(), b"\x81\x07welcome"].concat();
            stream.write_all(&together).unwrap();
            echo(&mut stream);
        }))
    });
    let gate = Gate::before(&app, "");
    let mut client = upgraded(&gate);
    assert_eq!(client.read_exact(9), b"\x81\x07welcome");
    client.send("thanks");
    assert_eq!(client.read_exact(6), b"thanks");
}

#[test]
fn many_bytes_go_both_ways_at_once() {
    let app = upgrading(echo);
    let gate = Gate::before(&app, "");
    let (mut client, mut sender) = upgraded(&gate).split();
    let bytes = pattern(4 * 1024 * 1024);
    let sent = bytes.clone();
    let sending = std::thread::spawn(move || sender.send(sent));
    assert!(
        client.read_exact(bytes.len()) == bytes,
        "other bytes came back"
    );
    sending.join().unwrap();
}

#[test]
fn the_server_ends_it() {
    let app = upgrading(|stream| stream.write_all(b"bye").unwrap());
    let gate = Gate::before(&app, "");
    let mut client = upgraded(&gate);
    assert_eq!(client.read_exact(3), b"bye");
    assert!(client.is_closed());
    eventually("the connection to be given back", || {
        gate.metric("tidegate_connections_open") == 0.0
    });
}

#[test]
fn the_client_ends_it() {
    let ended = Latch::new();
    let ending = ended.clone();
    let app = upgrading(move |stream| {
        echo(stream);
        ending.open();
    });
    let gate = Gate::before(&app, "");
    let mut client = upgraded(&gate);
    client.send("hello");
    assert_eq!(client.read_exact(5), b"hello");
    drop(client);
    ended.wait();
    eventually("the connection to be given back", || {
        gate.metric("tidegate_connections_open") == 0.0
    });
    let lines = gate.log(1);
    assert_eq!(lines[0]["outcome"], "forwarded", "{lines:#?}");
    assert_eq!(lines[0]["http.response.status_code"], 101, "{lines:#?}");
}

#[test]
fn an_app_may_decline_and_the_connection_goes_on() {
    let app = App::answering(|request| match request.path.as_str() {
        "/chat" => Reply::Full(400, Vec::new(), b"no websocket here".to_vec()),
        path => Reply::text(path),
    });
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    client.send(HANDSHAKE);
    let response = client.response();
    assert_eq!(response.status, 400);
    assert_eq!(response.text(), "no websocket here");
    if !response.closes() {
        assert_eq!(client.get("/after").text(), "/after");
    }
}

#[test]
fn an_app_that_knows_no_upgrade_answers_as_ever() {
    let app = App::answering(|request| Reply::text(&request.path));
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    for _ in 0..3 {
        client.send(HANDSHAKE);
        let response = client.response();
        assert_eq!((response.status, response.text().as_str()), (200, "/chat"));
        if response.closes() {
            assert!(client.is_closed());
            client = gate.connect();
        }
    }
}

#[test]
fn other_protocols_are_not_upgraded_to() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    for protocol in ["h2c", "TLS/1.0", "websocket2"] {
        let fields = [
            "Connection: Upgrade, HTTP2-Settings",
            &format!("Upgrade: {protocol}"),
            "HTTP2-Settings: AAMAAABkAAQAAP__",
        ];
        let response = client.get_with("/plain", &fields);
        assert_eq!(response.text(), "/plain", "{protocol}");
        let seen = app.last();
        assert_eq!(seen.field("upgrade"), None, "{protocol} reached the app");
        assert_eq!(seen.field("http2-settings"), None, "{protocol}");
    }
}

#[test]
fn an_app_cannot_switch_what_nobody_asked_to_switch() {
    let app = App::answering(|_| Reply::Raw(SWITCHING.into()));
    let gate = Gate::before(&app, "");
    let response = gate.get("/");
    assert_eq!(
        (response.status, response.reason().as_str()),
        (502, "upstream_broken")
    );
}

#[test]
fn an_upgrade_is_limited_like_any_request() {
    let app = upgrading(echo);
    let gate = Gate::before(&app, "[client]\nlimit = { rate = \"1/h\", burst = 1 }\n");
    let _first = upgraded(&gate);
    let mut second = gate.connect();
    second.send(HANDSHAKE);
    assert_eq!(second.response().status, 429);
    assert_eq!(app.connections(), 1);
}

#[test]
fn an_app_that_does_not_answer_a_handshake_is_not_waited_for_as_a_tunnel_is() {
    let app = App::accepting(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let gate = Gate::before(&app, "[deadlines]\nupstream_response = \"300ms\"");
    let mut client = gate.connect();
    client.send(HANDSHAKE);
    let response = client.response();
    assert_eq!(
        (response.status, response.reason().as_str()),
        (504, "upstream_timeout")
    );
}
