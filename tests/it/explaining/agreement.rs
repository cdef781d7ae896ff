//! What is explained is what the next request gets.

use super::{ask, everything, explained};
use crate::harness::{App, Gate, eventually};

/// What is said of a request, and then what it gets, must be the same.
#[track_caller]
fn agrees(gate: &Gate, client: &str, line: &str, fields: &[&str]) -> String {
    let (method, path) = line.split_once(' ').unwrap();
    let mut arguments = vec![client, "--method", method, "--path", path];
    for field in fields {
        match field.strip_prefix("Host: ") {
            Some(host) => arguments.extend(["--host", host]),
            None => arguments.extend(["--header", field]),
        }
    }
    let said = explained(gate, &arguments);
    let (status, reason) = ask(gate, client, line, fields);
    let verdict = &said["verdict"];
    // What is not enforced has a reason, too, and no status.
    let enforced = verdict["status"].as_u64();
    let foretold = (
        enforced,
        verdict["reason"].as_str().filter(|_| enforced.is_some()),
    );
    let got = (reason.is_some().then_some(status.into()), reason.as_deref());
    assert_eq!(foretold, got, "{line} {fields:?} of {client}: {said:#}");
    assert_eq!(verdict["forward"], reason.is_none(), "{said:#}");
    reason.unwrap_or_else(|| status.to_string())
}

#[test]
fn the_next_request_gets_what_is_explained() {
    let (app, latch) = App::waiting_at_slow();
    let gate = Gate::before(&app, &everything());
    let mut busy = gate.connect();
    busy.send("GET /slow HTTP/1.1\r\nHost: other.example\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n");
    eventually("a request to reach the app", || app.requests() == 1);
    let steps: &[(&str, &str, &[&str], &str)] = &[
        ("192.0.2.1", "GET /", &["Host: a"], "200"),
        ("192.0.2.1", "PUT /", &["Host: a"], "no_route"),
        ("192.0.2.1", "GET /", &["Host: a"], "client_rate"),
        ("192.0.2.1", "PUT /", &["Host: a"], "client_rate"),
        ("192.0.2.1", "GET /health", &["Host: a"], "200"),
        ("192.0.2.2", "GET /slow/x", &["Host: a"], "route_in_flight"),
        ("192.0.2.2", "GET /search", &["Host: gold.example"], "200"),
        (
            "192.0.2.2",
            "GET /search",
            &["Host: gold.example"],
            "route_rate",
        ),
        ("192.0.2.2", "GET /", &["Host: gold.example"], "client_rate"),
        ("192.0.2.3", "GET /export", &["Host: gold.example"], "200"),
        (
            "192.0.2.3",
            "GET //%65xport",
            &["Host: gold.example"],
            "route_rate",
        ),
        (
            "192.0.2.4",
            "OPTIONS /",
            &["Host: gold.example", "Max-Forwards: 0"],
            "max_forwards",
        ),
        (
            "192.0.2.4",
            "OPTIONS /",
            &["Host: gold.example", "Max-Forwards: 1"],
            "200",
        ),
        ("2001:db8:1:1::1", "GET /", &["Host: gold.example"], "200"),
        ("2001:db8:1:2::1", "GET /", &["Host: gold.example"], "200"),
        ("2001:db8:1:3::1", "GET /", &["Host: gold.example"], "200"),
        (
            "2001:db8:1:4::1",
            "GET /",
            &["Host: gold.example"],
            "network_rate",
        ),
        (
            "2001:db8:2:4::1",
            "GET /",
            &["Host: GOLD.example:80"],
            "200",
        ),
        // Two of the strict tier's four are spent: here, and by the request under way.
        ("192.0.2.5", "GET /", &["Host: any.example"], "200"),
        ("192.0.2.5", "GET /", &["Host: b"], "200"),
        ("192.0.2.6", "GET /", &["Host: c"], "tenant_rate"),
        ("192.0.2.6", "GET /", &["Host: gold.example"], "200"),
    ];
    for (client, line, fields, expected) in steps {
        assert_eq!(
            agrees(&gate, client, line, fields),
            *expected,
            "{line} of {client}"
        );
    }
    latch.open();
    assert_eq!(busy.response().status, 200);
    gate.verb(&["mode", "observe"]).good();
    for (client, line, fields, before) in steps {
        let got = agrees(&gate, client, line, fields);
        let is_enforced = matches!(*before, "max_forwards") || line.starts_with("PUT");
        assert_eq!(got != "200", is_enforced, "{line} of {client} got {got}");
    }
    gate.verb(&["mode", "known-only", "--force"]).good();
    for (client, line, fields, _) in steps {
        assert_eq!(agrees(&gate, client, line, fields), "unknown_client");
    }
}
