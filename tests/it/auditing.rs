//! The audit log: who changed what, when, why and until when.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::harness::{App, Gate, with_upstream};

fn changes(gate: &Gate) -> Vec<Value> {
    let audit = gate.verb(&["audit", "-o", "json"]).json();
    audit.as_array().expect("a list").clone()
}

#[test]
fn every_change_is_written_down_with_who_why_and_until_when() {
    let app = App::echoing_paths();
    let gate = Gate::start(&with_upstream(
        &[app.address],
        "[tenant]\nfrom = \"host\"\ntier = \"low\"\n[tier.low]\n[tier.high]\n",
    ));
    assert!(
        gate.verb(&["audit"]).stdout.contains("nothing was changed"),
        "a new gate"
    );
    for verb in [
        &["mode", "observe", "--for", "1h", "--reason", "a look"][..],
        &["block", "add", "192.0.2.0/24", "--reason", "flood"],
        &["block", "remove", "192.0.2.0/24"],
        &["known", "add", "198.51.100.7", "--reason", "ceo"],
        &["known", "remove", "198.51.100.7"],
        &["tenant", "set", "shop.example.com", "high", "--for", "2h"],
        &["tenant", "unset", "shop.example.com"],
        &["reload"],
    ] {
        gate.verb(verb).good();
    }
    let told = changes(&gate);
    let what: Vec<(&str, &str)> = told
        .iter()
        .map(|one| (one["what"].as_str().unwrap(), one["to"].as_str().unwrap()))
        .collect();
    assert_eq!(
        what,
        [
            ("mode", "observe"),
            ("block", "192.0.2.0/24"),
            ("unblock", "192.0.2.0/24"),
            ("known", "198.51.100.7/32"),
            ("known", "no longer 198.51.100.7/32"),
            ("tenant", "shop.example.com in tier high"),
            ("tenant", "shop.example.com no longer in tier high"),
            ("reload", "nothing"),
        ]
    );
    let me = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap();
    let me = me.expect("this user has a name").name;
    assert!(told.iter().all(|one| one["by"] == me), "{told:#?}");
    assert_eq!(told[0]["reason"], "a look");
    let until = |one: &Value| one["until"].as_u64().unwrap() - one["time"].as_u64().unwrap();
    assert!((3599..=3601).contains(&until(&told[0])), "{told:#?}");
    assert!(told[0]["before"]["connections"].is_u64(), "{told:#?}");
    let human = gate.verb(&["audit", "-n", "8"]).stdout;
    assert!(human.contains(": mode observe until "), "{human}");
    assert!(human.contains("/s forwarded"), "{human}");
    assert_eq!(human.matches(": block ").count(), 1, "{human}");
    let latest = gate.verb(&["audit", "-n", "1"]).stdout;
    assert!(latest.contains("reload nothing"), "{latest}");
}

#[test]
fn it_survives_a_kill_and_is_its_owners_alone() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    gate.verb(&["mode", "observe", "--reason", "first"]).good();
    let file = gate.folder.path("state/audit.jsonl");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let folder = gate.kill();
    let again = Gate::start_in(folder, &with_upstream(&[app.address], ""));
    again.verb(&["mode", "normal", "--reason", "second"]).good();
    let reasons: Vec<Value> = changes(&again)
        .iter()
        .map(|one| one["reason"].clone())
        .collect();
    assert_eq!(reasons, ["first", "second"]);
}

#[test]
fn a_mode_that_ends_by_itself_is_written_down_as_the_clocks() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    gate.verb(&["mode", "observe", "--for", "1s"]).good();
    crate::harness::eventually("the end is written down", || changes(&gate).len() == 2);
    let end = &changes(&gate)[1];
    assert_eq!(
        (&end["by"], &end["to"]),
        (&"tidegate".into(), &"normal".into())
    );
    assert_eq!(end["reason"], "the time of observe has passed");
}

#[test]
fn a_change_that_cannot_be_written_down_is_made_and_says_so() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    fs::create_dir(gate.folder.path("state/audit.jsonl")).unwrap();
    let said = gate.verb(&["mode", "observe"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stderr.contains("audit log"), "{said:?}");
    assert_eq!(gate.status()["mode"]["mode"], "observe");
}
