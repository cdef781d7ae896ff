//! The admin API itself, as a program speaks to it that is not ours, or means no good.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::gate;
use crate::harness::Gate;

pub(super) fn socket(gate: &Gate) -> UnixStream {
    let stream = UnixStream::connect(gate.folder.path("admin.sock")).expect("the socket answers");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

/// One request to the admin API: status, content type, body.
pub(super) fn ask(
    gate: &Gate,
    method: &str,
    path: &str,
    body: &str,
) -> (u16, String, serde_json::Value) {
    let mut stream = socket(gate);
    let length = body.len();
    let head = "Host: admin\r\nContent-Type: application/json\r\nConnection: close";
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("the API answers");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let kind = head
        .lines()
        .find_map(|line| line.strip_prefix("content-type: "));
    let body = serde_json::from_str(body).unwrap_or(serde_json::Value::Null);
    (status, kind.unwrap_or_default().to_owned(), body)
}

#[test]
fn the_api_explains_what_it_does_not_understand() {
    let (_app, gate) = gate();
    for (method, path, body, status, part) in [
        ("GET", "/", "", 404, "/v1/status"),
        ("GET", "/v1/nothing", "", 404, "/v1/status"),
        ("POST", "/v1/mode", "", 400, "EOF"),
        ("POST", "/v1/mode", "nonsense", 400, "JSON"),
        ("POST", "/v1/mode", "{}", 400, "mode"),
        ("POST", "/v1/mode", r#"{"mode":"panic"}"#, 400, "known-only"),
        (
            "POST",
            "/v1/mode",
            r#"{"mode":"normal","minutes":5}"#,
            400,
            "minutes",
        ),
        (
            "POST",
            "/v1/mode",
            r#"{"mode":"normal","seconds":0}"#,
            400,
            "at least a second",
        ),
        (
            "POST",
            "/v1/mode",
            r#"{"mode":"normal","seconds":-1}"#,
            400,
            "seconds",
        ),
        (
            "POST",
            "/v1/mode",
            r#"{"mode":"normal","seconds":5,"forever":true}"#,
            400,
            "contradict",
        ),
        (
            "POST",
            "/v1/mode",
            r#"{"mode":"known-only"}"#,
            409,
            "known add",
        ),
        ("POST", "/v1/known", r#"{"prefix":7}"#, 400, "prefix"),
        ("POST", "/v1/known", r#"{"prefix":"x"}"#, 422, "192.0.2.7"),
        (
            "DELETE",
            "/v1/known",
            r#"{"prefix":"192.0.2.1"}"#,
            404,
            "known list",
        ),
        ("GET", "/v1/known?limit=many", "", 400, "limit"),
        ("GET", "/v1/known?address=here", "", 400, "address"),
        ("DELETE", "/v1/mode", "", 405, "GET"),
        ("GET", "/v1/reload", "", 405, "POST"),
    ] {
        let (got, kind, problem) = ask(&gate, method, path, body);
        let what = format!("{method} {path} {body}: {got} {problem}");
        assert_eq!(got, status, "{what}");
        assert_eq!(kind, "application/problem+json", "{what}");
        assert_eq!(problem["status"], status, "{what}");
        assert!(
            problem["detail"].as_str().unwrap().contains(part),
            "no {part:?}: {what}"
        );
    }
    let (status, _, mode) = ask(
        &gate,
        "POST",
        "/v1/mode",
        r#"{"mode":"observe","seconds":18446744073709551615}"#,
    );
    assert_eq!((status, &mode["mode"]), (200, &"observe".into()), "{mode}");
    gate.verb(&["status"]).good();
    let text = gate
        .verb(&["mode", "normal", "--reason", "line\nbreak \u{1b}[2J"])
        .good();
    assert!(
        !text.trim_end().contains(['\n', '\u{1b}']),
        "a reason writes on the terminal: {text:?}"
    );
}

#[test]
fn garbage_crowds_and_slow_clients_disturb_neither_the_admin_side_nor_the_traffic() {
    let (_app, gate) = gate();
    let mut slow: Vec<UnixStream> = (0..20).map(|_| socket(&gate)).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /v1/sta").unwrap();
    }
    for garbage in [
        &b"\0\xff\x16\x03"[..],
        b"GET / HTTP/9\r\n\r\n",
        b"\r\n\r\n\r\n",
        &[b'a'; 100_000],
        b"POST /v1/mode HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    ] {
        let _ = socket(&gate).write_all(garbage);
    }
    let large = format!("{{\"mode\":\"{}\"}}", "x".repeat(3 << 20));
    let mut stream = socket(&gate);
    let _ = write!(
        stream,
        "POST /v1/mode HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{large}",
        large.len()
    );
    std::thread::scope(|scope| {
        let gate = &gate;
        let asking: Vec<_> = (0..200)
            .map(|_| scope.spawn(move || ask(gate, "GET", "/v1/status", "").0))
            .collect();
        assert_eq!(gate.get("/").status, 200);
        for thread in asking {
            assert_eq!(thread.join().unwrap(), 200);
        }
    });
    assert_eq!(gate.get("/").status, 200);
    assert_eq!(gate.status()["mode"]["mode"], "normal");
    assert!(!gate.has_said("panicked"), "{:#?}", gate.messages());
}
