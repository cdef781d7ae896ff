//! Names of upstreams that stand for nothing, for much, for something else, or that take their time;
//! upstreams that do not answer, and those that nobody asks.

use std::time::{Duration, Instant};

use crate::harness::{App, Gate, Names, ROOMY, Reply, eventually, unused_address, with_upstream};

const AT_ONCE: Duration = Duration::ZERO;

/// A gate before `name`, which it looks up all the time.
fn before(names: &Names, name: &str, port: u16) -> Gate {
    names.gate(&format!(
        "{ROOMY}[upstream.app]\nservers = [\"{name}:{port}\"]\nresolve = \"100ms\"\n"
    ))
}

fn upstream(gate: &Gate) -> serde_json::Value {
    gate.status()["upstreams"][0].clone()
}

/// Apps on one port of several addresses.
fn apps_on(addresses: &[&str]) -> (Vec<App>, u16) {
    let first = App::on(&format!("{}:0", addresses[0]), |_| Reply::text("app"));
    let port = first.address.port();
    let more = addresses[1..].iter();
    let more = more.map(|address| App::on(&format!("{address}:{port}"), |_| Reply::text("app")));
    (std::iter::once(first).chain(more).collect(), port)
}

#[test]
fn a_name_that_stands_for_other_addresses_is_followed() {
    let (apps, port) = apps_on(&["127.60.0.1", "127.60.0.2"]);
    let names = Names::new();
    names.set("moving.test", &["127.60.0.1"], AT_ONCE);
    let gate = before(&names, "moving.test", port);
    assert_eq!(gate.get("/").status, 200);
    let changed = upstream(&gate)["addresses_changed_at"].as_u64().unwrap();
    assert!(changed > 0);
    names.set("moving.test", &["127.60.0.2"], AT_ONCE);
    eventually("requests to go to the new address", || {
        gate.get("/").status == 200 && apps[1].requests() > 0
    });
    let first = apps[0].requests();
    for _ in 0..4 {
        assert_eq!(gate.get("/").status, 200);
    }
    assert_eq!(apps[0].requests(), first, "the old address is left alone");
    let metric = "tidegate_upstream_addresses_changed_timestamp_seconds{upstream=\"app\"}";
    assert!(gate.metric(metric) >= changed as f64);
}

#[test]
fn a_name_that_stands_for_nothing_any_more_keeps_its_last_addresses() {
    for gone in [false, true] {
        let (_apps, port) = apps_on(&["127.60.1.1"]);
        let names = Names::new();
        names.set("leaving.test", &["127.60.1.1"], AT_ONCE);
        let gate = before(&names, "leaving.test", port);
        assert_eq!(upstream(&gate)["problem"], serde_json::Value::Null);
        match gone {
            true => names.fail("leaving.test"),
            false => names.set("leaving.test", &[], AT_ONCE),
        }
        eventually("the problem to be told", || {
            gate.said("cannot resolve leaving.test") == 1
        });
        assert_eq!(gate.get("/").status, 200, "the last addresses are used");
        let human = gate.verb(&["status"]).good();
        assert!(human.contains("CANNOT RESOLVE leaving.test"), "{human}");
        let at = upstream(&gate)["resolved_at"].as_u64().unwrap();
        names.set("leaving.test", &["127.60.1.1"], AT_ONCE);
        eventually("the end of the problem to be told", || {
            gate.said("resolved leaving.test") == 1
        });
        let after = upstream(&gate);
        assert!(after["resolved_at"].as_u64().unwrap() >= at);
        assert_eq!(gate.said("cannot resolve"), 1, "told once");
    }
}

#[test]
fn a_name_that_stands_for_nothing_at_first_is_used_as_soon_as_it_does() {
    let (_apps, port) = apps_on(&["127.60.5.1"]);
    let names = Names::new();
    names.set("empty.test", &[], AT_ONCE);
    let gate = before(&names, "empty.test", port);
    let response = gate.get("/");
    assert_eq!(
        (response.status, response.reason().as_str()),
        (503, "upstream_unresolved")
    );
    let problem = upstream(&gate)["problem"].to_string();
    assert!(problem.contains("the name has no addresses"), "{problem}");
    names.set("empty.test", &["127.60.5.1"], AT_ONCE);
    eventually("the address to be used", || gate.get("/").status == 200);
}

#[test]
fn the_last_addresses_of_a_name_are_used_while_it_takes_its_time() {
    let (apps, port) = apps_on(&["127.60.6.1", "127.60.6.2"]);
    let names = Names::new();
    names.set("slower.test", &["127.60.6.1"], AT_ONCE);
    let gate = before(&names, "slower.test", port);
    names.set("slower.test", &["127.60.6.2"], Duration::from_secs(1));
    let mut client = gate.connect();
    eventually("the new address to be used", || {
        let started = Instant::now();
        assert_eq!(client.get("/").status, 200);
        assert!(started.elapsed() < Duration::from_secs(1), "it waits");
        apps[1].requests() > 0
    });
    assert!(apps[0].requests() > 0, "the old one was used until then");
}

#[test]
fn a_name_may_stand_for_fifty_addresses() {
    let addresses: Vec<String> = (1..=50).map(|last| format!("127.60.2.{last}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let (apps, port) = apps_on(&addresses);
    let names = Names::new();
    names.set("many.test", &addresses, AT_ONCE);
    let gate = before(&names, "many.test", port);
    let mut client = gate.connect();
    for _ in 0..100 {
        assert_eq!(client.get("/").status, 200);
    }
    assert!(apps.iter().all(|app| app.requests() == 2), "each in turn");
    assert_eq!(upstream(&gate)["addresses"].as_array().unwrap().len(), 50);
}

#[test]
fn of_too_many_addresses_the_same_are_used_whichever_come_first() {
    let mut addresses: Vec<String> = (1..=100).map(|last| format!("127.60.4.{last}")).collect();
    let names = Names::new();
    let set = |addresses: &[String]| {
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        names.set("crowd.test", &addresses, AT_ONCE);
    };
    set(&addresses);
    let gate = before(&names, "crowd.test", 9);
    let used = upstream(&gate)["addresses"].clone();
    assert_eq!(used.as_array().unwrap().len(), 64);
    let problem = "crowd.test:9: only 64 of its 100 addresses are used";
    assert_eq!(upstream(&gate)["problem"], problem);
    gate.says_once(problem);
    addresses.reverse();
    set(&addresses);
    let resolved = upstream(&gate)["resolved_at"].as_u64();
    eventually("another answer", || {
        upstream(&gate)["resolved_at"].as_u64() > resolved
    });
    assert_eq!(upstream(&gate)["addresses"], used);
    set(&addresses[..64]);
    eventually("the end of it", || upstream(&gate)["problem"].is_null());
    assert_eq!(gate.said(problem), 1, "told once");
}

#[test]
fn a_name_that_takes_ten_seconds_holds_up_no_other_and_is_used_when_it_comes() {
    let (apps, port) = apps_on(&["127.60.3.1", "127.60.3.2"]);
    let names = Names::new();
    names.set("late.test", &["127.60.3.2"], Duration::from_secs(10));
    let started = Instant::now();
    let gate = names.gate(&format!(
        "[upstream.app]\nservers = [\"late.test:{port}\", \"127.60.3.1:{port}\"]\nresolve = \"100ms\"\n"
    ));
    assert!(started.elapsed() < Duration::from_secs(9), "it waits");
    assert_eq!(gate.get("/").status, 200);
    let problem = upstream(&gate)["problem"].to_string();
    assert!(problem.contains("late.test"), "{problem}");
    eventually("the late answer to be used", || {
        gate.get("/").status == 200 && apps[1].requests() > 0
    });
    gate.says_once("cannot resolve late.test");
}

#[test]
fn an_upstream_that_does_not_answer_is_told_of_once_and_once_when_it_does() {
    let address = unused_address();
    let keys = "silent_after = \"1s\"\n";
    let gate = Gate::start(&(with_upstream(&[address], ROOMY) + keys));
    let silent = "no answer for ";
    eventually("the silence to be told", || {
        assert_eq!(gate.get("/").status, 502);
        gate.said(silent) == 1
    });
    assert!(upstream(&gate)["silent_seconds"].as_u64() >= Some(1));
    let human = gate.verb(&["status"]).good();
    assert!(human.contains("SILENT: no answer for"), "{human}");
    let _app = App::on(&address.to_string(), |_| Reply::text("up"));
    assert_eq!(gate.get("/").status, 200);
    eventually("the end to be told", || gate.said("answers again") == 1);
    assert_eq!(gate.said(silent), 1, "told once");
    assert_eq!(upstream(&gate)["silent_seconds"], serde_json::Value::Null);
}

#[test]
fn clients_that_give_up_on_a_silent_app_show_that_it_is_silent() {
    let (app, _latch) = App::waiting_at_slow();
    let keys = "silent_after = \"1s\"\n";
    let gate = Gate::start(&(with_upstream(&[app.address], ROOMY) + keys));
    eventually("the silence to be told", || {
        let mut client = gate.connect();
        client.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
        drop(client);
        gate.said("no answer for ") == 1
    });
}

#[test]
fn an_upstream_that_nobody_asks_is_told_of_and_one_at_work_is_not() {
    let (app, latch) = App::waiting_at_slow();
    let keys = "idle_after = \"1s\"\nresolve = \"1s\"\n";
    let gate = Gate::start(&(with_upstream(&[app.address], ROOMY) + keys));
    eventually("idleness to be told", || {
        gate.said("nobody has asked for ") == 1
    });
    let human = gate.verb(&["status"]).good();
    assert!(human.contains("IDLE: nobody has asked for"), "{human}");
    let mut client = gate.connect();
    client.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the end to be told", || gate.said("is asked again") == 1);
    // Two of the watch's looks pass, as the names' times show.
    let resolved = upstream(&gate)["resolved_at"].as_u64().unwrap();
    eventually("more than the time to pass", || {
        upstream(&gate)["resolved_at"].as_u64().unwrap() >= resolved + 3
    });
    assert_eq!(gate.said("nobody has asked for "), 1, "it is at work");
    assert_eq!(upstream(&gate)["idle_seconds"], serde_json::Value::Null);
    latch.open();
    assert_eq!(client.response().status, 200);
}
