//! Tenants that operators move to another tier, and back: what they used stays used.

mod in_flight;
mod keeping;

use std::fs;

use crate::harness::{App, Gate, Load, Output, ROOMY, eventually, with_upstream};
use crate::tenants::passing;

/// Tiers of 2, 5 and 10 requests, and these tenants by host.
fn tiers(app: &App, tenants: &str) -> String {
    let text = format!(
        "{ROOMY}[tenant]\nfrom = \"host\"\ntier = \"strict\"\n\
         [tier.strict]\nlimit = {{ rate = \"1/h\", burst = 2 }}\n\
         [tier.normal]\nlimit = {{ rate = \"1/h\", burst = 5 }}\n\
         [tier.generous]\nlimit = {{ rate = \"1/h\", burst = 10 }}\n\
         [tenants]\n{tenants}\n"
    );
    with_upstream(&[app.address], &text)
}

const TENANTS: &str = "acme = \"normal\"\nother = \"normal\"\n\
                       \"shop.example\" = { tier = \"normal\", name = \"shop\" }\n\
                       \"cart.example\" = { tier = \"normal\", name = \"shop\" }\n\
                       own = { tier = \"normal\", limit = { rate = \"1/h\", burst = 7 } }";

fn gate_of(tenants: &str) -> (App, Gate) {
    let app = App::echoing_paths();
    let gate = Gate::start(&tiers(&app, tenants));
    (app, gate)
}

fn spend(gate: &Gate, host: &str, count: usize) {
    let mut client = gate.connect();
    for number in 0..count {
        let status = client.get_with("/", &[&format!("Host: {host}")]).status;
        assert_eq!(status, 200, "request {number} of {host}");
    }
}

/// How many more requests a tenant may send.
fn left(gate: &Gate, host: &str) -> usize {
    passing(gate, "/", &[&format!("Host: {host}")])
}

fn set(gate: &Gate, name: &str, tier: &str) -> Output {
    let output = gate.verb(&["tenant", "set", name, tier]);
    assert_eq!(output.code, 0, "{output:#?}");
    output
}

/// The tier in which a tenant is, by its list entry.
fn tier_of(gate: &Gate, name: &str) -> String {
    let list = gate.verb(&["tenant", "list", name, "-o", "json"]).json();
    list["tenants"][0]["tier"]
        .as_str()
        .unwrap_or("none")
        .to_owned()
}

fn moved(gate: &Gate) -> u64 {
    gate.status()["tenants"]["moved"].as_u64().unwrap()
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

#[test]
fn a_move_holds_from_the_next_request_on_and_keeps_what_was_used() {
    let (_app, gate) = gate_of(TENANTS);
    spend(&gate, "acme", 3);
    spend(&gate, "other", 3);
    let output = set(&gate, "acme", "generous");
    assert_says(&output.stdout, &["acme is in tier generous"]);
    assert_eq!(output.stderr, "");
    assert_eq!(left(&gate, "acme"), 7, "ten less the three that were used");
    set(&gate, "other", "strict");
    assert_eq!(left(&gate, "other"), 0, "three of two are used");
    set(&gate, "own", "strict");
    assert_eq!(left(&gate, "own"), 2, "the tier's numbers, not its own");
}

#[test]
fn unset_lets_it_return_to_its_own_numbers() {
    let (_app, gate) = gate_of(TENANTS);
    set(&gate, "own", "generous");
    spend(&gate, "own", 3);
    assert_eq!(tier_of(&gate, "own"), "generous");
    let said = gate.verb(&["tenant", "unset", "own"]).good();
    assert_says(&said, &["own", "generous", "where it is listed"]);
    assert_eq!(left(&gate, "own"), 4, "seven of its own, three are used");
    assert_eq!(moved(&gate), 0);
    let output = gate.verb(&["tenant", "unset", "own"]);
    assert_eq!(output.code, 1, "{output:#?}");
    assert_says(&output.stderr, &["own", "was not moved", "tenant list"]);
}

#[test]
fn whatever_tells_a_tenant_names_it_in_any_spelling() {
    let (_app, gate) = gate_of(TENANTS);
    for name in ["shop", "shop.example", "CART.example"] {
        let output = gate.verb(&["tenant", "set", name, "generous", "-o", "json"]);
        assert_eq!(output.stderr, "", "{name} is listed");
        assert_eq!(output.json()["name"], "shop", "{name}");
        assert_eq!(moved(&gate), 1, "{name}");
        assert_eq!(tier_of(&gate, name), "generous", "{name}");
        gate.verb(&["tenant", "unset", name]).good();
        assert_eq!(moved(&gate), 0, "{name}");
    }
    set(&gate, "SHOP.EXAMPLE", "generous");
    assert_eq!(left(&gate, "shop.example"), 10);
    assert_eq!(left(&gate, "cart.example"), 0, "the same tenant");
}

#[test]
fn a_move_ends_by_itself() {
    let (_app, gate) = gate_of(TENANTS);
    let output = gate.verb(&["tenant", "set", "acme", "generous", "--for", "1s"]);
    assert_says(&output.good(), &["acme is in tier generous until "]);
    eventually("the move to end", || tier_of(&gate, "acme") == "normal");
    assert_eq!(left(&gate, "acme"), 5);
    eventually("the end to be told", || {
        gate.has_said("tenant \"acme\" is no longer in tier generous: its time has passed")
    });
    eventually("the end to be written down", || {
        let state = fs::read_to_string(gate.folder.path("state/tenants.json"));
        !state.unwrap().contains("acme")
    });
    gate.verb(&["tenant", "set", "acme", "generous", "--for", "1s"])
        .good();
    set(&gate, "acme", "strict");
    let list = gate.verb(&["tenant", "list", "acme", "-o", "json"]).json();
    assert_eq!(
        list["tenants"][0]["until"],
        serde_json::Value::Null,
        "{list:#}"
    );
}

#[test]
fn an_unlisted_tenant_gets_a_budget_of_its_own_and_a_warning() {
    let (_app, gate) = gate_of(TENANTS);
    spend(&gate, "nobody", 2);
    let output = set(&gate, "New.example", "normal");
    let parts = [
        "warning",
        "\"new.example\" was not listed",
        "tidegate tenant unset new.example",
    ];
    assert_says(&output.stderr, &parts);
    assert_eq!(left(&gate, "new.example"), 5);
    assert_eq!(
        left(&gate, "other.example"),
        0,
        "the unlisted share what is used"
    );
    gate.verb(&["tenant", "unset", "new.example"]).good();
    assert_eq!(left(&gate, "new.example"), 0);
}

#[test]
fn a_tenant_that_is_listed_after_its_move_can_still_be_returned() {
    let (app, gate) = gate_of(TENANTS);
    set(&gate, "late.example", "generous");
    let listed = format!("{TENANTS}\n\"late.example\" = {{ tier = \"strict\", name = \"late\" }}");
    gate.folder.configure(&tiers(&app, &listed));
    gate.verb(&["reload"]).good();
    assert_eq!(tier_of(&gate, "late"), "generous");
    let gate = Gate::start_in(gate.kill(), &tiers(&app, &listed));
    assert_eq!(tier_of(&gate, "late"), "generous");
    assert_eq!(moved(&gate), 1);
    gate.verb(&["tenant", "unset", "late.example"]).good();
    assert_eq!(left(&gate, "late.example"), 2);
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let (_app, gate) = gate_of(TENANTS);
    let long = "a".repeat(10_000);
    for (name, tier, parts) in [
        (
            "acme",
            "gold",
            ["no tier \"gold\"", "generous, normal, strict"],
        ),
        ("acme", "", ["no tier \"\"", "generous, normal, strict"]),
        ("", "strict", ["\"\" is no tenant", "1 to 512 bytes"]),
        ("a b", "strict", ["\"a b\" is no tenant", "host"]),
        ("a\nb", "strict", ["is no tenant", "one line"]),
        (&long, "strict", ["is no tenant", "1 to 512 bytes"]),
    ] {
        let output = gate.verb(&["tenant", "set", name, tier]);
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (1, ""),
            "{output:#?}"
        );
        assert_says(&output.stderr, &parts);
        assert!(output.stderr.len() < 1_000, "{}", output.stderr);
    }
    for arguments in [
        &["tenant", "set", "acme"] as &[&str],
        &["tenant", "set", "acme", "strict", "--for", "0s"],
        &["tenant", "set", "acme", "strict", "--for", "soon"],
        &["tenant"],
    ] {
        let output = gate.verb(arguments);
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (2, ""),
            "{output:#?}"
        );
    }
    assert_eq!(moved(&gate), 0);
    assert_eq!(left(&gate, "acme"), 5);
}

#[test]
fn a_gate_that_tells_no_tenants_apart_says_so() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    for arguments in [
        &["tenant", "set", "acme", "strict"] as &[&str],
        &["tenant", "list"],
    ] {
        let output = gate.verb(arguments);
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (1, ""),
            "{output:#?}"
        );
        assert_says(&output.stderr, &["tells no tenants apart", "[tenant]"]);
    }
    let output = gate.verb(&["tenant", "unset", "acme"]);
    assert_eq!(output.code, 1, "{output:#?}");
    assert_eq!(gate.status()["tenants"], serde_json::Value::Null);
}

#[test]
fn moves_are_shown_for_people_and_for_programs() {
    let (_app, gate) = gate_of(TENANTS);
    let arguments = [
        "tenant",
        "set",
        "acme",
        "strict",
        "--for",
        "30m",
        "--reason",
        "floods\nus",
        "-o",
        "json",
    ];
    let set = gate.verb(&arguments).json();
    assert_eq!(
        (&set["name"], &set["tier"]),
        (&"acme".into(), &"strict".into())
    );
    assert_eq!(set["reason"], "floods\nus");
    assert!(
        set["until"].as_u64().is_some() && set["set_by"].is_string(),
        "{set:#}"
    );
    let status = gate.verb(&["status"]).good();
    assert_says(
        &status,
        &["5 listed, 1 moved", "acme is in tier strict until"],
    );
    assert_eq!(gate.status()["tenants"]["first_moved"][0]["name"], "acme");
    let output = gate.verb(&["tenant", "list"]);
    assert_eq!(output.stdout.lines().count(), 5, "{output:#?}");
    assert_says(
        &output.stdout,
        &["floods us", "normal, own numbers", "told by shop.example"],
    );
    assert_says(
        &output.stderr,
        &["5 tenants, told by host", "all others are in tier strict"],
    );
    let output = gate.verb(&["tenant", "list", "--limit", "2"]);
    assert_says(&output.stderr, &["2 of 5 tenants", "--limit"]);
    let output = gate.verb(&["tenant", "list", "nobody"]);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, ""),
        "{output:#?}"
    );
    assert_says(&output.stderr, &["nobody is not listed", "strict"]);
    let list = gate.verb(&["tenant", "list", "acme", "-o", "json"]).json();
    assert_eq!(list["tenants"][0]["until"], set["until"]);
    assert_eq!(list["tenants"].as_array().unwrap().len(), 1);
    let unset = gate.verb(&["tenant", "unset", "acme", "-o", "json"]).json();
    assert_eq!(unset, set, "what was lifted");
}

#[test]
fn moves_under_a_flood_break_no_answer() {
    let (_app, gate) = gate_of("test = \"normal\"");
    let load = Load::from(&["127.0.0.1", "127.0.0.2", "127.0.0.3"], &gate);
    let flood = Load::flood(&gate, |_| "GET / HTTP/1.1\r\nHost: test\r\n\r\n".to_owned());
    load.wait_for(10);
    flood.wait_for(10);
    for _ in 0..25 {
        gate.verb(&["tenant", "set", "test", "generous"]).good();
        gate.verb(&["tenant", "set", "test", "strict"]).good();
    }
    load.wait_for(10);
    flood.wait_for(10);
    let mut served = 0;
    for tally in [load.stop(), flood.stop()] {
        assert_eq!(tally.other_than(200), tally.of(429), "{tally:?}");
        served += tally.of(200);
    }
    assert_eq!(
        served, 10,
        "a move back and forth gives nobody a new budget"
    );
}
