//! Limits of a client: exactly as many requests as its quota allows, and how it is told.

use std::time::{Duration, Instant};

use crate::harness::{App, Connection, Gate, Response, eventually};

/// A limit that is spent after two requests and comes back at no time that a test waits for.
const TWO: &str = "[client]\nlimit = { rate = \"60/h\", burst = 2 }\n";

/// A gate whose only client has nothing left, and its connection.
fn spent(config: &str) -> (App, Gate, Connection) {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, config);
    let mut client = gate.connect();
    for _ in 0..2 {
        assert_eq!(client.get("/").status, 200);
    }
    (app, gate, client)
}

fn seconds(response: &Response, field: &str) -> u64 {
    let value = response
        .field(field)
        .unwrap_or_else(|| panic!("no {field}: {response:?}"));
    value.parse().expect("whole seconds")
}

#[test]
fn a_flood_gets_exactly_its_burst_and_its_rate() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "[client]\nlimit = { rate = \"20/s\", burst = 40 }\n");
    let mut client = gate.connect();
    // The bucket is first looked at between `before` and `first`, and last between `last` and `after`.
    let before = Instant::now();
    let mut passed = u64::from(client.get("/").status == 200);
    let first = Instant::now();
    for _ in 1..199 {
        passed += u64::from(client.get("/").status == 200);
    }
    let last = Instant::now();
    passed += u64::from(client.get("/").status == 200);
    let after = Instant::now();
    let tokens = |time: Duration| time.as_secs_f64() * 20.0;
    let least = 40 + tokens(last - first).floor() as u64;
    let most = 40 + tokens(after - before).ceil() as u64;
    assert!(
        (least..=most).contains(&passed),
        "{passed} passed in {:?}, not {least} to {most}",
        after - before
    );
    assert_eq!(
        app.requests(),
        passed,
        "the app got what passed and no more"
    );
    assert_eq!(
        gate.requests("refused", "client_rate"),
        (200 - passed) as f64
    );
}

#[test]
fn a_client_that_waits_as_long_as_it_is_told_is_served() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "[client]\nlimit = { rate = \"1/s\", burst = 1 }\n");
    let mut client = gate.connect();
    assert_eq!(client.get("/").status, 200);
    let refusal = client.get("/");
    assert_eq!(refusal.status, 429);
    assert_eq!(refusal.field("ratelimit"), Some("\"client\";r=0;t=1"));
    assert!((1..=2).contains(&seconds(&refusal, "retry-after")));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(client.get("/").status, 200, "after the promised second");
}

#[test]
fn a_refusal_says_what_the_quota_is_and_when_to_come_back() {
    let (_app, _gate, mut client) = spent(TWO);
    for _ in 0..20 {
        let refusal = client.get("/");
        assert_eq!(refusal.status, 429);
        assert_eq!(
            refusal.field("ratelimit-policy"),
            Some("\"client\";q=2;w=120"),
            "two tokens, which take two minutes to come back"
        );
        let ratelimit = refusal.field("ratelimit").expect("a RateLimit field");
        let left = ratelimit
            .strip_prefix("\"client\";r=0;t=")
            .expect(ratelimit);
        let left: u64 = left.parse().expect("whole seconds");
        assert!(
            (55..=60).contains(&left),
            "a token comes every minute: {left}"
        );
        let again = seconds(&refusal, "retry-after");
        assert!(
            (left..=left + 31).contains(&again),
            "Retry-After: {again} for t={left}"
        );
        assert_eq!(refusal.field("cache-control"), Some("no-store"));
        assert_eq!(refusal.problem()["retry_after"], again);
    }
}

#[test]
fn refusals_send_clients_back_at_different_times() {
    let (_app, _gate, mut client) = spent(TWO);
    let mut told: Vec<u64> = (0..50)
        .map(|_| seconds(&client.get("/"), "retry-after"))
        .collect();
    told.sort_unstable();
    told.dedup();
    assert!(told.len() > 3, "fifty clients would come back at {told:?}");
}

#[test]
fn a_program_gets_a_problem_and_a_browser_a_page() {
    let (_app, _gate, mut client) = spent(TWO);
    let problem = client
        .get_with("/", &["Accept: application/json, */*"])
        .problem();
    assert_eq!(problem["status"], 429);
    assert_eq!(problem["title"], "Too Many Requests");
    assert_eq!(problem["reason"], "client_rate");
    assert!(problem["detail"].is_string(), "{problem:#}");
    let page = client.get_with("/", &["Accept: text/html,application/xhtml+xml;q=0.9"]);
    assert_eq!(page.status, 429);
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    let again = seconds(&page, "retry-after");
    let refresh = format!("<meta http-equiv=refresh content={again}>");
    assert!(page.text().contains(&refresh), "{}", page.text());
    assert!(
        page.text().starts_with("<!doctype html>"),
        "{}",
        page.text()
    );
}

#[test]
fn a_refused_head_request_gets_no_body() {
    let (_app, _gate, mut client) = spent(TWO);
    client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
    let refusal = client.response_to_head();
    assert_eq!(refusal.status, 429);
    assert!(seconds(&refusal, "content-length") > 0);
    assert_eq!(client.get("/").status, 429, "the framing held");
}

#[test]
fn refusals_keep_the_connection_and_never_reach_the_app() {
    let (app, gate, mut client) = spent(TWO);
    for _ in 0..50 {
        let refusal = client.get("/");
        assert_eq!(refusal.status, 429);
        assert!(!refusal.closes(), "{refusal:?}");
    }
    assert_eq!(app.requests(), 2);
    assert_eq!(gate.requests("refused", "client_rate"), 50.0);
    assert_eq!(gate.status()["connections"]["accepted"], 1);
}

#[test]
fn a_refused_http_1_0_client_is_told_what_becomes_of_the_connection() {
    let (_app, _gate, mut client) = spent(TWO);
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let refusal = client.response();
    assert_eq!(
        (refusal.status, refusal.field("connection")),
        (429, Some("keep-alive"))
    );
    client.send("GET / HTTP/1.0\r\n\r\n");
    let refusal = client.response();
    assert_eq!((refusal.status, refusal.closes()), (429, true));
    assert!(client.is_closed());
}

#[test]
fn a_refused_body_that_is_already_here_is_passed_over() {
    let (app, _gate, mut client) = spent(TWO);
    let long = "x".repeat(2000);
    for body in [
        "",
        "body",
        "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n",
        &long,
    ] {
        let refusal = client.post("/", body);
        assert_eq!((refusal.status, refusal.closes()), (429, false), "{body:?}");
    }
    client.send(
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\
         4\r\nbody\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: test\r\n\r\n",
    );
    for _ in 0..2 {
        assert_eq!(client.response().status, 429);
    }
    assert_eq!(app.requests(), 2);
}

#[test]
fn a_refused_body_that_is_still_to_come_closes_the_connection() {
    for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        let (app, _gate, mut client) = spent(TWO);
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n"
        ));
        let refusal = client.response();
        assert_eq!((refusal.status, refusal.closes()), (429, true), "{framing}");
        assert!(client.is_closed());
        assert_eq!(app.requests(), 2);
    }
}

#[test]
fn a_client_that_expects_to_be_refused_early_sends_no_body() {
    let (_app, _gate, mut client) = spent(TWO);
    client
        .send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n");
    let first = client.read_head().expect("a response");
    assert_eq!(first.status, 429, "no 100 before a refusal");
}

#[test]
fn a_refusal_reaches_a_client_that_sends_a_large_body() {
    let (_app, _gate, client) = spent(TWO);
    let (mut client, mut sender) = client.split();
    let sending = std::thread::spawn(move || {
        let head = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 50000\r\n\r\n";
        let _ = sender.try_send(head);
        let _ = sender.try_send(vec![b'x'; 50_000]);
    });
    assert_eq!(
        client.response().status,
        429,
        "closing took the answer with it"
    );
    sending.join().unwrap();
}

#[test]
fn the_quota_can_be_kept_from_clients() {
    let (_app, _gate, mut client) = spent(&format!("{TWO}[refusal]\nratelimit_fields = false\n"));
    let refusal = client.get("/");
    assert_eq!(refusal.status, 429);
    assert_eq!(refusal.field("ratelimit"), None);
    assert_eq!(refusal.field("ratelimit-policy"), None);
    assert!(seconds(&refusal, "retry-after") >= 55);
}

#[test]
fn two_clients_do_not_disturb_each_other() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, TWO);
    for source in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
        let mut client = Connection::open_from(source, gate.address);
        let statuses = [0; 4].map(|_| client.get("/").status);
        assert_eq!(statuses, [200, 200, 429, 429], "{source}");
    }
}

#[test]
fn a_client_is_the_prefix_that_the_configuration_says() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &format!("{TWO}ipv4_prefix = 24\n"));
    let ask = |source| Connection::open_from(source, gate.address).get("/").status;
    assert_eq!(
        [ask("127.0.0.1"), ask("127.0.0.2"), ask("127.0.0.3")],
        [200, 200, 429]
    );
    assert_eq!(ask("127.0.1.1"), 200, "another network");
}

#[test]
fn observing_enforces_nothing_and_counts_what_it_would_refuse() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &format!("mode = \"observe\"\n{TWO}"));
    let mut client = gate.connect();
    for _ in 0..10 {
        let response = client.get("/");
        assert_eq!((response.status, response.field("ratelimit")), (200, None));
    }
    let would = |mode: &str, reason: &str| {
        gate.metric(&format!(
            "tidegate_would_refuse_total{{mode=\"{mode}\",reason=\"{reason}\"}}"
        ))
    };
    assert_eq!(would("normal", "client_rate"), 8.0);
    assert_eq!(would("known-only", "unknown_client"), 10.0);
    assert_eq!(gate.requests("refused", "client_rate"), 0.0);
    eventually("the outcomes to be counted", || {
        gate.requests("forwarded", "none") == 10.0
    });
}

#[test]
fn every_request_has_exactly_one_outcome() {
    let (_app, gate, mut client) = spent(TWO);
    for _ in 0..5 {
        client.get("/");
    }
    let lines = gate.log(7);
    let of = |outcome: &str| {
        lines
            .iter()
            .filter(|line| line["outcome"] == outcome)
            .count()
    };
    assert_eq!((of("forwarded"), of("refused"), lines.len()), (2, 5, 7));
    assert_eq!(lines[6]["reason"], "client_rate");
    assert_eq!(lines[6]["http.response.status_code"], 429);
    let requests = &gate.status()["requests"];
    assert_eq!(
        (requests["forwarded"].clone(), requests["refused"].clone()),
        (2.into(), 5.into())
    );
}
