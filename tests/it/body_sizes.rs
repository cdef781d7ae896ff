//! How large bodies may be: what says that it is larger is refused before anything is forwarded, what
//! turns out larger is cut on its way.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::harness::{App, Gate, Reply, eventually, read_head};

const KIB: &str = "[client]\nmax_body = \"1KiB\"\n";

fn chunked(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
}

fn counting() -> App {
    App::answering(|request| Reply::text(&request.body.len().to_string()))
}

#[test]
fn a_body_that_says_it_is_too_large_is_refused_and_nothing_forwarded() {
    let app = counting();
    let gate = Gate::before(&app, KIB);
    let mut connection = gate.connect();
    assert_eq!(connection.post("/", vec![b'x'; 1024]).text(), "1024");
    let requests = app.requests();
    let response = connection.post("/", vec![b'x'; 1025]);
    assert_eq!(
        (response.status, response.reason().as_str()),
        (413, "body_too_large")
    );
    // All of it was here already, so that the next request is known to begin behind it.
    assert!(!response.closes());
    for length in ["1025", "18446744073709551615"] {
        let mut connection = gate.connect();
        let started = Instant::now();
        // A client that expects 100 waits for the answer before it sends a byte.
        connection.send(format!(
            "PUT / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        ));
        let head = connection.read_head().expect("an answer");
        assert_eq!(head.status, 413);
        assert!(head.closes());
        assert!(started.elapsed() < Duration::from_secs(1), "at once");
    }
    assert_eq!(app.requests(), requests, "the app got a request");
    assert_eq!(gate.requests("refused", "body_too_large"), 3.0);
}

#[test]
fn a_chunked_body_that_turns_out_too_large_is_cut_on_its_way() {
    let app = counting();
    let gate = Gate::before(&app, KIB);
    let kib = format!("400\r\n{}\r\n", "x".repeat(1024));
    let mut connection = gate.connect();
    connection.send(format!("{}{kib}0\r\n\r\n", chunked("/")));
    assert_eq!(connection.response().text(), "1024");
    for body in [
        "401\r\n".to_owned(),
        "fffffffffffffff\r\n".to_owned(),
        format!("{kib}1\r\n"),
        "200;extensions=do-not-count\r\n".to_owned() + &"x".repeat(512) + "\r\n201\r\n",
        "1\r\nx\r\n".repeat(1025),
    ] {
        let mut connection = gate.connect();
        let _ = connection.try_send(format!("{}{body}", chunked("/")));
        let response = connection.response();
        assert_eq!(response.status, 413, "{body:.40}");
        assert_eq!(response.reason(), "body_overrun");
        assert!(response.closes() && connection.is_closed());
    }
    assert_eq!(app.requests(), 1, "the app got a whole request");
    eventually("each is counted", || {
        gate.requests("failed", "body_overrun") == 5.0
    });
    // What was begun to the app is broken off: on its connection this would be in a chunk.
    assert_eq!(gate.get("/").status, 200);
    assert_eq!((app.requests(), app.last().method.as_str()), (2, "GET"));
}

#[test]
fn a_body_that_turns_out_too_large_behind_a_response_breaks_it_off() {
    let app = App::accepting(|mut stream| {
        read_head(&mut stream);
        let _ =
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let gate = Gate::before(&app, KIB);
    let mut connection = gate.connect();
    connection.send(format!("{}1\r\nx\r\n", chunked("/")));
    assert_eq!(connection.read_head().expect("a head").status, 200);
    connection.send("ffff\r\n");
    let rest = connection.read_to_end();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "not passed off as whole");
    eventually("it is counted", || {
        gate.requests("failed", "body_overrun") == 1.0
    });
}

#[test]
fn a_route_has_its_own_size() {
    let app = counting();
    let routes = "[[route]]\npath = \"/upload\"\nupstream = \"app\"\nmax_body = \"2KiB\"\n\
                  [[route]]\npath = \"/any\"\nupstream = \"app\"\nmax_body = \"off\"\n\
                  [[route]]\nupstream = \"app\"\n";
    let gate = Gate::before(&app, &format!("{KIB}{routes}"));
    for (path, length, status) in [
        ("/", 1024, 200),
        ("/", 1025, 413),
        ("/upload", 2048, 200),
        ("/upload", 2049, 413),
        ("/any", 1 << 20, 200),
    ] {
        let body = vec![b'x'; length];
        let announced = gate.connect().post(path, &body).status;
        assert_eq!(announced, status, "{length} bytes to {path}");
        let mut connection = gate.connect();
        let head = format!("{}{length:x}\r\n", chunked(path));
        let _ = connection.try_send([head.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat());
        let chunked = connection.response().status;
        assert_eq!(chunked, status, "{length} bytes in chunks to {path}");
    }
}

#[test]
fn observing_counts_a_body_that_is_too_large_and_lets_it_through() {
    let app = counting();
    let gate = Gate::before(&app, &format!("mode = \"observe\"\n{KIB}"));
    let mut connection = gate.connect();
    assert_eq!(connection.post("/", vec![b'x'; 5000]).text(), "5000");
    let body = "x".repeat(5000);
    connection.send(format!("{}1388\r\n{body}\r\n0\r\n\r\n", chunked("/")));
    assert_eq!(connection.response().text(), "5000");
    let would = "tidegate_would_refuse_total{mode=\"normal\",reason=\"body_too_large\"}";
    assert_eq!(gate.metric(would), 1.0, "what is chunked announces nothing");
}
