//! Forwarding to an app and back: methods, statuses, versions, how responses end.

use crate::harness::{App, Connection, Gate, ROOMY, Reply};

#[test]
fn a_request_reaches_the_app_and_its_response_the_client() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    let response = gate.get("/hello?x=1");
    assert_eq!(
        (response.status, response.text()),
        (200, "/hello?x=1".to_owned())
    );
    let seen = app.last();
    assert_eq!(seen.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(seen.field("x-forwarded-host").as_deref(), Some("test"));
    assert_eq!(seen.field("via").as_deref(), Some("1.1 tidegate"));
}

#[test]
fn every_method_of_an_app_arrives_as_it_was_sent() {
    let app = App::answering(|request| Reply::text(&request.method));
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    for method in ["GET", "DELETE", "PUT", "PATCH", "PROPFIND", "BREW"] {
        client.send(format!("{method} /x HTTP/1.1\r\nHost: test\r\n\r\n"));
        assert_eq!(client.response().text(), method);
    }
}

#[test]
fn the_target_arrives_byte_for_byte() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    for target in [
        "/?",
        "/a//b",
        "/%7Euser/%2fx?y=%zz&z=a+b",
        "/a;v=1/b?c=/../d",
        "/|{}^~!$&'()*,:@",
        "/?url=http://other/",
    ] {
        let response = client.get(target);
        assert_eq!(response.status, 200, "{target}: {}", response.text());
        assert_eq!(response.text(), target);
    }
}

#[test]
fn a_character_that_no_target_has_is_the_clients_mistake_wherever_it_is_found() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, ROOMY);
    let mut refused = Vec::new();
    for byte in 0x21..=0xff_u8 {
        let target = [b"/a", [byte].as_slice(), b"b?c", &[byte], b"d"].concat();
        let head = [b"GET ", &target[..], b" HTTP/1.1\r\nHost: test\r\n\r\n"].concat();
        let response = gate.send(head);
        match response.status {
            200 => assert_eq!(response.body, target, "byte {byte:#x}"),
            400 => {
                refused.push(byte);
                assert_eq!(response.reason(), "malformed", "byte {byte:#x}");
            }
            other => panic!("byte {byte:#x} in a target: {other}"),
        }
    }
    assert_eq!(app.requests() + refused.len() as u64, 0xff - 0x20);
    let counted = gate.metric("tidegate_requests_total{outcome=\"refused\",reason=\"malformed\"}");
    assert_eq!(counted, refused.len() as f64);
}

#[test]
fn an_absolute_target_reaches_the_app_that_its_host_names() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    let response = gate.send("GET http://test/abs?q=1 HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(response.status, 200, "{response:?}");
    let seen = app.last();
    assert_eq!(seen.field("host").as_deref(), Some("test"));
    assert!(
        ["/abs?q=1", "http://test/abs?q=1"].contains(&seen.path.as_str()),
        "the app was asked for {}",
        seen.path
    );
}

#[test]
fn a_head_request_gets_the_length_and_no_body() {
    let app = App::answering(|_| Reply::text("twelve bytes"));
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
    let response = client.response_to_head();
    assert_eq!(response.status, 200);
    assert_eq!(response.field("content-length"), Some("12"));
    assert_eq!(client.get("/").text(), "twelve bytes", "the framing held");
}

#[test]
fn responses_without_a_body_leave_the_connection_usable() {
    let app = App::answering(|request| match request.path.as_str() {
        "/204" => Reply::status(204),
        "/304" => Reply::Full(304, vec!["etag: \"a\"".to_owned()], Vec::new()),
        "/304-length" => Reply::Full(304, vec!["content-length: 500".to_owned()], Vec::new()),
        path => Reply::text(path),
    });
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    for (path, status) in [("/204", 204), ("/304", 304), ("/304-length", 304)] {
        let response = client.get(path);
        assert_eq!(response.status, status, "{path}");
        assert_eq!(
            response.field("transfer-encoding"),
            None,
            "{path}: {response:?}"
        );
        assert_eq!(client.get("/after").text(), "/after", "after {path}");
    }
    assert_eq!(client.get("/304").field("etag"), Some("\"a\""));
}

#[test]
fn statuses_and_fields_of_the_app_arrive_unchanged() {
    let fields = ["x-app: one", "x-app: two", "set-cookie: a=b; Path=/"];
    let app = App::answering(move |request| {
        let status = request.path.trim_start_matches('/').parse().unwrap();
        Reply::Full(status, fields.map(str::to_owned).to_vec(), b"body".to_vec())
    });
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    for status in [200, 201, 301, 404, 418, 429, 500, 503, 599] {
        let response = client.get(&format!("/{status}"));
        assert_eq!(response.status, status);
        assert_eq!(response.text(), "body");
        let of_app = response.fields.iter().filter(|(name, _)| name == "x-app");
        let values: Vec<&str> = of_app.map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["one", "two"]);
        assert_eq!(response.field("set-cookie"), Some("a=b; Path=/"));
    }
}

#[test]
fn an_http_1_0_client_gets_its_response_and_then_the_end() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    client.send("GET /old HTTP/1.0\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (200, "/old"));
    assert!(client.is_closed(), "HTTP/1.0 closes unless asked otherwise");
}

#[test]
fn an_http_1_0_client_may_ask_to_keep_the_connection() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    for path in ["/one", "/two"] {
        client.send(format!(
            "GET {path} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        ));
        let response = client.response();
        assert_eq!(response.text(), path);
        assert_eq!(
            response
                .field("connection")
                .map(str::to_ascii_lowercase)
                .as_deref(),
            Some("keep-alive"),
            "an HTTP/1.0 client has to be told: {response:?}"
        );
    }
    client.send("GET /three HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().text(), "/three");
    assert!(client.is_closed());
}

#[test]
fn an_http_1_0_client_is_never_sent_chunks() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nchunks\r\n0\r\n\r\n";
    let app = App::answering(|_| Reply::Raw(chunked.into()));
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let bytes = client.read_to_end();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.ends_with("\r\n\r\nchunks"), "{text:?}");
    assert!(!text.to_ascii_lowercase().contains("chunked"), "{text:?}");
}

#[test]
fn a_client_that_asks_to_close_is_closed_to() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    let response = client.get_with("/last", &["Connection: close"]);
    assert_eq!(response.text(), "/last");
    assert!(response.closes(), "{response:?}");
    assert!(client.is_closed());
}

#[test]
fn a_client_that_has_nothing_more_to_send_is_closed_to() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    assert_eq!(client.get("/").status, 200);
    client.finish();
    assert!(client.is_closed());
}

#[test]
fn connections_to_the_client_and_to_the_app_are_kept() {
    let app = App::echoing_paths();
    // With more threads, Pingora may find that another one still holds on to the connection that it has
    // just put into the pool, and open one more.
    let gate = Gate::before(&app, &format!("threads = 1\n{ROOMY}"));
    let mut client = gate.connect();
    for number in 0..200 {
        let path = format!("/{number}");
        assert_eq!(client.get(&path).text(), path);
    }
    assert_eq!(app.connections(), 1);
    assert_eq!(
        gate.metric("tidegate_connections_total{outcome=\"accepted\",reason=\"none\"}"),
        1.0
    );
}

#[test]
fn connections_to_the_app_are_shared_by_clients_one_after_the_other() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, ROOMY);
    for _ in 0..30 {
        assert_eq!(gate.get("/").status, 200);
    }
    let connections = app.connections();
    // Each traffic thread may keep its own; a client may come before the last one's is put back.
    assert!(
        connections <= 6,
        "{connections} connections for 30 requests"
    );
}

#[test]
fn an_app_that_closes_after_each_response_is_no_failure() {
    let app = App::answering(|request| {
        let length = request.path.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n");
        Reply::Raw(format!("{head}Connection: close\r\n\r\n{}", request.path).into())
    });
    let gate = Gate::before(&app, ROOMY);
    let mut client = gate.connect();
    for number in 0..20 {
        let path = format!("/{number}");
        let response = client.get(&path);
        assert_eq!((response.status, response.text()), (200, path));
    }
    assert_eq!(app.connections(), 20);
}

#[test]
fn an_app_that_closes_without_saying_so_fails_no_get() {
    // The connection ends right behind a response that promised to keep it.
    let app = App::answering(|request| {
        let length = request.path.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        Reply::Raw(format!("{head}{}", request.path).into())
    });
    let gate = Gate::before(&app, ROOMY);
    let mut client = gate.connect();
    for number in 0..50 {
        let path = format!("/{number}");
        let response = client.get(&path);
        assert_eq!((response.status, response.text()), (200, path));
    }
}

fn respond_and_check(connection: &mut Connection, path: &str) {
    let response = connection.response();
    assert_eq!((response.status, response.text().as_str()), (200, path));
}

#[test]
fn empty_lines_before_a_request_are_passed_over() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    client.send("\r\n\r\nGET /first HTTP/1.1\r\nHost: test\r\n\r\n");
    respond_and_check(&mut client, "/first");
    client.send("\r\nGET /second HTTP/1.1\r\nHost: test\r\n\r\n");
    respond_and_check(&mut client, "/second");
}

#[test]
fn a_head_may_arrive_byte_by_byte() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    for path in ["/slow", "/again"] {
        for byte in format!("\r\nGET {path} HTTP/1.1\r\nHost: test\r\n\r\n").bytes() {
            client.send([byte]);
        }
        respond_and_check(&mut client, path);
    }
}
