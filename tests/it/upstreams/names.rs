//! Apps that are named: found late, not found, or moved.

use super::*;

#[test]
fn a_name_that_does_not_resolve_stops_neither_the_gate_nor_the_operator() {
    let config = "[upstream.app]\nservers = [\"name.invalid:80\"]\n";
    let gate = Gate::start(config);
    let response = gate.get("/");
    assert_eq!(
        (response.status, response.reason().as_str()),
        (503, "upstream_unresolved")
    );
    let again: u64 = response.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&again), "Retry-After: {again}");
    let warned = |line: &String| line.contains("WARN") && line.contains("name.invalid:80");
    assert!(
        gate.messages().iter().any(warned),
        "no warning names the server: {:#?}",
        gate.messages()
    );
    let upstream = &gate.status()["upstreams"][0];
    assert_eq!(
        (&upstream["addresses"], &upstream["resolved_at"]),
        (&serde_json::json!([]), &0.into())
    );
    let problem = upstream["problem"].as_str().unwrap();
    assert!(problem.contains("name.invalid:80"), "{problem}");
    let human = gate.verb(&["status"]).good();
    assert!(human.contains("CANNOT RESOLVE name.invalid:80"), "{human}");
    assert_eq!(
        gate.metric("tidegate_upstream_resolved_timestamp_seconds{upstream=\"app\"}"),
        0.0
    );
}

#[test]
fn a_name_that_does_not_resolve_leaves_the_other_servers_in_use() {
    let app = App::echoing_paths();
    let config = format!(
        "[upstream.app]\nservers = [\"name.invalid:80\", \"{}\"]\n",
        app.address
    );
    let gate = Gate::start(&config);
    assert_eq!(gate.get("/").status, 200);
    let status = gate.status();
    let addresses = &status["upstreams"][0]["addresses"];
    assert_eq!(addresses.as_array().unwrap().len(), 1);
    assert!(status["upstreams"][0]["problem"].is_string(), "{status:#}");
}

#[test]
fn a_name_is_resolved() {
    let app = App::echoing_paths();
    let port = app.address.port();
    let config = format!("[upstream.app]\nservers = [\"localhost:{port}\"]\n");
    let gate = Gate::start(&config);
    for path in ["/one", "/two", "/three"] {
        assert_eq!(gate.get(path).text(), path);
    }
    let status = gate.status();
    assert_eq!(status["upstreams"][0]["problem"], serde_json::Value::Null);
    assert!(status["upstreams"][0]["resolved_at"].as_u64() > Some(0));
}

#[test]
fn an_app_that_comes_up_late_is_reached() {
    let address = unused_address();
    let gate = gate(&[address], "");
    assert_eq!(gate.get("/").status, 502);
    let _app = App::on(&address.to_string(), |_| Reply::text("up"));
    let response = gate.get("/");
    assert_eq!((response.status, response.text().as_str()), (200, "up"));
    let status = gate.status();
    let upstream = &status["upstreams"][0];
    assert_eq!(
        (upstream["succeeded"].clone(), upstream["failed"].clone()),
        (1.into(), 1.into())
    );
}
