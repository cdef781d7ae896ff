//! HTTP/2: what it carries, and what it has in common with HTTP/1.1.

/// The ends of streams and of connections, wanted or not.
mod ends;
/// Limits, tenants and modes: a stream is a request.
mod limits;
/// Changes under load: nobody notices.
mod load;
/// Programs that were not written for this, as clients.
mod tools;

use std::io::Write;

use http::HeaderValue;

use crate::harness::{
    Answer, App, Authority, Folder, Gate, Http2, ROOMY, Reply, Trust, http2_listener, pattern,
    read_head, request, with_upstream,
};

pub const NAME: &str = "one.example";

/// A gate with one certificate that offers HTTP/2, before an app.
pub fn serving(app: &App, more: &str) -> (Gate, Trust) {
    let (folder, authority) = (Folder::new(), Authority::new());
    let certificate = authority.issue(&[NAME]).write(&folder, "gate");
    let listener = http2_listener(&[certificate], "");
    let config = with_upstream(&[app.address], &format!("{more}{listener}"));
    (Gate::start_in(folder, &config), Trust::of(&authority))
}

/// Such a gate, and one connection to it.
fn connected(app: &App) -> (Gate, Http2) {
    let (gate, trust) = serving(app, ROOMY);
    let client = Http2::open(&gate, &trust);
    (gate, client)
}

#[test]
fn requests_of_all_kinds_are_answered() {
    let app = App::answering(|request| match request.path.as_str() {
        "/empty" => Reply::status(204),
        "/unchanged" => Reply::Full(304, vec!["ETag: \"x\"".to_owned()], Vec::new()),
        _ => Reply::text(&format!(
            "{} {} {}",
            request.method,
            request.path,
            request.body.len()
        )),
    });
    let (gate, client) = connected(&app);
    assert_eq!(client.get("/a?b=c").text(), "GET /a?b=c 0");
    assert_eq!(client.post("/p", b"12345").text(), "POST /p 5");
    assert_eq!(app.last().body, b"12345");
    for (path, status) in [("/empty", 204), ("/unchanged", 304)] {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.body.len()), (status, 0), "{path}");
    }
    let head = client.ask(request("HEAD", "/head"), &[]).unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.field("content-length"), Some("12"));
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = client.ask(request(method, "/"), &[]).unwrap();
        assert_eq!(answer.text(), format!("{method} / 0"));
    }
    assert_eq!(gate.requests("forwarded", "none"), 9.0);
    // The next request may be there before the last one's connection is free.
    let connections = app.connections();
    assert!(connections < 9, "{connections} connections to the app");
}

#[test]
fn the_app_sees_http_1_1() {
    let app = App::echoing_paths();
    let (_gate, client) = connected(&app);
    let mut asked = request("GET", "/");
    for crumb in ["a=1", "b=2", "c=3"] {
        asked
            .headers_mut()
            .append("cookie", HeaderValue::from_static(crumb));
    }
    asked
        .headers_mut()
        .insert("x-forwarded-for", HeaderValue::from_static("9.9.9.9"));
    asked
        .headers_mut()
        .insert("te", HeaderValue::from_static("trailers"));
    let answer = client.ask(asked, &[]).unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("connection"), None);
    assert_eq!(answer.field("transfer-encoding"), None);
    assert!(answer.field("date").is_some());
    let seen = app.last();
    for (name, value) in [
        ("host", NAME),
        ("cookie", "a=1; b=2; c=3"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", NAME),
        ("via", "2 tidegate"),
    ] {
        assert_eq!(seen.field(name).as_deref(), Some(value), "{name}: {seen:?}");
    }
    for name in ["te", "transfer-encoding", "content-length"] {
        assert_eq!(seen.field(name), None, "{name}: {seen:?}");
    }
    let hosts = seen.fields.iter().filter(|(name, _)| name == "host");
    assert_eq!(hosts.count(), 1);
}

#[test]
fn a_body_has_the_length_that_it_says_or_is_chunked() {
    let app = App::echoing_paths();
    let (_gate, client) = connected(&app);
    let mut said = request("POST", "/");
    said.headers_mut()
        .insert("content-length", HeaderValue::from_static("5"));
    assert_eq!(client.ask(said, b"12345").unwrap().status, 200);
    let seen = app.last();
    assert_eq!(seen.field("content-length").as_deref(), Some("5"));
    assert_eq!(seen.field("transfer-encoding"), None);
    assert_eq!(client.post("/", b"12345").status, 200);
    let seen = app.last();
    assert_eq!(seen.field("content-length"), None);
    assert_eq!(seen.field("transfer-encoding").as_deref(), Some("chunked"));
    assert_eq!(seen.body, b"12345");
}

#[test]
fn large_bodies_go_through_unharmed_both_ways() {
    let app = App::answering(|request| Reply::Full(200, Vec::new(), request.body.clone()));
    let (_gate, client) = connected(&app);
    let body = pattern(5_000_001);
    assert!(
        client.post("/", &body).body == body,
        "another body came back"
    );
    assert!(app.last().body == body, "another body went up");
    // Beside each other, so that their parts are mixed.
    let bodies: Vec<Vec<u8>> = (0..8).map(|at| pattern(300_000 + at)).collect();
    let begun: Vec<_> = bodies
        .iter()
        .map(|body| client.begin(request("POST", "/"), body))
        .collect();
    for (pending, body) in begun.into_iter().zip(&bodies) {
        let answer = client.wait(pending).unwrap();
        assert!(&answer.body == body, "another body of {}", body.len());
    }
}

#[test]
fn a_hundred_requests_are_under_way_at_once() {
    let (app, latch) = App::waiting_at_slow();
    let (_gate, client) = connected(&app);
    let slow: Vec<_> = (0..100)
        .map(|_| client.begin(request("GET", "/slow"), &[]))
        .collect();
    crate::harness::eventually("all of them to reach the app", || app.requests() == 100);
    latch.open();
    for pending in slow {
        assert_eq!(client.wait(pending).unwrap().text(), "/slow");
    }
    let more: Vec<_> = (0..500)
        .map(|at| client.begin(request("GET", &format!("/{at}")), &[]))
        .collect();
    for (at, pending) in more.into_iter().enumerate() {
        assert_eq!(client.wait(pending).unwrap().text(), format!("/{at}"));
    }
}

#[test]
fn interim_responses_reach_the_client_and_trailers_end_a_response() {
    let app = App::accepting(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n\
              HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
              4\r\nbody\r\n0\r\nX-Sum: 17\r\n\r\n",
        );
    });
    let (_gate, client) = connected(&app);
    let (hints, answer) = client.run(|mut sender| async move {
        let (mut answer, _) = sender.send_request(request("GET", "/"), true).unwrap();
        let hints = std::future::poll_fn(|cx| answer.poll_informational(cx)).await;
        let (head, mut body) = answer.await.unwrap().into_parts();
        let mut bytes = Vec::new();
        while let Some(part) = body.data().await {
            bytes.extend_from_slice(&part.unwrap());
        }
        let trailers = body.trailers().await.unwrap();
        let answer = Answer {
            status: head.status.as_u16(),
            fields: head.headers,
            body: bytes,
            trailers,
        };
        (hints, answer)
    });
    let hints = hints.expect("an interim response").unwrap();
    assert_eq!(hints.status(), 103);
    assert_eq!(hints.headers()["link"], "</x>; rel=preload");
    assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
    // Pingora reads trailers of an HTTP/1.1 upstream, and passes none on.
    assert!(answer.trailers.is_none(), "{:?}", answer.trailers);
}

#[test]
fn trailers_of_a_request_end_its_body() {
    let app = App::echoing_paths();
    let (gate, client) = connected(&app);
    let answer = client.run(|mut sender| async move {
        let asked = request("POST", "/");
        let (answer, mut stream) = sender.send_request(asked, false).unwrap();
        stream.send_data("body".into(), false).unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("17"));
        stream.send_trailers(trailers).unwrap();
        answer.await.unwrap()
    });
    assert_eq!(answer.status(), 200);
    assert_eq!(app.last().body, b"body");
    assert_eq!(client.get("/after").text(), "/after");
    assert_eq!(gate.requests("forwarded", "none"), 2.0);
}

#[test]
fn a_client_that_waits_for_100_continue_is_told_to_go_on() {
    let app = App::accepting(|mut stream| {
        let head = read_head(&mut stream);
        assert!(
            head.to_lowercase().contains("expect: 100-continue"),
            "{head}"
        );
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        let mut body = [0; 5];
        std::io::Read::read_exact(&mut stream, &mut body).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        let _ = stream.write_all(&body);
    });
    let (_gate, client) = connected(&app);
    let body = client.run(|mut sender| async move {
        let mut asked = request("POST", "/");
        let fields = asked.headers_mut();
        fields.insert("expect", HeaderValue::from_static("100-continue"));
        fields.insert("content-length", HeaderValue::from_static("5"));
        let (mut answer, mut stream) = sender.send_request(asked, false).unwrap();
        let go_on = std::future::poll_fn(|cx| answer.poll_informational(cx)).await;
        assert_eq!(go_on.expect("an interim response").unwrap().status(), 100);
        stream.send_data("12345".into(), true).unwrap();
        let mut body = answer.await.unwrap().into_body();
        body.data().await.expect("a body").unwrap()
    });
    assert_eq!(&body[..], b"12345");
}

#[test]
fn http_1_1_is_served_beside_it() {
    let app = App::echoing_paths();
    let (gate, trust) = serving(&app, ROOMY);
    let agreed = |protocols: &[&str]| {
        let client = gate.encrypted(&trust.clone().speaking(protocols), NAME);
        client.session().alpn_protocol().map(<[u8]>::to_vec)
    };
    assert_eq!(agreed(&["http/1.1", "h2"]), Some(b"h2".to_vec()));
    assert_eq!(agreed(&["http/1.1"]), Some(b"http/1.1".to_vec()));
    let mut older = gate.encrypted(&trust, NAME);
    assert_eq!(older.get("/older").text(), "/older");
}
