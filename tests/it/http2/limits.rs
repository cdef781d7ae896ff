//! Limits, tenants and modes: a stream is a request.

use http::HeaderValue;

use super::{NAME, serving};
use crate::harness::frames::{DATA, END_STREAM, Frames, Outcome, frame, get, post};
use crate::harness::{
    Answer, App, Authority, Folder, Gate, Http2, Pending, ROOMY, Trust, eventually, http2_listener,
    pattern, request, with_upstream,
};

/// Begins so many requests at once and gives what became of them.
fn at_once(client: &Http2, count: usize) -> Vec<Answer> {
    let begun: Vec<Pending> = (0..count)
        .map(|_| client.begin(request("GET", "/"), &[]))
        .collect();
    let answers = begun.into_iter().map(|pending| client.wait(pending));
    answers.map(|answer| answer.expect("an answer")).collect()
}

fn with_status(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|one| one.status == status).count()
}

#[test]
fn each_stream_takes_a_token_and_a_refusal_keeps_the_connection() {
    let app = App::echoing_paths();
    let (gate, trust) = serving(&app, "[client]\nlimit = { rate = \"1/h\", burst = 30 }\n");
    let client = Http2::open(&gate, &trust);
    let answers = at_once(&client, 80);
    assert_eq!(
        (with_status(&answers, 200), with_status(&answers, 429)),
        (30, 50)
    );
    let refused = answers.iter().find(|one| one.status == 429).unwrap();
    for name in ["retry-after", "ratelimit", "ratelimit-policy"] {
        assert!(refused.field(name).is_some(), "{name}: {refused:?}");
    }
    assert_eq!(refused.reason(), "client_rate");
    let again = client.get("/");
    assert_eq!(again.status, 429, "the connection is kept");
    assert_eq!(again.field("connection"), None);
    let head = client.ask(request("HEAD", "/"), &[]).unwrap();
    assert_eq!((head.status, head.body.len()), (429, 0));
    assert_eq!(app.requests(), 30);
    assert_eq!(gate.requests("refused", "client_rate"), 52.0);
}

#[test]
fn the_limit_is_exact_over_many_connections() {
    let app = App::echoing_paths();
    let (gate, trust) = serving(
        &app,
        "[client]\nconnections = 1000\nlimit = { rate = \"1/h\", burst = 100 }\n",
    );
    let clients: Vec<Http2> = (0..8).map(|_| Http2::open(&gate, &trust)).collect();
    let begun: Vec<Vec<Pending>> = clients
        .iter()
        .map(|client| {
            (0..40)
                .map(|_| client.begin(request("GET", "/"), &[]))
                .collect()
        })
        .collect();
    let mut served = 0;
    for (client, begun) in clients.iter().zip(begun) {
        for pending in begun {
            served += usize::from(client.wait(pending).unwrap().status == 200);
        }
    }
    assert_eq!((served, app.requests()), (100, 100));
    assert_eq!(gate.requests("refused", "client_rate"), 220.0);
}

/// Fills `places` with requests that wait, and says why the next one is refused.
fn over(places: usize, rules: &str) -> (u16, String) {
    let (app, latch) = App::waiting_at_slow();
    let (gate, trust) = serving(&app, rules);
    let client = Http2::open(&gate, &trust);
    let begun: Vec<Pending> = (0..places)
        .map(|_| client.begin(request("GET", "/slow"), &[]))
        .collect();
    eventually("they are at the app", || app.requests() == places as u64);
    let refused = client.get("/");
    latch.open();
    for pending in begun {
        assert_eq!(client.wait(pending).unwrap().status, 200);
    }
    eventually("the places are given back", || {
        client.get("/").status == 200
    });
    assert_eq!(gate.requests("refused", &refused.reason()), 1.0);
    (refused.status, refused.reason())
}

#[test]
fn a_clients_streams_count_as_its_connections_do() {
    let rules = "[client]\nconnections = 10\n";
    // The connection itself has one.
    assert_eq!(over(9, rules), (429, "client_in_flight".to_owned()));
}

#[test]
fn as_many_requests_are_in_flight_as_connections_may_be_open() {
    let rules = "[connections]\ntotal = 12\nreserved_for_known = 0\n";
    assert_eq!(over(12, rules), (503, "in_flight".to_owned()));
}

#[test]
fn observing_keeps_no_places_for_known_clients() {
    let rules = "[connections]\ntotal = 12\nreserved_for_known = 8\n";
    assert_eq!(over(4, rules), (503, "in_flight".to_owned()));
    let observing = format!("mode = \"observe\"\n{rules}");
    assert_eq!(
        over(12, &observing),
        (503, "in_flight".to_owned()),
        "the total holds in every mode"
    );
}

#[test]
fn uploads_that_are_refused_do_not_end_the_connection() {
    let app = App::echoing_paths();
    let limit = "[client]\nlimit = { rate = \"1/h\", burst = 1 }\n";
    let (gate, trust) = serving(&app, limit);
    let client = Http2::open(&gate, &trust);
    assert_eq!(client.get("/").status, 200);
    let body = pattern(100_000);
    for round in 0..3 {
        let begun: Vec<Pending> = (0..100)
            .map(|_| client.begin(request("POST", "/"), &body))
            .collect();
        for pending in begun {
            let answer = client.wait(pending);
            let answer = answer.unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert_eq!(answer.status, 429);
        }
    }
    assert_eq!(client.get("/").status, 429, "the connection is kept");
    assert_eq!(gate.requests("refused", "client_rate"), 301.0);
}

#[test]
fn bodies_that_were_on_their_way_when_they_were_refused_are_no_errors() {
    let app = App::echoing_paths();
    let limit = "[client]\nlimit = { rate = \"1/h\", burst = 1 }\n";
    let (gate, trust) = serving(&app, limit);
    assert_eq!(Http2::open(&gate, &trust).get("/").status, 200);
    let mut frames = Frames::open(&gate, &trust, &[]);
    for at in 0..100 {
        frames.send(post(2 * at + 1));
    }
    assert!(matches!(frames.outcome(199), Outcome::Status(_)));
    for at in 0..100 {
        frames.send(frame(DATA, END_STREAM, 2 * at + 1, b"late"));
    }
    frames.send(get(201));
    let next = frames.outcome(201);
    assert!(
        matches!(next, Outcome::Status(_)),
        "the connection is kept: {next:?}"
    );
}

const TIERS: &str = "[tier.one]\nlimit = { rate = \"1/h\", burst = 1 }\n\
    [tier.three]\nlimit = { rate = \"1/h\", burst = 3 }\n";

#[test]
fn a_tenant_is_told_by_host_field_or_cookie() {
    for (from, name, value) in [
        ("host", "", ""),
        ("header:x-tenant", "x-tenant", "one.example"),
        ("cookie:tenant", "cookie", "tenant=one.example"),
    ] {
        let app = App::echoing_paths();
        let more = format!("{ROOMY}[tenant]\nfrom = \"{from}\"\ntier = \"three\"\n{TIERS}");
        let (gate, trust) = serving(&app, &more);
        let client = Http2::open(&gate, &trust);
        let ask = || {
            let mut asked = request("GET", "/");
            if !name.is_empty() {
                // A cookie's crumbs are one cookie.
                let first = HeaderValue::from_static("other=1");
                asked.headers_mut().append("cookie", first);
                let value = HeaderValue::from_str(value).unwrap();
                asked.headers_mut().append(
                    http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    value,
                );
            }
            client.ask(asked, &[]).unwrap()
        };
        let statuses: Vec<u16> = (0..5).map(|_| ask().status).collect();
        assert_eq!(statuses, [200, 200, 200, 429, 429], "{from}");
        assert_eq!(gate.requests("refused", "tenant_rate"), 2.0, "{from}");
    }
}

#[test]
fn a_tenant_is_told_by_the_clients_certificate() {
    let app = App::echoing_paths();
    let (folder, authority, clients) = (Folder::new(), Authority::new(), Authority::new());
    let certificate = authority.issue(&[NAME]).write(&folder, "gate");
    folder.write("clients.pem", clients.pem());
    let asked = "client_certificates = { authorities = \"clients.pem\", required = true }";
    let listener = http2_listener(&[certificate], asked);
    let more =
        format!("{ROOMY}[tenant]\nfrom = \"client-cert\"\ntier = \"one\"\n{TIERS}{listener}");
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], &more));
    let own = clients.issue(&["acme.example"]);
    let client = Http2::open(&gate, &Trust::of(&authority).showing(&own));
    assert_eq!(with_status(&at_once(&client, 10), 200), 1);
    assert_eq!(gate.requests("refused", "tenant_rate"), 9.0);
}

#[test]
fn strangers_are_refused_in_known_only() {
    let app = App::echoing_paths();
    let open = format!("{ROOMY}[known_only]\nexempt_paths = [\"/login\"]\n");
    let (gate, trust) = serving(&app, &open);
    let client = Http2::open(&gate, &trust);
    assert_eq!(client.get("/").status, 200);
    gate.verb(&["mode", "known-only", "--force"]).good();
    let refused = client.get("/");
    assert_eq!(refused.status, 503);
    assert_eq!(refused.reason(), "unknown_client");
    assert!(refused.field("retry-after").is_some());
    gate.verb(&["mode", "normal"]).good();
    assert_eq!(client.get("/").status, 200, "the connection is kept");
}

#[test]
fn a_client_that_is_blocked_loses_its_connection() {
    let app = App::echoing_paths();
    let (gate, trust) = serving(&app, ROOMY);
    let client = Http2::open(&gate, &trust);
    assert_eq!(client.get("/").status, 200);
    gate.verb(&["block", "add", "127.0.0.1", "--force"]);
    let refused = client.get("/");
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (403, "blocked")
    );
    assert_eq!(client.ended(), None, "ended in order");
    eventually("it is counted", || gate.ended("request") == 1.0);
}

#[test]
fn a_body_over_the_limit_is_refused_by_its_length_or_cut() {
    let app = App::echoing_paths();
    let (gate, trust) = serving(&app, &format!("{ROOMY}max_body = \"10KiB\"\n"));
    let client = Http2::open(&gate, &trust);
    let body = pattern(10 * 1024 + 1);
    let mut said = request("POST", "/");
    said.headers_mut()
        .insert("content-length", HeaderValue::from_static("10241"));
    let refused = client.ask(said, &body).unwrap();
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (413, "body_too_large")
    );
    let cut = client.ask(request("POST", "/"), &body).unwrap();
    assert_eq!((cut.status, cut.reason().as_str()), (413, "body_overrun"));
    assert_eq!(app.requests(), 0, "the app got a whole request");
    assert_eq!(client.post("/", &body[1..]).status, 200);
    assert_eq!(gate.requests("refused", "body_too_large"), 1.0);
    assert_eq!(gate.requests("failed", "body_overrun"), 1.0);
}
