//! Who is left out stays so when other keys of the upstream change.

use super::checks::{CHECKED, checked_app};
use super::{gate, servers};
use crate::harness::{App, Gate, ROOMY, eventually, unused_address, with_upstream};

fn reload(gate: &Gate, all: &[std::net::SocketAddr], keys: &str) {
    gate.folder.configure(&(with_upstream(all, ROOMY) + keys));
    gate.verb(&["reload"]).good();
}

#[test]
fn a_server_that_takes_no_connections_stays_out_across_a_reload() {
    let app = App::echoing_paths();
    let all = [app.address, unused_address()];
    let keys = "eject = { failures = 1, first = \"1h\", longest = \"1h\" }\n";
    let gate = gate(&all, keys);
    for _ in 0..2 {
        assert_eq!(gate.get("/").status, 200);
    }
    assert_eq!(servers(&gate, "ejected"), 1.0);
    let retries = || gate.status()["upstreams"][0]["retries"].clone();
    for other in ["silent_after = \"1m\"\n", "retries = \"30%\"\n"] {
        reload(&gate, &all, &format!("{keys}{other}"));
        assert_eq!(servers(&gate, "ejected"), 1.0, "{other}{:#}", gate.status());
        for _ in 0..4 {
            assert_eq!(gate.get("/").status, 200);
        }
        assert_eq!(retries(), 0, "it is tried again");
    }
}

#[test]
fn a_server_that_fails_its_checks_stays_out_until_they_are_good_or_none() {
    let ((first, _), (second, _)) = (checked_app(503), checked_app(200));
    let all = [first.address, second.address];
    let gate = gate(&all, CHECKED);
    eventually("it to be left out", || servers(&gate, "unhealthy") == 1.0);
    // One check of these is soon, and not yet believed.
    reload(&gate, &all, &CHECKED.replace("100ms", "1h"));
    assert_eq!(servers(&gate, "unhealthy"), 1.0, "{:#}", gate.status());
    let human = gate.verb(&["status"]).good();
    assert!(human.contains("and is OUT: status 503"), "{human}");
    reload(&gate, &all, "");
    assert_eq!(servers(&gate, "available"), 2.0, "{:#}", gate.status());
}
