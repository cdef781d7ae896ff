//! Customers who become known because the app says so, stay so across crashes, and leave in time.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::{
    App, Connection, Folder, Gate, Http2, ROOMY, Reply, Request, eventually, request, with_upstream,
};
use crate::http2::serving;

mod stores;

const LEARN: &str = "[known.learn]\nheader = \"x-tidegate-known\"\n";
const OPEN: &str = "[known_only]\nexempt_paths = [\"/login\"]\n";

/// An app that confirms whoever logs in: `/login` by its header, `/form` with a redirection.
fn app() -> App {
    App::answering(|request: &Request| match request.path.as_str() {
        "/login" => confirming("1"),
        "/form" if request.method == "POST" => Reply::status(302),
        "/no" => confirming("0"),
        "/both" => Reply::Full(
            200,
            vec!["X-Tidegate-Known: 1".into(), "X-Tidegate-Known: 0".into()],
            Vec::new(),
        ),
        path => Reply::text(path),
    })
}

fn confirming(word: &str) -> Reply {
    Reply::Full(
        200,
        vec![format!("X-Tidegate-Known: {word}")],
        b"in".to_vec(),
    )
}

fn gate(app: &App, more: &str) -> Gate {
    Gate::before(app, &format!("{ROOMY}{OPEN}{more}"))
}

fn from(gate: &Gate, source: &str) -> Connection {
    Connection::open_from(source, gate.address)
}

fn learned(gate: &Gate) -> f64 {
    gate.metric("tidegate_known_prefixes{source=\"learned\"}")
}

fn confirmations(gate: &Gate, outcome: &str) -> f64 {
    gate.metric(&format!(
        "tidegate_confirmations_total{{outcome=\"{outcome}\"}}"
    ))
}

fn known_only(gate: &Gate) {
    gate.verb(&["mode", "known-only", "--force"]).good();
}

fn log_in(gate: &Gate, source: &str) {
    let before = learned(gate);
    assert_eq!(from(gate, source).get("/login").status, 200);
    eventually("the client to be learned", || learned(gate) > before);
}

#[test]
fn whom_the_app_confirms_is_served_in_known_only() {
    let app = app();
    let gate = gate(&app, LEARN);
    known_only(&gate);
    let mut customer = from(&gate, "127.0.0.5");
    assert_eq!(customer.get("/").status, 503, "nobody yet");
    let reply = customer.get("/login");
    assert_eq!((reply.status, reply.text().as_str()), (200, "in"));
    assert_eq!(reply.field("x-tidegate-known"), None, "the client sees it");
    eventually("the customer to be known", || {
        customer.get("/").status == 200
    });
    assert_eq!(
        from(&gate, "127.0.0.6").get("/").status,
        503,
        "somebody else"
    );
    assert_eq!(
        (learned(&gate), confirmations(&gate, "accepted")),
        (1.0, 1.0)
    );
}

#[test]
fn a_word_that_is_no_or_that_a_client_sends_confirms_nobody() {
    let app = app();
    let gate = gate(&app, LEARN);
    for path in ["/no", "/both"] {
        let reply = gate.get(path);
        assert_eq!(reply.field("x-tidegate-known"), None, "{path}");
    }
    let claims = ["X-Tidegate-Known: 1", "X_TIDEGATE_KNOWN: 1"];
    assert_eq!(gate.connect().get_with("/claimed", &claims).status, 200);
    let seen = app.last();
    assert_eq!(seen.field("x-tidegate-known"), None, "{seen:?}");
    assert_eq!(seen.field("x_tidegate_known"), None, "{seen:?}");
    // What comes later is learned: what came before would have been.
    log_in(&gate, "127.0.0.5");
    assert_eq!(confirmations(&gate, "accepted"), 1.0);
}

#[test]
fn without_learning_the_header_is_anybodys() {
    let app = app();
    let gate = gate(&app, "");
    assert_eq!(gate.get("/login").field("x-tidegate-known"), Some("1"));
    gate.connect().get_with("/", &["X-Tidegate-Known: mine"]);
    assert_eq!(
        app.last().field("x-tidegate-known").as_deref(),
        Some("mine")
    );
    assert!(!gate.folder.path("state/learned.log").exists());
}

#[test]
fn a_status_confirms_by_rule() {
    let app = app();
    let rule =
        "[known.learn]\nrules = [{ path = \"/form\", methods = [\"POST\"], status = 302 }]\n";
    let gate = gate(&app, rule);
    let mut client = from(&gate, "127.0.0.5");
    client.get("/form");
    client.get("/login");
    client.post("/other", "");
    assert_eq!(confirmations(&gate, "accepted"), 0.0);
    assert_eq!(
        client.post("/form?a=b", "").status,
        200,
        "another path for the app"
    );
    assert_eq!(client.post("/form", "x").status, 302);
    eventually("the client to be learned", || learned(&gate) == 1.0);
    assert_eq!(confirmations(&gate, "accepted"), 1.0);
}

#[test]
fn as_many_confirmations_as_are_asked_for_make_a_client_known() {
    let app = app();
    let gate = gate(&app, &format!("{LEARN}confirmations = 2\n"));
    let mut client = from(&gate, "127.0.0.5");
    client.get("/login");
    eventually("a candidate", || {
        gate.status()["known"]["learned"]["candidates"] == 1
    });
    assert_eq!(learned(&gate), 0.0);
    client.get("/login");
    eventually("the client to be learned", || learned(&gate) == 1.0);
}

#[test]
fn an_app_that_confirms_everybody_is_bounded_and_seen() {
    let app = app();
    let gate = gate(&app, &format!("{LEARN}max = 3\n"));
    for number in 1..=10 {
        from(&gate, &format!("127.0.1.{number}")).get("/login");
    }
    eventually("the first to leave for the last", || {
        gate.metric("tidegate_learned_evictions_total") == 7.0
    });
    eventually("three to be known", || learned(&gate) == 3.0);
    known_only(&gate);
    let status = |number: u8| from(&gate, &format!("127.0.1.{number}")).get("/").status;
    assert_eq!([8, 9, 10].map(status), [200; 3]);
    assert_eq!([1, 6, 7].map(status), [503; 3]);
    let said = gate.verb(&["status"]).good();
    assert!(said.contains("FULL: 7 learned prefixes"), "{said}");
}

#[test]
fn a_trusted_proxy_that_names_nobody_is_not_learned_itself() {
    let app = app();
    let proxied = "address_from = \"x-forwarded-for\"\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let gate = Gate::before(&app, &format!("{ROOMY}{proxied}{LEARN}"));
    assert_eq!(gate.get("/login").status, 200);
    assert_eq!(confirmations(&gate, "unattributed"), 1.0);
    let reply = gate
        .connect()
        .get_with("/login", &["X-Forwarded-For: 2001:db8:1:2:3::4"]);
    assert_eq!(reply.status, 200);
    eventually("the client to be learned", || learned(&gate) == 1.0);
    let listed = gate.verb(&["known", "list"]).good();
    assert!(listed.contains("2001:db8:1:2::/64"), "{listed}");
    assert!(!listed.contains("127.0.0.1"), "{listed}");
}

#[test]
fn operators_see_who_was_learned_and_can_forget_them() {
    let app = app();
    let gate = gate(&app, LEARN);
    log_in(&gate, "127.0.0.5");
    from(&gate, "127.0.0.5").get("/login");
    eventually("the second time", || {
        let listed = gate.verb(&["known", "list", "-o", "json"]).json();
        listed["entries"][0]["confirmed"]["times"] == 2
    });
    let listed = gate.verb(&["known", "list"]).good();
    for word in [
        "127.0.0.5/32",
        "learned",
        "confirmed 2 times, first ",
        ", last ",
    ] {
        assert!(listed.contains(word), "no {word:?} in {listed}");
    }
    let said = gate.verb(&["explain", "127.0.0.5"]).good();
    assert!(
        said.contains("yes: 127.0.0.5/32 from learned, confirmed 2 times"),
        "{said}"
    );
    let status = gate.verb(&["status"]).good();
    assert!(status.contains("1 learned"), "{status}");
    known_only(&gate);
    assert_eq!(from(&gate, "127.0.0.5").get("/").status, 200);
    gate.verb(&["known", "remove", "127.0.0.5"]).good();
    assert_eq!(from(&gate, "127.0.0.5").get("/").status, 503);
    assert_eq!(gate.verb(&["known", "remove", "127.0.0.5"]).code, 1);
    assert_eq!(learned(&gate), 0.0);
}

#[test]
fn streams_of_http2_are_confirmed_alike() {
    let app = app();
    let (gate, trust) = serving(&app, &format!("{ROOMY}{OPEN}{LEARN}"));
    let client = Http2::open(&gate, &trust);
    let mut claimed = request("GET", "/claimed");
    claimed
        .headers_mut()
        .insert("x-tidegate-known", "1".parse().unwrap());
    assert_eq!(client.ask(claimed, &[]).unwrap().status, 200);
    assert_eq!(app.last().field("x-tidegate-known"), None);
    let reply = client.get("/login");
    assert_eq!((reply.status, reply.field("x-tidegate-known")), (200, None));
    eventually("the client to be learned", || learned(&gate) == 1.0);
    assert_eq!(confirmations(&gate, "accepted"), 1.0);
    known_only(&gate);
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn a_reload_changes_the_rules_and_who_is_known_by_them() {
    let app = app();
    let gate = gate(&app, LEARN);
    log_in(&gate, "127.0.0.5");
    known_only(&gate);
    let rewrite = |more: &str| {
        let config = format!("{ROOMY}{OPEN}{more}");
        gate.folder
            .configure(&with_upstream(&[app.address], &config));
        gate.verb(&["reload"]).good();
    };
    rewrite("");
    eventually("learned ones not to count", || {
        from(&gate, "127.0.0.5").get("/").status == 503
    });
    rewrite(LEARN);
    eventually("learned ones to count again", || {
        from(&gate, "127.0.0.5").get("/").status == 200
    });
}
