//! Limits of a tenant: whose traffic a request is, and what its tier allows.

use crate::harness::{App, Connection, Gate, Latch, Reply, eventually};

/// Tenants by `from`, with `gold` in a tier of five requests and everybody else in one of two.
pub(crate) fn tiers(from: &str) -> String {
    format!(
        "[client]\nlimit = {{ rate = \"10000/s\", burst = 10000 }}\nconnections = 1000\n\
         [tenant]\nfrom = \"{from}\"\ntier = \"strict\"\n\
         [tier.strict]\nlimit = {{ rate = \"1/h\", burst = 2 }}\n\
         [tier.generous]\nlimit = {{ rate = \"1/h\", burst = 5 }}\n\
         [tenants]\ngold = \"generous\"\nsilver = \"generous\"\n"
    )
}

/// How many of twelve requests of this path and fields pass; the others are told that their tenant has
/// nothing left.
pub(crate) fn passing(gate: &Gate, path: &str, fields: &[&str]) -> usize {
    let mut client = gate.connect();
    let answers = (0..12).map(|_| client.get_with(path, fields));
    let answers: Vec<_> = answers.collect();
    for refusal in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(refusal.status, 429);
        assert_eq!(refusal.reason(), "tenant_rate");
        assert!(refusal.field("retry-after").is_some(), "{refusal:?}");
        let policy = refusal.field("ratelimit-policy").unwrap();
        assert!(policy.starts_with("\"tenant\";q="), "{policy}");
    }
    answers.iter().filter(|answer| answer.status == 200).count()
}

#[test]
fn a_host_is_a_tenant() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &tiers("host"));
    assert_eq!(passing(&gate, "/", &["Host: gold"]), 5);
    assert_eq!(
        passing(&gate, "/", &["Host: GOLD:8080"]),
        0,
        "the same tenant"
    );
    assert_eq!(passing(&gate, "/", &["Host: silver"]), 5, "another tenant");
    assert_eq!(passing(&gate, "/", &["Host: unknown"]), 2);
    assert_eq!(
        passing(&gate, "/", &["Host: another"]),
        0,
        "all unlisted share"
    );
}

#[test]
fn a_host_with_a_route_has_a_budget_of_its_own_without_being_listed() {
    let app = App::echoing_paths();
    let routes = "[[route]]\nhost = \"one.example\"\nupstream = \"app\"\n\
                  [[route]]\nhost = \"two.example\"\nupstream = \"app\"\n[[route]]\nupstream = \"app\"\n";
    let gate = Gate::before(&app, &format!("{}{routes}", tiers("host")));
    for host in [
        "Host: one.example",
        "Host: two.example",
        "Host: any.example",
    ] {
        assert_eq!(passing(&gate, "/", &[host]), 2, "{host}");
    }
    assert_eq!(passing(&gate, "/", &["Host: other.example"]), 0);
}

#[test]
fn a_header_names_the_tenant() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &tiers("header:X-Api-Key"));
    assert_eq!(passing(&gate, "/", &["X-Api-Key: gold"]), 5);
    assert_eq!(passing(&gate, "/", &["x-api-key: silver"]), 5);
    assert_eq!(passing(&gate, "/", &["X-Api-Key: invented"]), 2);
    assert_eq!(
        passing(&gate, "/", &[]),
        0,
        "without a name is unlisted, too"
    );
    let two = ["X-Api-Key: gold", "X-Api-Key: silver"];
    assert_eq!(passing(&gate, "/", &two), 0, "two names are none");
}

#[test]
fn a_cookie_names_the_tenant() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &tiers("cookie:account"));
    assert_eq!(passing(&gate, "/", &["Cookie: a=b; account=gold; c=d"]), 5);
    assert_eq!(passing(&gate, "/", &["Cookie: account=silver"]), 5);
    assert_eq!(passing(&gate, "/", &["Cookie: myaccount=gold"]), 2);
    assert_eq!(passing(&gate, "/", &["Cookie: account="]), 0);
}

#[test]
fn a_cookie_that_apps_may_read_in_two_ways_names_nobody() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &tiers("cookie:account"));
    assert_eq!(passing(&gate, "/", &[]), 2, "the budget that all share");
    for cookies in [
        "account=gold; account =silver",
        "account=gold; account\u{a0}=silver",
        "account=gold; account",
    ] {
        let passed = passing(&gate, "/", &[&format!("Cookie: {cookies}")]);
        assert_eq!(passed, 0, "{cookies} took another's budget");
    }
}

#[test]
fn a_path_segment_names_the_tenant() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &tiers("path:2"));
    assert_eq!(passing(&gate, "/t/gold/x?y", &[]), 5);
    assert_eq!(passing(&gate, "/other/silver", &[]), 5);
    assert_eq!(passing(&gate, "/gold/t", &[]), 2);
    assert_eq!(passing(&gate, "/t", &[]), 0);
}

#[test]
fn other_spellings_of_a_path_are_the_same_tenant() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &tiers("path:2"));
    assert_eq!(passing(&gate, "/t/gold", &[]), 5);
    for path in ["//t//gold", "/t/%67old", "/%74/gold/"] {
        let passed = passing(&gate, path, &[]);
        assert_eq!(
            passed, 0,
            "{path} is gold's, who has nothing left, and not a new budget"
        );
    }
}

#[test]
fn unlisted_tenants_cannot_invent_themselves_a_budget() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &tiers("header:X-Api-Key"));
    let mut client = gate.connect();
    let passed = (0..50)
        .filter(|number| {
            let field = format!("X-Api-Key: invented-{number}");
            client.get_with("/", &[&field]).status == 200
        })
        .count();
    assert_eq!(passed, 2);
    let tracked = gate.metric("tidegate_clients_tracked");
    assert!(
        tracked <= 2.0,
        "{tracked} buckets for a client and all unlisted tenants"
    );
}

/// A gate whose tenants have two places, and an app that answers `/slow` when the latch opens.
fn in_flight() -> (App, Gate, Latch) {
    let (app, latch) = App::waiting_at_slow();
    let config = "[tenant]\nfrom = \"host\"\ntier = \"all\"\n[tier.all]\nin_flight = 2\n\
                  [tenants]\ngold = \"all\"\nsilver = \"all\"\n";
    let gate = Gate::before(&app, config);
    (app, gate, latch)
}

fn begin(gate: &Gate, app: &App, host: &str) -> Connection {
    let before = app.requests();
    let mut client = gate.connect();
    client.send(format!("GET /slow HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    eventually("the request to reach the app", || {
        app.requests() == before + 1
    });
    client
}

fn status_of(gate: &Gate, host: &str) -> u16 {
    gate.connect()
        .get_with("/", &[&format!("Host: {host}")])
        .status
}

#[test]
fn a_tenant_has_so_many_requests_in_flight() {
    let (app, gate, latch) = in_flight();
    let mut busy = [begin(&gate, &app, "gold"), begin(&gate, &app, "gold")];
    let mut client = gate.connect();
    let refusal = client.get_with("/", &["Host: gold"]);
    assert_eq!(
        (refusal.status, refusal.reason().as_str()),
        (429, "tenant_in_flight")
    );
    let again: u64 = refusal.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&again), "Retry-After: {again}");
    assert_eq!(status_of(&gate, "silver"), 200, "another tenant");
    latch.open();
    for client in &mut busy {
        assert_eq!(client.response().status, 200);
    }
    eventually("the places to be given back", || {
        status_of(&gate, "gold") == 200
    });
}

#[test]
fn a_place_in_flight_is_given_back_when_the_client_goes_away() {
    let (app, gate, latch) = in_flight();
    let busy = [begin(&gate, &app, "gold"), begin(&gate, &app, "gold")];
    assert_eq!(status_of(&gate, "gold"), 429);
    drop(busy);
    eventually("the places to be given back", || {
        status_of(&gate, "gold") == 200
    });
    latch.open();
    let gone = "tidegate_requests_total{outcome=\"failed\",reason=\"client_gone\"}";
    eventually("the outcomes to be counted", || gate.metric(gone) == 2.0);
}

#[test]
fn a_place_in_flight_is_given_back_when_the_app_fails() {
    let app = App::answering(|_| Reply::Raw(b"nonsense\r\n\r\n".into()));
    let config = "[tenant]\nfrom = \"host\"\ntier = \"all\"\n[tier.all]\nin_flight = 1\n";
    let gate = Gate::before(&app, config);
    for _ in 0..5 {
        eventually("the place to be given back", || gate.get("/").status == 502);
    }
}
