//! Heads that must pass, and what the app sees of them.

use super::{FREE, with_target};
use crate::harness::{App, Gate};

#[test]
fn good_heads_of_every_shape_pass() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, FREE);
    let long = format!("/{}", "a".repeat(16_000));
    let fields: String = (1..100).map(|n| format!("x-{n}: y\r\n")).collect();
    let full = format!("GET /full HTTP/1.1\r\nHost: test\r\n{fields}\r\n");
    let large = format!(
        "GET /large HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n",
        "a".repeat(60_000)
    );
    let mut wrong = Vec::new();
    for (bytes, path) in [
        (with_target("/plain").as_str(), "/plain"),
        (&with_target("/a/b//c/"), "/a/b//c/"),
        (&with_target("/..."), "/..."),
        (&with_target("/.well-known/x"), "/.well-known/x"),
        (&with_target("/a..b/..c/d.."), "/a..b/..c/d.."),
        (&with_target("/a?b=../../c"), "/a?b=../../c"),
        (&with_target("/%41%2f%20%00?%"), "/%41%2f%20%00?%"),
        (&with_target("/~a!$&'()*+,;=:@-._"), "/~a!$&'()*+,;=:@-._"),
        (&with_target("/{a}|^\"[]?{a}|^`[]"), "/{a}|^\"[]?{a}|^`[]"),
        (&with_target("/?http://admin/"), "/?http://admin/"),
        (&with_target(&long), &long),
        (&full, "/full"),
        (&large, "/large"),
        ("\r\n\r\nGET /late HTTP/1.1\r\nHost: test\r\n\r\n", "/late"),
        ("GET /1.0 HTTP/1.0\r\n\r\n", "/1.0"),
        ("GET /1.0h HTTP/1.0\r\nHost: test\r\n\r\n", "/1.0h"),
        ("get /other HTTP/1.1\r\nHost: test\r\n\r\n", "/other"),
        ("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n", "*"),
        (
            "GET /tight HTTP/1.1\r\nHost:test\r\nX:\r\nY: \r\nZ:\ta\tb\t\r\n\r\n",
            "/tight",
        ),
        (
            "GET /utf8 HTTP/1.1\r\nHost: test\r\nX: \u{e9}\u{4e2d}\r\n\r\n",
            "/utf8",
        ),
        (
            "GET /te HTTP/1.1\r\nHost: test\r\nTE: trailers\r\n\r\n",
            "/te",
        ),
        ("GET /port HTTP/1.1\r\nHost: test:8080\r\n\r\n", "/port"),
        (
            "GET /six HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n",
            "/six",
        ),
        ("GET /caps HTTP/1.1\r\nHOST: TEST\r\n\r\n", "/caps"),
        (
            "GET http://test/abs?x=1 HTTP/1.1\r\nHost: test\r\n\r\n",
            "/abs?x=1",
        ),
        (
            "GET HTTP://TEST/scheme HTTP/1.1\r\nHost: test\r\n\r\n",
            "/scheme",
        ),
        (
            "GET https://test/tls HTTP/1.1\r\nHost: test\r\n\r\n",
            "/tls",
        ),
        ("GET http://test HTTP/1.1\r\nHost: test\r\n\r\n", "/"),
        ("GET http://test?x HTTP/1.1\r\nHost: test\r\n\r\n", "/?x"),
        ("OPTIONS http://test HTTP/1.1\r\nHost: test\r\n\r\n", "*"),
        ("GET http://test/1.0abs HTTP/1.0\r\n\r\n", "/1.0abs"),
        ("GET /empty HTTP/1.1\r\nHost:\r\n\r\n", "/empty"),
        ("GET /dot HTTP/1.1\r\nHost: test.:80\r\n\r\n", "/dot"),
        ("GET /no-port HTTP/1.1\r\nHost: test:\r\n\r\n", "/no-port"),
        ("POST /no-body HTTP/1.1\r\nHost: test\r\n\r\n", "/no-body"),
        (
            "POST /length HTTP/1.1\r\nHost: test\r\nContent-Length: \t3 \r\n\r\nabc",
            "/length",
        ),
        (
            "POST /zeros HTTP/1.1\r\nHost: test\r\nContent-Length: 0003\r\n\r\nabc",
            "/zeros",
        ),
    ] {
        let mut connection = gate.connect();
        connection.send(bytes);
        match connection.try_response() {
            None => wrong.push(format!("{path}: no answer")),
            Some(response) => {
                let seen = (response.status, response.text());
                if seen != (200, path.to_owned()) {
                    wrong.push(format!("{path}: {seen:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_target_in_absolute_form_reaches_the_app_in_origin_form_with_its_host() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, FREE);
    gate.send("GET http://Shop.test:80/a HTTP/1.0\r\nX: y\r\n\r\n");
    assert_eq!(app.last().path, "/a");
    assert_eq!(app.last().field("host").as_deref(), Some("Shop.test:80"));
    assert_eq!(app.last().field("x").as_deref(), Some("y"));
    gate.send("POST HTTP://TEST/b HTTP/1.1\r\nhost: test\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(app.last().path, "/b");
    assert_eq!(app.last().field("host").as_deref(), Some("test"));
    assert_eq!(app.last().body, b"hi");
}
