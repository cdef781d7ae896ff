//! Opening again: a share of the unknown clients is let in, and the same ones stay in as it grows.

use std::collections::HashSet;

use serde_json::Value;

use crate::handing_over::gate_in;
use crate::harness::{App, Connection, Gate, PROXIED, ROOMY, Reply, client, eventually, get_as};

const KNOWN: &str = "127.0.0.9";

/// A gate in `known-only`, which knows `KNOWN`, with more configuration.
fn closed_with(more: &str) -> (App, Gate) {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, more);
    gate.verb(&["known", "add", KNOWN]).good();
    gate.verb(&["mode", "known-only", "--for", "1h", "--reason", "flood"])
        .good();
    (app, gate)
}

fn closed() -> (App, Gate) {
    closed_with(ROOMY)
}

fn admit(gate: &Gate, share: &str) -> String {
    let verb = ["mode", "known-only", "--admit-unknown", share];
    gate.verb(&verb).good()
}

fn record(gate: &Gate) -> Value {
    gate.verb(&["mode", "-o", "json"]).json()
}

/// 2,000 addresses of this machine.
fn sources() -> impl Iterator<Item = String> {
    (10..18).flat_map(|net| (1..=250).map(move |host| format!("127.0.{net}.{host}")))
}

/// Whether a new connection of this client is served.
fn is_served(gate: &Gate, source: &str) -> bool {
    // The gate closes without a word, which may arrive as a reset.
    let Ok(mut connection) = Connection::try_open_from(source, gate.address) else {
        return false;
    };
    let request = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    let _ = connection.try_send(request);
    matches!(connection.try_response(), Some(response) if response.status == 200)
}

fn served(gate: &Gate) -> HashSet<String> {
    sources().filter(|source| is_served(gate, source)).collect()
}

/// One whom this share lets in and one whom it does not, as `explain` tells.
fn one_of_each(gate: &Gate) -> (String, String) {
    let is_in = |source: &String| {
        let said = gate.verb(&["explain", source, "-o", "json"]).json();
        said["admitted"].as_bool().unwrap()
    };
    let find = |wanted: bool| sources().find(|source| is_in(source) == wanted).unwrap();
    (find(true), find(false))
}

#[test]
fn the_share_is_about_right_and_the_same_clients_stay_in_as_it_grows() {
    let (_app, gate) = closed();
    assert_eq!(served(&gate).len(), 0);
    let mut before = HashSet::new();
    for (share, least, most) in [("5%", 60, 140), ("20%", 320, 480), ("50%", 900, 1100)] {
        admit(&gate, share);
        let now = served(&gate);
        // Four standard deviations of a binomial and more.
        assert!(
            (least..=most).contains(&now.len()),
            "{share}: {}",
            now.len()
        );
        let lost: Vec<_> = before.difference(&now).collect();
        assert!(lost.is_empty(), "{share} shut out {lost:?}");
        before = now;
    }
    admit(&gate, "100%");
    assert_eq!(served(&gate).len(), 2000);
    assert!(is_served(&gate, KNOWN));
    admit(&gate, "0%");
    assert_eq!(served(&gate).len(), 0);
    assert!(is_served(&gate, KNOWN));
}

#[test]
fn a_share_of_the_clients_behind_a_proxy_is_let_in_by_the_request() {
    let (_app, gate) = closed_with(PROXIED);
    let mut proxy = gate.connect();
    let mut statuses = || {
        let requests: Vec<String> = (0..2000).map(|n| get_as(client(n), "")).collect();
        let answers = proxy.pipeline(&requests);
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses
    };
    assert!(statuses().iter().all(|status| *status == 503));
    admit(&gate, "5%");
    let few = statuses();
    let count = few.iter().filter(|status| **status == 200).count();
    assert!((60..=140).contains(&count), "{count} of 2000");
    assert_eq!(gate.metric("tidegate_admitted_unknown_total"), count as f64);
    assert_eq!(gate.metric("tidegate_known_only_admit_unknown_ratio"), 0.05);
    admit(&gate, "20%");
    let more = statuses();
    let stayed = few
        .iter()
        .zip(&more)
        .all(|(few, more)| *few != 200 || *more == 200);
    assert!(stayed, "the share grew and shut somebody out");
}

#[test]
fn open_connections_and_idle_ones_follow_the_share() {
    // A path that stays open lets everybody's connections in.
    let (_app, gate) = closed_with(&format!(
        "{ROOMY}[known_only]\nexempt_paths = [\"/login\"]\n"
    ));
    admit(&gate, "30%");
    let (inside, outside) = one_of_each(&gate);
    admit(&gate, "0%");
    let mut inside = Connection::open_from(&inside, gate.address);
    let mut outside = Connection::open_from(&outside, gate.address);
    let mut both = || [inside.get("/").status, outside.get("/").status];
    assert_eq!(both(), [503, 503]);
    admit(&gate, "30%");
    assert_eq!(both(), [200, 503]);
    admit(&gate, "100%");
    assert_eq!(both(), [200, 200]);
    admit(&gate, "0%");
    assert_eq!(both(), [503, 503]);
    assert_eq!(gate.requests("refused", "unknown_client"), 5.0);
}

#[test]
fn a_smaller_share_ends_the_idle_connections_of_those_it_leaves_out() {
    let (_app, gate) = closed();
    admit(&gate, "30%");
    let (inside, outside) = one_of_each(&gate);
    admit(&gate, "100%");
    let mut stays = Connection::open_from(&inside, gate.address);
    let mut goes = Connection::open_from(&outside, gate.address);
    assert_eq!([stays.get("/").status, goes.get("/").status], [200, 200]);
    admit(&gate, "30%");
    assert!(goes.is_closed());
    assert_eq!(stays.get("/").status, 200);
    assert_eq!(gate.ended("shut_out"), 1.0);
}

#[test]
fn a_crash_and_an_upgrade_leave_the_same_clients_in() {
    let (app, gate) = closed();
    admit(&gate, "20%");
    let (record_before, before) = (record(&gate), served(&gate));
    assert!(!before.is_empty());
    let gate = gate_in(gate.kill(), &app, ROOMY);
    assert_eq!(record(&gate), record_before);
    assert_eq!(served(&gate), before);
    gate.verb(&["upgrade"]).good();
    eventually("the new process to serve alone", || {
        gate.status()["earlier"].is_null()
    });
    assert_eq!(record(&gate), record_before);
    assert_eq!(served(&gate), before);
}

#[test]
fn it_is_told_wherever_the_mode_is() {
    let (_app, gate) = closed();
    let before = record(&gate);
    let said = admit(&gate, "12.5%");
    let sentence = "known-only, 12.5% of unknown clients admitted for another ";
    for text in [
        said,
        gate.verb(&["mode"]).good(),
        gate.verb(&["status"]).good(),
    ] {
        assert!(text.contains(sentence), "{text}");
        assert!(text.contains("flood"), "the reason stays: {text}");
    }
    let after = record(&gate);
    assert_eq!(after["admit_unknown"], "12.5%");
    assert_eq!(after["until"], before["until"], "the end stays");
    let (inside, outside) = one_of_each(&gate);
    let said = |source: &str| gate.verb(&["explain", source]).good();
    let (inside, outside) = (said(&inside), said(&outside));
    assert!(
        inside.contains("admitted     yes, one of the 12.5%"),
        "{inside}"
    );
    assert!(inside.contains("verdict      forwarded"), "{inside}");
    assert!(
        outside.contains("admitted     no, not one of the 12.5%"),
        "{outside}"
    );
    assert!(outside.contains("unknown_client"), "{outside}");
    assert!(!said(KNOWN).contains("admitted     "));
    let audit = gate.verb(&["audit"]).good();
    assert!(
        audit.contains("known-only, 12.5% of unknown clients admitted"),
        "{audit}"
    );
    gate.says("mode known-only, 12.5% of unknown clients admitted");
}

#[test]
fn the_end_changes_only_when_that_is_asked_for_and_takes_the_share_with_it() {
    let (_app, gate) = closed();
    let verb = [
        "mode",
        "known-only",
        "--admit-unknown",
        "5%",
        "--for",
        "10m",
    ];
    gate.verb(&verb).good();
    let now = record(&gate);
    let lasting = now["until"].as_u64().unwrap() - now["since"].as_u64().unwrap();
    assert_eq!(lasting, 600);
    gate.verb(&["mode", "known-only", "--for", "1s"]).good();
    assert_eq!(record(&gate)["admit_unknown"], "0%", "closed again");
    admit(&gate, "5%");
    eventually("the mode to end", || record(&gate)["mode"] == "normal");
    assert_eq!(record(&gate)["admit_unknown"], "0%");
    admit_with_force(&gate);
}

/// A share also begins a known-only, which then has the usual end, and the usual questions.
fn admit_with_force(gate: &Gate) {
    gate.verb(&["known", "remove", KNOWN]).good();
    let verb = ["mode", "known-only", "--admit-unknown", "5%"];
    assert_eq!(gate.verb(&verb).code, 1, "the known set is empty");
    gate.verb(&[&verb[..], &["--force"]].concat()).good();
    let first = record(gate);
    assert!(first["until"].is_u64(), "{first}");
    admit(gate, "50%");
}

#[test]
fn what_is_no_share_changes_nothing() {
    let (_app, gate) = closed();
    for share in ["5", "101%", "0.001%", "-1%", "many"] {
        let said = gate.verb(&["mode", "known-only", "--admit-unknown", share]);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{share}");
    }
    let said = gate.verb(&["mode", "normal", "--admit-unknown", "5%"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.stderr.contains("normal lets every unknown client in"),
        "{said:?}"
    );
    let now = record(&gate);
    assert_eq!(
        (&now["mode"], &now["admit_unknown"]),
        (&"known-only".into(), &"0%".into())
    );
}

/// The steps that the audit log tells of, first to last.
fn steps(gate: &Gate) -> Vec<(String, String)> {
    let audit = gate.verb(&["audit", "-o", "json"]).json();
    let records = audit.as_array().or_else(|| audit["records"].as_array());
    let by_itself = records
        .unwrap()
        .iter()
        .filter(|record| record["by"] == "tidegate");
    let text = |record: &Value, key: &str| record[key].as_str().unwrap().to_owned();
    by_itself
        .map(|record| (text(record, "to"), text(record, "reason")))
        .collect()
}

#[test]
fn in_calm_it_walks_up_and_out() {
    let (_app, gate) = closed();
    let said = gate.verb(&["reopen", "--steps", "5%,50%,100%", "--every", "1s"]);
    let said = said.good();
    assert!(said.contains("opening in steps, the next at"), "{said}");
    eventually("the mode to be normal", || {
        record(&gate)["mode"] == "normal"
    });
    assert!(is_served(&gate, "127.0.0.1"));
    assert_eq!(record(&gate)["until"], Value::Null);
    eventually("the steps to be written down", || steps(&gate).len() == 3);
    let told: Vec<String> = steps(&gate).into_iter().map(|(to, _)| to).collect();
    let share = |share| format!("known-only, {share} of unknown clients admitted");
    assert_eq!(told, [share("5%"), share("50%"), "normal".to_owned()]);
}

#[test]
fn it_steps_back_at_once_when_those_let_in_are_refused() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "[client]\nlimit = { rate = \"1/h\", burst = 2 }\n");
    gate.verb(&["known", "add", KNOWN]).good();
    gate.verb(&["mode", "known-only"]).good();
    let verb = ["reopen", "--steps", "50%,90%", "--every", "1h"];
    gate.verb(&verb).good();
    eventually("the first step", || record(&gate)["admit_unknown"] == "50%");
    let (inside, _) = one_of_each(&gate);
    let mut flood = Connection::open_from(&inside, gate.address);
    // The second look after the step sees what came since the first.
    eventually("the step back", || {
        for _ in 0..30 {
            let answered = flood
                .try_send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                .is_ok()
                && flood.try_response().is_some();
            if !answered {
                break;
            }
        }
        record(&gate)["admit_unknown"] == "0%"
    });
    assert!(!is_served(&gate, &inside));
    eventually("the step to be written down", || steps(&gate).len() == 2);
    let (to, why) = steps(&gate).pop().unwrap();
    assert_eq!(to, "known-only");
    assert!(why.starts_with("stepped back: "), "{why}");
    assert!(why.ends_with("requests let in were refused"), "{why}");
    gate.says("stepped back: ");
}

#[test]
fn it_steps_back_when_answers_take_long() {
    let app = App::answering(|_| {
        // Longer than the bound below, which is what the test is about.
        std::thread::sleep(std::time::Duration::from_millis(20));
        Reply::text("late")
    });
    let rules = "[known_only.reopen]\nslow = \"50%\"\nslower_than = \"10ms\"\n";
    let gate = Gate::before(&app, &format!("{ROOMY}{rules}"));
    gate.verb(&["known", "add", KNOWN]).good();
    gate.verb(&["mode", "known-only"]).good();
    gate.verb(&["reopen", "--steps", "50%,90%", "--every", "1h"])
        .good();
    eventually("the first step", || record(&gate)["admit_unknown"] == "50%");
    let mut customer = Connection::open_from(KNOWN, gate.address);
    eventually("the step back", || {
        for _ in 0..10 {
            customer.get("/");
        }
        record(&gate)["admit_unknown"] == "0%"
    });
    eventually("the step to be written down", || steps(&gate).len() == 2);
    let (_, why) = steps(&gate).pop().unwrap();
    assert!(
        why.contains("requests that were answered took longer than 10ms"),
        "{why}"
    );
}

#[test]
fn it_stops_where_it_is_and_another_mode_ends_it() {
    let (_app, gate) = closed();
    gate.verb(&["reopen", "--steps", "30%,100%", "--every", "1h"])
        .good();
    eventually("the first step", || record(&gate)["admit_unknown"] == "30%");
    assert!(record(&gate)["reopening"].is_object());
    gate.verb(&["reopen", "--stop"]).good();
    let stopped = record(&gate);
    assert_eq!(stopped["admit_unknown"], "30%");
    assert!(stopped["reopening"].is_null(), "{stopped}");
    gate.verb(&["reopen", "--steps", "40%", "--every", "1h"])
        .good();
    gate.verb(&["mode", "known-only"]).good();
    assert!(record(&gate)["reopening"].is_null());
    gate.verb(&["mode", "normal"]).good();
    let said = gate.verb(&["reopen"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("another mode is in force"), "{said:?}");
    for steps in ["20%,5%", "0%", "5%,5%"] {
        let said = gate.verb(&["reopen", "--steps", steps]);
        assert_eq!(said.code, 1, "{steps}: {said:?}");
    }
}
