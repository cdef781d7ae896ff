//! Which app a request goes to.

use std::net::SocketAddr;

use crate::harness::{App, Gate, ROOMY, Reply};

/// An app that answers with its name.
fn named(name: &'static str) -> App {
    App::answering(move |_| Reply::text(name))
}

/// A gate with an upstream for each app, called by its name, and these routes: of the form
/// `path = "/x"`, or whatever a route may have, and the upstream.
fn routing(apps: &[(&str, SocketAddr)], routes: &[(&str, &str)]) -> Gate {
    let mut text = ROOMY.to_owned();
    for (name, address) in apps {
        text.push_str(&format!("[upstream.{name}]\nservers = [\"{address}\"]\n"));
    }
    for (rules, upstream) in routes {
        text.push_str(&format!("[[route]]\n{rules}\nupstream = \"{upstream}\"\n"));
    }
    Gate::start(&text)
}

/// Who answers a request of this method, host and path; the reason of a refusal in brackets.
fn answers(gate: &Gate, method: &str, host: &str, path: &str) -> String {
    let response = gate.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"
    ));
    match response.status {
        200 => response.text(),
        status => format!("({status} {})", response.reason()),
    }
}

#[test]
fn a_host_has_its_own_app() {
    let (shop, bank) = (named("shop"), named("bank"));
    let gate = routing(
        &[("shop", shop.address), ("bank", bank.address)],
        &[
            ("host = \"shop.example\"", "shop"),
            ("host = \"bank.example\"", "bank"),
        ],
    );
    for (host, app) in [
        ("shop.example", "shop"),
        ("SHOP.Example", "shop"),
        ("shop.example:8080", "shop"),
        ("bank.example", "bank"),
        ("www.shop.example", "(404 no_route)"),
        ("shop.example.evil", "(404 no_route)"),
    ] {
        assert_eq!(answers(&gate, "GET", host, "/"), app, "{host}");
    }
}

#[test]
fn a_path_covers_itself_and_what_is_below_it() {
    let (search, rest) = (named("search"), named("rest"));
    let gate = routing(
        &[("search", search.address), ("rest", rest.address)],
        &[("path = \"/search\"", "search"), ("", "rest")],
    );
    for (path, app) in [
        ("/search", "search"),
        ("/search/", "search"),
        ("/search/books?q=1", "search"),
        ("/search?q=1", "search"),
        ("/searching", "rest"),
        ("/search.html", "rest"),
        ("/Search", "rest"),
        ("/a/search", "rest"),
        ("/?x=/search", "rest"),
        ("/", "rest"),
    ] {
        assert_eq!(answers(&gate, "GET", "test", path), app, "{path}");
    }
}

#[test]
fn other_spellings_of_a_path_are_the_same_path() {
    let (admin, rest) = (named("admin"), named("rest"));
    let gate = routing(
        &[("admin", admin.address), ("rest", rest.address)],
        &[("path = \"/admin/x\"", "admin"), ("", "rest")],
    );
    for path in [
        "/%61dmin/x",
        "/%61%64%6D%69%6e/x",
        "//admin/x",
        "/admin//x",
        "///admin///x/y",
        "/admin%2fx",
        "/admin%2F/x",
        "http://test/admin/x",
    ] {
        assert_eq!(answers(&gate, "GET", "test", path), "admin", "{path}");
    }
    for path in [
        "/admin/../admin/x",
        "/./admin/x",
        "/%2e%2e/admin/x",
        "/a/%2E./x",
    ] {
        assert_eq!(
            answers(&gate, "GET", "test", path),
            "(400 malformed)",
            "{path}"
        );
    }
}

#[test]
fn methods_choose_the_app() {
    let (writes, reads) = (named("writes"), named("reads"));
    let gate = routing(
        &[("writes", writes.address), ("reads", reads.address)],
        &[
            ("methods = [\"POST\", \"PUT\"]", "writes"),
            ("methods = [\"GET\"]", "reads"),
        ],
    );
    for (method, app) in [
        ("POST", "writes"),
        ("PUT", "writes"),
        ("GET", "reads"),
        ("DELETE", "(404 no_route)"),
        ("get", "(404 no_route)"),
    ] {
        assert_eq!(answers(&gate, method, "test", "/"), app, "{method}");
    }
}

#[test]
fn the_first_route_that_matches_in_everything_wins() {
    let apps = [named("one"), named("two"), named("three")];
    let upstreams: Vec<(&str, SocketAddr)> = ["one", "two", "three"]
        .into_iter()
        .zip(apps.iter().map(|app| app.address))
        .collect();
    let gate = routing(
        &upstreams,
        &[
            (
                "host = \"a.example\"\npath = \"/x\"\nmethods = [\"POST\"]",
                "one",
            ),
            ("path = \"/x\"", "two"),
            ("host = \"a.example\"", "three"),
        ],
    );
    for (method, host, path, app) in [
        ("POST", "a.example", "/x", "one"),
        ("GET", "a.example", "/x", "two"),
        ("POST", "b.example", "/x/y", "two"),
        ("GET", "a.example", "/y", "three"),
        ("GET", "b.example", "/y", "(404 no_route)"),
    ] {
        assert_eq!(
            answers(&gate, method, host, path),
            app,
            "{method} {host}{path}"
        );
    }
}

#[test]
fn a_request_without_route_costs_no_connection_and_no_app() {
    let app = named("app");
    let gate = routing(&[("app", app.address)], &[("path = \"/app\"", "app")]);
    let mut client = gate.connect();
    let response = client.get("/other");
    assert_eq!(
        (response.status, response.reason().as_str()),
        (404, "no_route")
    );
    assert_eq!(response.field("cache-control"), Some("no-store"));
    assert_eq!(response.field("retry-after"), None, "waiting does not help");
    assert_eq!(client.get("/app").text(), "app");
    assert_eq!(app.requests(), 1);
}

#[test]
fn a_costly_route_takes_more_of_the_limit() {
    let app = named("app");
    let config = format!(
        "[client]\nlimit = {{ rate = \"1/h\", burst = 10 }}\n[upstream.app]\nservers = [\"{}\"]\n\
         [[route]]\npath = \"/costly\"\nupstream = \"app\"\ncost = 4\n[[route]]\nupstream = \"app\"\n",
        app.address
    );
    let gate = Gate::start(&config);
    let mut client = gate.connect();
    let statuses: Vec<u16> = ["/costly", "/costly", "/costly", "/", "/", "/", "/costly"]
        .iter()
        .map(|path| client.get(path).status)
        .collect();
    assert_eq!(
        statuses,
        [200, 200, 429, 200, 200, 429, 429],
        "4 + 4, then no 4 are left but 2"
    );
}

#[test]
fn a_request_without_route_takes_from_the_limit_too() {
    let app = named("app");
    let config = format!(
        "[client]\nlimit = {{ rate = \"1/h\", burst = 2 }}\n[upstream.app]\nservers = [\"{}\"]\n\
         [[route]]\npath = \"/app\"\nupstream = \"app\"\n",
        app.address
    );
    let gate = Gate::start(&config);
    let mut client = gate.connect();
    let statuses = ["/no", "/no", "/no", "/app"].map(|path| client.get(path).status);
    assert_eq!(statuses, [404, 404, 429, 429]);
}
