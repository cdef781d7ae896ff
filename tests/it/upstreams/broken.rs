//! Apps that answer too late, by half or with what is no HTTP.

use std::io::Write;
use std::time::{Duration, Instant};

use super::*;

#[test]
fn an_app_that_says_nothing_is_given_up_at_its_deadline() {
    let app = App::accepting(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let gate = gate(
        &[app.address],
        "[deadlines]\nupstream_response = \"300ms\"\n",
    );
    let started = Instant::now();
    let response = gate.get("/");
    let taken = started.elapsed();
    assert_eq!(
        (response.status, response.reason().as_str()),
        (504, "upstream_timeout")
    );
    assert!(
        (300..1500).contains(&taken.as_millis()),
        "answered after {taken:?}"
    );
    assert_eq!(failed(&gate, "upstream_timeout"), 1.0);
    assert_eq!(app.connections(), 1, "it is not asked twice");
}

#[test]
fn an_app_that_stops_in_the_middle_of_its_head_is_given_up_too() {
    let app = App::accepting(|mut stream| {
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nX-Half: ").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let gate = gate(
        &[app.address],
        "[deadlines]\nupstream_response = \"300ms\"\n",
    );
    let response = gate.get("/");
    assert_eq!(
        (response.status, response.reason().as_str()),
        (504, "upstream_timeout")
    );
}

#[test]
fn an_app_that_closes_instead_of_answering_is_broken() {
    let app = App::answering(|_| Reply::Raw(Vec::new()));
    let gate = gate(&[app.address], "");
    for _ in 0..2 {
        let response = gate.get("/");
        assert_eq!(
            (response.status, response.reason().as_str()),
            (502, "upstream_broken")
        );
    }
    let response = gate.connect().post("/", "body");
    assert_eq!(response.status, 502);
    assert_eq!(
        app.requests(),
        3,
        "what may have been done is not done again"
    );
    assert_eq!(failed(&gate, "upstream_broken"), 3.0);
}

#[test]
fn an_app_that_closes_in_the_middle_of_its_head_is_broken() {
    let app = App::answering(|_| Reply::Raw(b"HTTP/1.1 200 OK\r\nX-Half".into()));
    let gate = gate(&[app.address], "");
    let response = gate.get("/");
    assert_eq!(
        (response.status, response.reason().as_str()),
        (502, "upstream_broken")
    );
}

#[test]
fn an_app_that_does_not_speak_http_is_broken() {
    for garbage in [
        b"garbage that is no head at all\r\n\r\n".as_slice(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
    ] {
        let app = App::answering(move |_| Reply::Raw(garbage.into()));
        let gate = gate(&[app.address], "");
        let response = gate.get("/");
        let shown = String::from_utf8_lossy(garbage);
        assert_eq!(response.status, 502, "{shown:?}: {response:?}");
        assert_eq!(response.reason(), "upstream_broken", "{shown:?}");
    }
}

#[test]
fn a_response_that_breaks_off_is_not_passed_off_as_whole() {
    for broken in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
    ] {
        let app = App::answering(move |_| Reply::Raw(broken.into()));
        let gate = gate(&[app.address], "");
        let mut client = gate.connect();
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        assert!(client.try_response().is_none(), "{broken:?} looks whole");
        eventually("the failure to be counted", || {
            failed(&gate, "upstream_broken") == 1.0
        });
    }
}

#[test]
fn an_app_that_stops_in_the_middle_of_its_body_is_given_up() {
    let app = App::accepting(|mut stream| {
        read_head(&mut stream);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            .unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let gate = gate(
        &[app.address],
        "[deadlines]\nupstream_response = \"300ms\"\nresponse_body_idle = \"300ms\"\n",
    );
    let mut client = gate.connect();
    let started = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(client.try_response().is_none(), "half a body looks whole");
    assert!(started.elapsed() < Duration::from_secs(2), "it hangs");
    eventually("the failure to be counted", || {
        failed(&gate, "upstream_timeout") == 1.0
    });
}
