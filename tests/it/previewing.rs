//! What a mode or a limit would have refused, before it is in force.

use serde_json::Value;

use crate::harness::{
    App, Connection, Folder, Gate, PROXIED, ROOMY, Reply, Request, eventually, tidegate,
    with_upstream,
};

const LEARN: &str = "[known.learn]\nheader = \"x-tidegate-known\"\nconfirmations = 3\n";
const TENANTS: &str = "[tenant]\nfrom = \"host\"\ntier = \"any\"\n[tier.any]\n[tenants]\n\"shop.example.com\" = \"any\"\n\"test\" = \"any\"\n";

/// An app that confirms at `/login`.
fn app() -> App {
    App::answering(|request: &Request| match request.path.as_str() {
        "/login" => Reply::Full(200, vec!["X-Tidegate-Known: 1".into()], Vec::new()),
        path => Reply::text(path),
    })
}

/// So many requests from an address.
fn ask(gate: &Gate, source: &str, path: &str, times: usize) {
    let mut connection = Connection::open_from(source, gate.address);
    for _ in 0..times {
        connection.get(path);
    }
}

fn preview(gate: &Gate, question: &[&str]) -> Value {
    let mut arguments = vec!["preview", "-o", "json"];
    arguments.extend(question);
    gate.verb(&arguments).json()
}

/// The preview of the last minute, once it tells of so many requests.
fn of(gate: &Gate, question: &[&str], requests: u64) -> Value {
    let minute = || preview(gate, question)["windows"][0].clone();
    // They are counted at once, and whose they were is told when they have been taken over.
    let mut seen = minute();
    eventually("all requests to be looked at", || {
        seen = minute();
        let all = &seen["requests"]["all"];
        *all == requests && seen["looked_at"] == *all
    });
    seen
}

fn share(of: &Value) -> [u64; 2] {
    ["refused", "all"].map(|name| of[name].as_u64().expect("a number"))
}

#[test]
fn a_preview_tells_whom_known_only_would_refuse_and_whom_known_add_would_rescue() {
    let app = app();
    let gate = Gate::before(&app, &format!("{ROOMY}{LEARN}{TENANTS}"));
    gate.verb(&["known", "add", "127.0.0.1"]).good();
    ask(&gate, "127.0.0.1", "/", 6);
    ask(&gate, "127.0.1.2", "/login", 1);
    ask(&gate, "127.0.1.2", "/", 2);
    for last in 1..=10 {
        ask(&gate, &format!("127.0.2.{last}"), "/", 1);
    }
    let seen = of(&gate, &["known-only"], 19);
    assert_eq!(share(&seen["requests"]), [13, 19], "{seen:#}");
    assert_eq!(share(&seen["clients"]), [11, 12], "{seen:#}");
    assert_eq!(share(&seen["customers"]), [1, 1], "{seen:#}");
    assert_eq!(share(&seen["customer_requests"]), [3, 3], "{seen:#}");
    let exact = serde_json::json!(0.0);
    assert_eq!(
        (&seen["clients"]["error"], &seen["missed"]),
        (&exact, &0.into())
    );
    let prefixes = serde_json::json!([
        { "name": "127.0.2.0/24", "requests": 10, "customers": 0 },
        { "name": "127.0.1.2/32", "requests": 3, "customers": 1 },
    ]);
    assert_eq!(seen["prefixes"], prefixes, "{seen:#}");
    assert_eq!(seen["rescue"][0]["name"], "127.0.1.2/32", "{seen:#}");
    assert_eq!(seen["tenants"][0]["requests"], 13, "{seen:#}");
    // Of what has been asked before, too.
    gate.verb(&["known", "add", "127.0.1.0/24"]).good();
    let seen = of(&gate, &["known-only"], 19);
    assert_eq!(share(&seen["requests"]), [10, 19], "{seen:#}");
    assert_eq!(share(&seen["customers"]), [0, 1], "{seen:#}");
    assert_eq!(seen["rescue"], serde_json::json!([]), "{seen:#}");
    assert_eq!(
        seen["prefixes"].as_array().map(Vec::len),
        Some(1),
        "{seen:#}"
    );
    // And of who is known no more.
    gate.verb(&["known", "remove", "127.0.0.1"]).good();
    let seen = of(&gate, &["known-only"], 19);
    assert_eq!(share(&seen["requests"]), [16, 19], "{seen:#}");
    assert_eq!(share(&seen["clients"]), [11, 12], "{seen:#}");
}

#[test]
fn what_is_exempt_or_has_a_pass_or_is_blocked_is_not_shut_out() {
    let app = app();
    let folder = Folder::new();
    let key = folder.path("pass.key").display().to_string();
    tidegate(&["pass", "new-key", &key]).good();
    let rules = format!(
        "{ROOMY}{LEARN}[known.pass]\nkey_file = \"pass.key\"\n[known_only]\nexempt_paths = [\"/login\"]\n"
    );
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], &rules));
    let mut client = Connection::open_from("127.0.1.2", gate.address);
    let given = client.get("/login");
    let pass = given
        .field("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    let cookie = format!("Cookie: {pass}");
    assert_eq!(client.get_with("/", &[&cookie]).status, 200);
    client.get("/");
    gate.verb(&["block", "add", "127.0.1.2", "--for", "1m", "--force"])
        .good();
    assert_eq!(client.get("/").status, 403);
    let seen = of(&gate, &["known-only"], 4);
    assert_eq!(share(&seen["requests"]), [1, 4], "{seen:#}");
}

#[test]
fn whom_a_share_lets_in_is_unknown_all_the_same_and_closing_again_needs_no_force() {
    let app = app();
    let gate = Gate::before(&app, &format!("{ROOMY}{LEARN}").replace("= 3", "= 1000"));
    gate.verb(&["known", "add", "127.0.0.1"]).good();
    gate.verb(&["mode", "known-only", "--admit-unknown", "100%"])
        .good();
    ask(&gate, "127.0.1.2", "/login", 25);
    let seen = of(&gate, &["known-only"], 25);
    assert_eq!(share(&seen["customer_requests"]), [25, 25], "{seen:#}");
    gate.verb(&["mode", "known-only"]).good();
    gate.verb(&["mode", "normal"]).good();
    assert_eq!(gate.verb(&["mode", "known-only"]).code, 1);
}

#[test]
fn a_balancer_that_names_nobody_is_no_customer() {
    let app = app();
    let gate = Gate::before(&app, &format!("{PROXIED}{LEARN}"));
    ask(&gate, "127.0.1.2", "/login", 3);
    let seen = of(&gate, &["known-only"], 3);
    assert_eq!(share(&seen["customers"]), [0, 0], "{seen:#}");
    assert_eq!(seen["rescue"], serde_json::json!([]), "{seen:#}");
    let added = gate.verb(&["known", "add", "127.0.1.2"]);
    assert!(added.stderr.contains("is a trusted proxy's"), "{added:?}");
}

#[test]
fn what_known_only_turns_away_is_not_taken_for_within_the_limits() {
    let app = app();
    let rules = "[client]\nlimit = { rate = \"1/h\", burst = 3 }\n[known_only]\nexempt_paths = [\"/login\"]\n";
    let gate = Gate::before(&app, rules);
    gate.verb(&["mode", "known-only", "--force"]).good();
    ask(&gate, "127.0.1.2", "/", 20);
    let seen = of(&gate, &["normal"], 20);
    assert_eq!(share(&seen["requests"]), [0, 20], "{seen:#}");
    assert_eq!(seen["turned_away"], 20, "{seen:#}");
    let said = gate.verb(&["preview", "normal"]).good();
    assert!(said.contains("20 requests were turned away"), "{said}");
}

#[test]
fn a_preview_of_normal_tells_what_observe_lets_through() {
    let app = app();
    let limit = "mode = \"observe\"\n[client]\nlimit = { rate = \"1/h\", burst = 3 }\n";
    let gate = Gate::before(&app, limit);
    ask(&gate, "127.0.1.2", "/", 5);
    ask(&gate, "127.0.1.3", "/", 2);
    let seen = of(&gate, &["normal"], 7);
    assert_eq!(share(&seen["requests"]), [2, 7], "{seen:#}");
    assert_eq!(share(&seen["clients"]), [1, 2], "{seen:#}");
    assert_eq!(seen["prefixes"][0]["name"], "127.0.1.2/32", "{seen:#}");
}

#[test]
fn a_preview_of_a_limit_tells_who_takes_more() {
    let app = app();
    let gate = Gate::before(&app, &format!("{ROOMY}{TENANTS}"));
    ask(&gate, "127.0.1.2", "/", 40);
    ask(&gate, "127.0.1.3", "/", 10);
    let limit = ["--client-limit", "1/m", "--burst", "20"];
    // Ten seconds may have ended in between: then it was within two of them.
    let seen = of(&gate, &limit, 50);
    let [refused, all] = share(&seen["requests"]);
    assert!(all == 50 && (1..=20).contains(&refused), "{seen:#}");
    assert_eq!(share(&seen["clients"]), [1, 2], "{seen:#}");
    assert_eq!(seen["prefixes"][0]["name"], "127.0.1.2/32", "{seen:#}");
    assert_eq!(seen["tenants"][0]["name"], "test", "{seen:#}");
    let seen = of(&gate, &["--client-limit", "100/s"], 50);
    assert_eq!(share(&seen["requests"]), [0, 50], "{seen:#}");
}

#[test]
fn a_limit_counts_what_requests_cost_and_not_what_is_exempt() {
    let app = app();
    let routes = "[[route]]\npath = \"/free\"\nupstream = \"app\"\nexempt = true\n\
        [[route]]\npath = \"/login\"\nupstream = \"app\"\ncost = 10\n[[route]]\nupstream = \"app\"\n";
    let gate = Gate::before(&app, &format!("{routes}{ROOMY}{LEARN}"));
    ask(&gate, "127.0.1.2", "/login", 20);
    ask(&gate, "127.0.1.3", "/free", 50);
    // Ten seconds may have ended in between: then it was within two of them.
    let seen = of(&gate, &["--client-limit", "1/h", "--burst", "50"], 70);
    let [refused, all] = share(&seen["requests"]);
    assert!(all == 70 && (10..=15).contains(&refused), "{seen:#}");
    assert_eq!(share(&seen["customer_requests"]), [refused, 20], "{seen:#}");
    assert_eq!(share(&seen["clients"]), [1, 2], "{seen:#}");
}

#[test]
fn what_it_prints_is_for_a_person_in_a_hurry() {
    let app = app();
    let gate = Gate::before(&app, &format!("{ROOMY}{LEARN}"));
    let nothing = gate.verb(&["preview", "known-only"]).good();
    assert!(
        nothing.contains("requests") && nothing.contains("none"),
        "{nothing}"
    );
    ask(&gate, "127.0.1.2", "/login", 1);
    of(&gate, &["known-only"], 1);
    let said = gate
        .verb(&["preview", "known-only", "--minutes", "1"])
        .good();
    for words in [
        "would be refused in known-only, with 0 known prefixes",
        "100.0% of 1",
        "the gate has counted for",
        "127.0.1.2",
        "tidegate known add 127.0.1.2",
    ] {
        assert!(said.contains(words), "no {words:?} in\n{said}");
    }
    let limit = gate.verb(&["preview", "--client-limit", "10/s"]).good();
    assert!(limit.contains("if client.limit were 10/s"), "{limit}");
    for (wrong, why) in [
        (&["preview"][..], "required"),
        (&["preview", "observe"], "invalid value 'observe'"),
        (
            &["preview", "normal", "--client-limit", "1/s"],
            "cannot be used with",
        ),
        (&["preview", "--client-limit", "fast"], "a rate"),
        (
            &["preview", "normal", "--burst", "3"],
            "cannot be used with",
        ),
    ] {
        let refused = gate.verb(wrong);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(
            refused.stderr.contains(why),
            "{wrong:?}: {}",
            refused.stderr
        );
    }
}

#[test]
fn a_switch_that_would_shut_customers_out_needs_force() {
    let app = app();
    let gate = Gate::before(&app, &format!("{ROOMY}{LEARN}"));
    gate.verb(&["known", "add", "127.0.0.1"]).good();
    ask(&gate, "127.0.0.1", "/login", 18);
    ask(&gate, "127.0.1.2", "/login", 2);
    of(&gate, &["known-only"], 20);
    let refused = gate.verb(&["mode", "known-only"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    for words in [
        "1 of 2 confirmed customers would be refused",
        "10.0% of what customers asked",
        "known_only.customers_refused is 5%",
        "tidegate preview known-only",
        "--force",
    ] {
        assert!(
            refused.stderr.contains(words),
            "no {words:?}: {}",
            refused.stderr
        );
    }
    assert_eq!(gate.status()["mode"]["mode"], "normal");
    // Known by now, whatever was before.
    gate.verb(&["known", "add", "127.0.1.2"]).good();
    gate.verb(&["mode", "known-only"]).good();
    gate.verb(&["mode", "normal"]).good();
    gate.verb(&["known", "remove", "127.0.1.2"]).good();
    gate.verb(&["mode", "known-only", "--force"]).good();
}

#[test]
fn customers_over_a_share_that_the_configuration_allows_do_not_keep_it_from_the_switch() {
    let app = app();
    let allowed = "[known_only]\ncustomers_refused = \"50%\"\n";
    let gate = Gate::before(&app, &format!("{ROOMY}{LEARN}{allowed}"));
    gate.verb(&["known", "add", "127.0.0.1"]).good();
    ask(&gate, "127.0.0.1", "/login", 18);
    ask(&gate, "127.0.1.2", "/login", 2);
    of(&gate, &["known-only"], 20);
    gate.verb(&["mode", "known-only"]).good();
}
