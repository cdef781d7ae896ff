//! What is counted and written down: the exposition, health, and the access log.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::harness::{App, Connection, Folder, Gate, ROOMY, eventually};

fn exposition(gate: &Gate) -> String {
    let response = Connection::open(gate.metrics).get("/metrics");
    assert_eq!(response.status, 200);
    assert_eq!(
        response.field("content-type"),
        Some("text/plain; version=0.0.4")
    );
    response.text()
}

#[test]
fn the_exposition_is_what_prometheus_reads() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    gate.get("/");
    gate.send("nonsense\r\n\r\n");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is missing: install the package prometheus");
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(exposition(&gate).as_bytes()).unwrap();
    drop(input);
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn every_metric_of_the_contract_is_there_from_the_first_scrape_on() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    let text = exposition(&gate);
    for (name, kind) in [
        ("requests_total", "counter"),
        ("known_requests_total", "counter"),
        ("request_duration_seconds", "histogram"),
        ("connections_total", "counter"),
        ("connections_open", "gauge"),
        ("connections_limit", "gauge"),
        ("connections_reserved_for_known", "gauge"),
        ("requests_in_flight", "gauge"),
        ("tls_handshakes", "gauge"),
        ("tls_handshakes_limit", "gauge"),
        ("mode", "gauge"),
        ("mode_end_timestamp_seconds", "gauge"),
        ("would_refuse_total", "counter"),
        ("clients_tracked", "gauge"),
        ("clients_tracked_max", "gauge"),
        ("client_evictions_total", "counter"),
        ("known_prefixes", "gauge"),
        ("known_files_looks_total", "counter"),
        ("log_lines_total", "counter"),
        ("log_bytes_total", "counter"),
        ("log_failing", "gauge"),
        ("messages_total", "counter"),
        ("upstream_requests_total", "counter"),
        ("upstream_resolved_timestamp_seconds", "gauge"),
        ("upstream_last_success_timestamp_seconds", "gauge"),
        ("upstream_servers", "gauge"),
        ("config_reload_total", "counter"),
        ("config_last_reload_successful", "gauge"),
        ("build_info", "gauge"),
    ] {
        let line = format!("# TYPE tidegate_{name} {kind}\n");
        assert_eq!(text.matches(&line).count(), 1, "{line}");
        let sample = |line: &str| line.starts_with(&format!("tidegate_{name}"));
        assert!(text.lines().any(sample), "{name} has no value");
    }
    assert!(text.contains("process_resident_memory_bytes"));
    for zero in [
        "tidegate_requests_total{outcome=\"forwarded\",reason=\"none\"} 0\n",
        "tidegate_requests_total{outcome=\"refused\",reason=\"client_rate\"} 0\n",
        "tidegate_requests_total{outcome=\"failed\",reason=\"upstream_timeout\"} 0\n",
        "tidegate_connections_total{outcome=\"refused\",reason=\"total\"} 0\n",
        "tidegate_log_lines_total{outcome=\"over_budget\"} 0\n",
    ] {
        assert!(text.contains(zero), "not from the start: {zero}");
    }
}

#[test]
fn the_mode_is_a_metric_with_its_end() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "mode = \"observe\"");
    let modes = || {
        ["observe", "normal", "known-only"]
            .map(|mode| gate.metric(&format!("tidegate_mode{{mode=\"{mode}\"}}")))
    };
    assert_eq!(modes(), [1.0, 0.0, 0.0]);
    assert_eq!(gate.metric("tidegate_mode_end_timestamp_seconds"), 0.0);
    gate.verb(&["known", "add", "127.0.0.1"]).good();
    gate.verb(&["mode", "known-only", "--for", "1h"]).good();
    assert_eq!(modes(), [0.0, 0.0, 1.0]);
    assert_eq!(
        gate.metric("tidegate_known_prefixes{source=\"operator\"}"),
        1.0
    );
    let end = gate.status()["mode"]["until"].as_f64().unwrap();
    assert_eq!(gate.metric("tidegate_mode_end_timestamp_seconds"), end);
}

#[test]
fn requests_of_known_customers_are_counted_by_themselves() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "[client]\nlimit = { rate = \"1/h\", burst = 3 }");
    let ends = |metric: &str| {
        [("forwarded", "none"), ("refused", "client_rate")].map(|(outcome, reason)| {
            gate.metric(&format!(
                "tidegate_{metric}{{outcome=\"{outcome}\",reason=\"{reason}\"}}"
            ))
        })
    };
    assert_eq!(gate.get("/").status, 200);
    assert_eq!(ends("known_requests_total"), [0.0, 0.0], "nobody is known");
    gate.verb(&["known", "add", "127.0.0.1"]).good();
    let statuses = [(); 4].map(|()| gate.get("/").status);
    assert_eq!(statuses, [200, 200, 429, 429]);
    assert_eq!(ends("known_requests_total"), [2.0, 2.0]);
    assert_eq!(ends("requests_total"), [3.0, 2.0], "they are in all, too");
}

#[test]
fn nothing_of_traffic_becomes_a_label() {
    let app = App::echoing_paths();
    let gate = Gate::before(
        &app,
        "[tenant]\nfrom = \"host\"\ntier = \"all\"\n[tier.all]\nin_flight = 9",
    );
    let series = exposition(&gate).lines().count();
    for n in 0..30 {
        gate.send(format!("M{n} /secret{n} HTTP/1.1\r\nHost: host{n}\r\n\r\n"));
    }
    let text = exposition(&gate);
    assert_eq!(text.lines().count(), series, "traffic makes new series");
    assert!(!text.contains("secret") && !text.contains("host1") && !text.contains("127.0.0.1"));
}

#[test]
fn health_is_told_and_other_paths_are_not_there() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    let get = |path: &str| Connection::open(gate.metrics).get(path).status;
    assert_eq!(
        [
            "/livez",
            "/readyz",
            "/metrics",
            "/",
            "/v1/status",
            "/metrics/"
        ]
        .map(get),
        [200, 200, 200, 404, 404, 404]
    );
    let post = "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    let mut connection = Connection::open(gate.metrics);
    connection.send(post);
    assert_eq!(connection.response().status, 405);
}

#[test]
fn a_draining_gate_lives_and_is_not_ready() {
    let (app, latch) = App::waiting_at_slow();
    let mut gate = Gate::before(&app, "");
    let mut connection = gate.connect();
    connection.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the app has the request", || app.requests() == 1);
    gate.signal("TERM");
    eventually("it is draining", || {
        gate.has_said("draining 1 open connections")
    });
    let get = |path: &str| Connection::open(gate.metrics).get(path).status;
    assert_eq!(["/livez", "/readyz"].map(get), [200, 503]);
    latch.open();
    let response = connection.response();
    assert_eq!(response.text(), "/slow", "what is under way ends well");
    assert_eq!(
        response.field("connection"),
        Some("close"),
        "and says that nothing follows"
    );
    assert!(gate.wait().success());
}

#[test]
fn the_log_has_one_line_an_outcome_with_what_is_known_of_it() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    // Each in a connection of its own: the line of the one is awaited before the next is sent.
    for (sent, request) in [
        "POST /form?password=secret HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 3\r\n\r\nabc",
        "GET http://shop.test?token=secret HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "TRACE /x?key=secret HTTP/1.1\r\nHost: shop.test\r\n\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        gate.send(request);
        gate.log(sent + 1);
    }
    let lines = gate.log(3);
    assert_eq!(lines.len(), 3);
    let form = &lines[0];
    assert_eq!(
        (&form["outcome"], &form["reason"]),
        (&"forwarded".into(), &"none".into())
    );
    assert_eq!(form["client.address"], "127.0.0.1");
    assert_eq!(form["http.request.method"], "POST");
    assert_eq!(form["server.address"], "shop.test");
    assert_eq!(form["url.path"], "/form");
    assert_eq!(form["http.response.status_code"], 200);
    assert_eq!(form["http.request.body.size"], 3);
    assert_eq!(
        form["http.response.body.size"],
        "/form?password=secret".len()
    );
    assert_eq!(form["upstream"], "app");
    let took = form["http.server.request.duration"].as_f64().unwrap();
    assert!((0.000_001..20.0).contains(&took), "{took} seconds");
    assert_eq!(form["sample_rate"], 1.0);
    assert_eq!(lines[1]["url.path"], "/");
    assert_eq!(
        (&lines[2]["outcome"], &lines[2]["reason"]),
        (&"refused".into(), &"method".into())
    );
    let text = std::fs::read_to_string(gate.folder.path("access.log")).unwrap();
    assert!(
        !text.contains("secret"),
        "a query may hold credentials: {text}"
    );
}

#[test]
fn hostile_paths_stay_within_their_line() {
    let app = App::answering(|_| crate::harness::Reply::text("ok"));
    let gate = Gate::before(&app, "");
    let long = format!("/{}", "a".repeat(10_000));
    let paths = [
        "/\"}{\"outcome\":\"forged\"",
        "/%0a%0d%00%1b[2J",
        "/\\u0000\\n",
        "/'|;$(x)",
        &long,
    ];
    for path in paths {
        assert_eq!(
            gate.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
                .status,
            200,
            "{path}"
        );
    }
    let lines = gate.log(paths.len());
    for (line, path) in lines.iter().zip(paths) {
        let logged = line["url.path"].as_str().unwrap();
        assert!(
            path.starts_with(logged) && logged.len() >= path.len().min(512),
            "{logged}"
        );
        assert_eq!(line["outcome"], "forwarded");
    }
    let text = std::fs::read_to_string(gate.folder.path("access.log")).unwrap();
    assert_eq!(text.lines().count(), paths.len());
    assert!(
        text.bytes()
            .all(|byte| byte == b'\n' || (0x20..0x7f).contains(&byte))
    );
    assert!(
        text.lines().all(|line| line.len() < 2_000),
        "a line is bounded"
    );
}

#[test]
fn what_is_not_sampled_is_counted_and_not_written() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    let file = folder.path("quiet.log");
    let gate = Gate::before(
        &app,
        &format!(
            "[log]\nfile = {file:?}\nsample = {{ forwarded = 0.0, refused = 0.0, failed = 0.0 }}"
        ),
    );
    for _ in 0..20 {
        gate.get("/");
    }
    eventually("all are counted", || {
        gate.metric("tidegate_log_lines_total{outcome=\"sampled_out\"}") == 20.0
    });
    assert_eq!(
        gate.metric("tidegate_log_lines_total{outcome=\"written\"}"),
        0.0
    );
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 0);
}

#[test]
fn a_flood_does_not_exceed_the_budget_of_the_log() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    let file = folder.path("small.log");
    let gate = Gate::before(
        &app,
        &format!(
            "[client]\nlimit = {{ rate = \"1/h\", burst = 1 }}\n[log]\nfile = {file:?}\nsample = {{ forwarded = 1.0, refused = 1.0, failed = 1.0 }}\nbudget = \"1KiB/s\""
        ),
    );
    let started = Instant::now();
    let mut connection = gate.connect();
    for _ in 0..20 {
        connection.send("GET /flood HTTP/1.1\r\nHost: test\r\n\r\n".repeat(100));
        for _ in 0..100 {
            connection.response();
        }
    }
    let lines = |outcome: &str| {
        gate.metric(&format!(
            "tidegate_log_lines_total{{outcome=\"{outcome}\"}}"
        ))
    };
    eventually("each line is accounted for", || {
        lines("written") + lines("over_budget") == 2_000.0
    });
    assert!(lines("over_budget") > 1_500.0);
    // So small a budget lets a few lines come at once.
    let allowed = 6144.0 + 1024.0 * started.elapsed().as_secs_f64();
    let written = gate.metric("tidegate_log_bytes_total{outcome=\"written\"}");
    assert!(
        written <= allowed,
        "{written} bytes, and {allowed} are allowed"
    );
    eventually("they are in the file", || {
        std::fs::metadata(&file).unwrap().len() as f64 == written
    });
}

#[test]
fn slow_clients_of_the_metrics_do_not_take_the_descriptors_of_the_traffic() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    let slow: Vec<Connection> = (0..150)
        .map(|_| {
            let mut connection = Connection::open(gate.metrics);
            connection.send("GET /metr");
            connection
        })
        .collect();
    let descriptors = || {
        std::fs::read_dir(format!("/proc/{}/fd", gate.pid()))
            .unwrap()
            .count()
    };
    eventually("the first of them are let in", || descriptors() > 60);
    assert!(descriptors() < 120, "{} descriptors", descriptors());
    assert_eq!(gate.get("/").status, 200);
    assert_eq!(gate.status()["mode"]["mode"], "normal");
    drop(slow);
    assert_eq!(Connection::open(gate.metrics).get("/livez").status, 200);
}

#[test]
fn a_disk_that_takes_no_line_is_told_of_and_holds_nobody_up() {
    let app = App::echoing_paths();
    let log = "[log]\nfile = \"/dev/full\"\nsample = { forwarded = 1.0 }\nbudget = \"1MiB/s\"";
    let gate = Gate::before(&app, &format!("{ROOMY}\n{log}"));
    let mut client = gate.connect();
    for _ in 0..20 {
        assert_eq!(client.get("/").status, 200);
    }
    eventually("the lost lines to be counted", || {
        gate.metric("tidegate_log_lines_total{outcome=\"lost\"}") == 20.0
    });
    assert_eq!(
        gate.metric("tidegate_log_lines_total{outcome=\"written\"}"),
        0.0
    );
    let problem = "the log cannot be written";
    eventually("the gate to say so", || gate.has_said(problem));
    let told = gate.messages();
    let told = told.iter().filter(|line| line.contains(problem));
    assert_eq!(told.count(), 1, "{:#?}", gate.messages());
}
