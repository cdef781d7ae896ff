//! Blocks: at once, in every mode, until their end, across restarts, and not by accident.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{
    App, Connection, Folder, Gate, Output, PROXIED, ROOMY, eventually, with_upstream,
};

const CLIENT: &str = "127.0.0.9";

fn gate() -> (App, Gate) {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, ROOMY);
    (app, gate)
}

/// This machine's addresses are all that a test has, so it always has to insist.
fn block(gate: &Gate, prefix: &str, more: &[&str]) -> Output {
    gate.verb(&[&["block", "add", prefix, "--force"], more].concat())
}

fn is_served(gate: &Gate, source: &str) -> bool {
    let connection = Connection::try_open_from(source, gate.address);
    connection.is_ok_and(|mut client| {
        let _ = client.try_send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        client
            .try_response()
            .is_some_and(|answer| answer.status == 200)
    })
}

fn closed(gate: &Gate) -> f64 {
    gate.metric("tidegate_connections_total{outcome=\"refused\",reason=\"blocked\"}")
}

#[test]
fn a_blocked_client_is_closed_at_the_door_and_others_are_not() {
    let (app, gate) = gate();
    let said = block(&gate, CLIENT, &["--for", "10m", "--reason", "scraper"]).good();
    assert!(said.starts_with("127.0.0.9/32 is blocked for "), "{said}");
    assert!(!is_served(&gate, CLIENT));
    assert_eq!((app.requests(), closed(&gate)), (0, 1.0));
    assert!(is_served(&gate, "127.0.0.8"));
    assert_eq!(gate.metric("tidegate_blocks"), 1.0);
    let status = gate.verb(&["status"]).good();
    for part in [
        "blocked      1 prefixes",
        "127.0.0.9/32 until ",
        ": scraper",
    ] {
        assert!(status.contains(part), "no {part:?} in:\n{status}");
    }
    let said = gate.verb(&["block", "remove", CLIENT]).good();
    assert_eq!(said, "127.0.0.9/32 is no longer blocked\n");
    assert!(is_served(&gate, CLIENT));
    assert_eq!(gate.metric("tidegate_blocks"), 0.0);
}

#[test]
fn an_open_connection_ends_with_its_next_request() {
    let (app, gate) = gate();
    let mut open = Connection::open_from(CLIENT, gate.address);
    let mut other = gate.connect();
    assert_eq!([open.get("/").status, other.get("/").status], [200, 200]);
    block(&gate, "127.0.0.8/30", &[]).good();
    let refusal = open.get("/");
    assert_eq!(
        (refusal.status, refusal.reason().as_str()),
        (403, "blocked")
    );
    assert!(refusal.closes() && open.is_closed(), "{refusal:?}");
    assert_eq!(refusal.field("retry-after"), None);
    assert_eq!(other.get("/").status, 200);
    assert_eq!(app.requests(), 3);
    assert_eq!(gate.requests("refused", "blocked"), 1.0);
}

#[test]
fn a_block_holds_in_every_mode() {
    let (_app, gate) = gate();
    gate.verb(&["known", "add", CLIENT]).good();
    let mut open = Connection::open_from(CLIENT, gate.address);
    assert_eq!(open.get("/").status, 200);
    gate.verb(&["mode", "observe"]).good();
    block(&gate, CLIENT, &[]).good();
    assert!(!is_served(&gate, CLIENT), "in observe");
    assert_eq!(open.get("/").status, 403, "in observe");
    let would = "tidegate_would_refuse_total{mode=\"normal\",reason=\"blocked\"}";
    assert_eq!(gate.metric(would), 0.0, "it was refused in earnest");
    gate.verb(&["mode", "known-only"]).good();
    assert!(!is_served(&gate, CLIENT), "though it is known");
}

#[test]
fn a_client_behind_a_trusted_proxy_is_told_and_the_proxy_stays_connected() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, PROXIED);
    gate.verb(&["block", "add", "198.51.100.0/24"]).good();
    let mut proxy = gate.connect();
    for (client, status) in [
        ("192.0.2.1", 200),
        ("198.51.100.7", 403),
        ("192.0.2.1", 200),
    ] {
        let answer = proxy.get_with("/", &[&format!("X-Forwarded-For: {client}")]);
        assert_eq!(
            (answer.status, answer.closes()),
            (status, false),
            "{client}"
        );
    }
    block(&gate, "127.0.0.1", &[]).good();
    let answer = proxy.get_with("/", &["X-Forwarded-For: 192.0.2.1"]);
    assert_eq!(
        (answer.status, answer.closes()),
        (403, true),
        "the proxy itself was blocked"
    );
}

#[test]
fn a_block_ends_by_itself_and_at_most_a_second_late() {
    let (_app, gate) = gate();
    let started = Instant::now();
    block(&gate, CLIENT, &["--for", "1s"]).good();
    assert!(!is_served(&gate, CLIENT));
    eventually("the block to end", || is_served(&gate, CLIENT));
    assert!(started.elapsed() < Duration::from_secs(5), "late");
    eventually("its end to be told", || {
        gate.has_said("the block of 127.0.0.9/32 has ended")
    });
    assert_eq!(gate.metric("tidegate_blocks"), 0.0);
    let saved = || fs::read_to_string(gate.folder.path("state/blocks.json")).unwrap();
    eventually("the file to forget it", || !saved().contains("127.0.0.9"));
}

#[test]
fn a_block_lasts_an_hour_unless_it_is_said_and_never_longer_than_a_month() {
    let (_app, gate) = gate();
    let now = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.unwrap().as_secs()
    };
    for (more, seconds) in [(&[][..], 3600), (&["--for", "30d"], 30 * 86_400)] {
        let entry = gate.verb(&[&["-o", "json", "block", "add", "192.0.2.7"], more].concat());
        let left = entry.json()["until"].as_u64().unwrap() - now();
        assert!(
            (seconds - 20..=seconds).contains(&left),
            "{left} for {more:?}"
        );
    }
    let output = gate.verb(&["block", "add", "192.0.2.7", "--for", "31d"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("at most 30d"), "{output:?}");
    let list = gate.verb(&["-o", "json", "block", "list"]).json();
    assert_eq!(list["blocks"], 1, "the last word counts: {list}");
}

#[test]
fn what_looks_like_a_mistake_has_to_be_insisted_on() {
    let app = App::echoing_paths();
    let config = "[client]\ntrusted_proxies = [\"192.0.2.0/28\"]\naddress_from = \"forwarded\"\n";
    let gate = Gate::before(&app, config);
    for (prefix, why) in [
        ("127.0.0.9", "this machine's own address"),
        ("127.0.0.0/8", "this machine's own address"),
        ("::1", "this machine's own address"),
        ("::/0", "this machine's own address"),
        ("192.0.2.0/24", "192.0.2.0/28 of client.trusted_proxies"),
        ("192.0.2.3", "192.0.2.0/28 of client.trusted_proxies"),
        ("10.0.0.0/7", "shorter than /8"),
        ("2000::/3", "shorter than /16"),
    ] {
        let output = gate.verb(&["block", "add", prefix]);
        assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{prefix}");
        for part in [why, "nothing was blocked", "--force"] {
            assert!(output.stderr.contains(part), "{prefix}: {}", output.stderr);
        }
        assert_eq!(gate.metric("tidegate_blocks"), 0.0, "{prefix}");
    }
    for prefix in ["10.0.0.0/8", "2001::/16", "192.0.2.16"] {
        gate.verb(&["block", "add", prefix]).good();
    }
    block(&gate, "192.0.2.3", &[]).good();
}

#[test]
fn a_known_client_is_blocked_and_the_operator_told() {
    let (_app, gate) = gate();
    gate.verb(&["known", "add", "192.0.2.7"]).good();
    let output = gate.verb(&["block", "add", "192.0.2.7"]);
    assert!(
        output.stderr.contains("192.0.2.7/32 is a known customer"),
        "{output:?}"
    );
    let output = gate.verb(&["block", "add", "192.0.2.0/24"]);
    assert!(
        output.stderr.contains("holds known customers"),
        "{output:?}"
    );
    let output = gate.verb(&["block", "add", "198.51.100.7"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
}

#[test]
fn blocks_are_listed_and_explained() {
    let (_app, gate) = gate();
    gate.verb(&[
        "block",
        "add",
        "192.0.2.0/24",
        "--reason",
        "a\u{1b}[31mflood",
    ])
    .good();
    let list = gate.verb(&["block", "list", "192.0.2.7"]).good();
    assert!(list.starts_with("192.0.2.0/24 "), "{list}");
    assert!(list.contains(": a [31mflood"), "{list:?}");
    let output = gate.verb(&["block", "list", "198.51.100.1"]);
    assert!(
        output.stderr.contains("198.51.100.1 is not blocked"),
        "{output:?}"
    );
    let said = gate.verb(&["explain", "192.0.2.7"]).good();
    for part in [
        "BLOCKED in 192.0.2.0/24 until ",
        "NEW ONES ARE CLOSED: blocked",
        "REFUSED with 403: blocked",
        "`tidegate block remove 192.0.2.0/24`",
    ] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
    let output = gate.verb(&["block", "remove", "192.0.2.7"]);
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("it lies in 192.0.2.0/24"),
        "{output:?}"
    );
    let long = "x".repeat(257);
    for verb in ["block", "known"] {
        let output = gate.verb(&[verb, "add", "192.0.2.9", "--reason", &long]);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stderr.contains("at most 256 bytes"), "{output:?}");
    }
    let output = gate.verb(&["block", "add", "example.com"]);
    assert!(output.stderr.contains("such as 192.0.2.7"), "{output:?}");
}

#[test]
fn a_crash_keeps_blocks_with_the_time_that_is_left() {
    let (app, gate) = gate();
    block(&gate, CLIENT, &["--for", "1h", "--reason", "scraper"]).good();
    gate.verb(&["block", "add", "192.0.2.7", "--for", "1s"])
        .good();
    let listed =
        |gate: &Gate| gate.verb(&["-o", "json", "block", "list"]).json()["entries"].clone();
    let before = listed(&gate);
    let folder = gate.kill();
    thread::sleep(Duration::from_millis(1100));
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], ROOMY));
    assert!(!is_served(&gate, CLIENT));
    assert_eq!(listed(&gate)[0], before[0]);
    assert_eq!(
        gate.metric("tidegate_blocks"),
        1.0,
        "the other one ended meanwhile"
    );
}

#[test]
fn a_file_that_was_cut_is_set_aside_and_the_gate_starts() {
    let (app, gate) = gate();
    block(&gate, CLIENT, &[]).good();
    let mut folder = gate.kill();
    let path = folder.path("state/blocks.json");
    let whole = fs::read(&path).unwrap();
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        fs::write(folder.path("state/blocks.json"), &whole[..length]).unwrap();
        let gate = Gate::start_in(folder, &with_upstream(&[app.address], ROOMY));
        gate.says("blocks.json: damaged");
        assert!(gate.folder.path("state/blocks.damaged").exists());
        assert!(is_served(&gate, CLIENT), "cut at {length}");
        block(&gate, CLIENT, &[]).good();
        assert!(!is_served(&gate, CLIENT));
        folder = gate.kill();
    }
}

#[test]
fn a_block_without_an_end_in_the_file_gets_one() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    fs::create_dir(folder.path("state")).unwrap();
    folder.write("state/blocks.json", "[{\"prefix\":\"127.0.0.9/32\"}]");
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], ROOMY));
    assert!(!is_served(&gate, CLIENT));
    let list = gate.verb(&["-o", "json", "block", "list"]).json();
    assert!(list["entries"][0]["until"].is_u64(), "{list}");
}

#[test]
fn a_hundred_thousand_blocks_are_all_there_may_be() {
    let app = App::echoing_paths();
    let folder = Folder::new();
    fs::create_dir(folder.path("state")).unwrap();
    let until = 4_000_000_000_u64;
    let entries: Vec<String> = (0..100_000_u32)
        .map(|number| {
            let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number);
            format!("{{\"prefix\":\"{address}/32\",\"until\":{until}}}")
        })
        .collect();
    folder.write("state/blocks.json", format!("[{}]", entries.join(",")));
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], ROOMY));
    assert_eq!(gate.metric("tidegate_blocks"), 100_000.0);
    assert!(is_served(&gate, CLIENT));
    let output = block(&gate, CLIENT, &[]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stderr.contains("100000 entries were added already"),
        "{output:?}"
    );
    gate.verb(&["block", "remove", "10.1.0.0"]).good();
    block(&gate, CLIENT, &[]).good();
    assert!(!is_served(&gate, CLIENT));
}

#[test]
fn who_blocks_at_the_same_time_blocks_both() {
    let (_app, gate) = gate();
    thread::scope(|scope| {
        for number in 0..8 {
            let gate = &gate;
            scope.spawn(move || {
                gate.verb(&["block", "add", &format!("192.0.2.{number}")])
                    .good();
            });
        }
        scope.spawn(|| block(&gate, CLIENT, &[]).good());
    });
    assert_eq!(gate.metric("tidegate_blocks"), 9.0);
    assert!(!is_served(&gate, CLIENT));
    let saved = fs::read_to_string(gate.folder.path("state/blocks.json")).unwrap();
    let saved: serde_json::Value = serde_json::from_str(&saved).unwrap();
    assert_eq!(saved.as_array().unwrap().len(), 9, "{saved}");
}
