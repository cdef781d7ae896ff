//! IPv6 networks: all clients of one share a budget, so that a /48 is not 65,536 clients.

use crate::harness::{App, Connection, Gate, PROXIED, get_as, with_upstream};

/// Clients of four tokens in networks of `prefix` bits with ten.
fn networks(prefix: u8) -> String {
    format!(
        "{PROXIED}limit = {{ rate = \"1/h\", burst = 4 }}\n\
         ipv6_network = {{ prefix = {prefix}, limit = {{ rate = \"1/h\", burst = 10 }} }}\n"
    )
}

fn before(app: &App) -> (Gate, Connection) {
    let gate = Gate::before(app, &networks(48));
    let client = gate.connect();
    (gate, client)
}

/// How many of so many requests pass, a client each: `made` gives the first, second ... address.
#[track_caller]
fn passing(
    client: &mut Connection,
    count: u32,
    made: impl Fn(u32) -> String,
    reason: &str,
) -> usize {
    let requests: Vec<String> = (0..count).map(|number| get_as(made(number), "")).collect();
    client.passing(&requests, reason)
}

#[test]
fn many_clients_of_one_network_share_its_budget_and_another_network_has_its_own() {
    let app = App::echoing_paths();
    let (gate, mut client) = before(&app);
    for network in ["2001:db8:1", "2001:db8:2", "2001:db8:ffff"] {
        let subnet = |number: u32| format!("{network}:{:x}::1", number * 311);
        assert_eq!(
            passing(&mut client, 200, subnet, "network_rate"),
            10,
            "{network}"
        );
    }
    assert_eq!(app.requests(), 30);
    assert_eq!(gate.requests("refused", "network_rate"), 3.0 * 190.0);
    client.send(get_as("2001:db8:1:abcd::1", ""));
    let refusal = client.response();
    assert_eq!(
        refusal.field("ratelimit-policy"),
        Some("\"network\";q=10;w=36000")
    );
    let again: u64 = refusal.field("retry-after").unwrap().parse().unwrap();
    assert!((3_590..=3_700).contains(&again), "Retry-After: {again}");
}

#[test]
fn one_client_of_a_network_is_bounded_by_its_own_limit_and_leaves_the_rest_to_others() {
    let app = App::echoing_paths();
    let (_gate, mut client) = before(&app);
    let one = |number: u32| format!("2001:db8:1:1:{number:x}::1");
    assert_eq!(passing(&mut client, 50, one, "client_rate"), 4, "one /64");
    let others = |number: u32| format!("2001:db8:1:{:x}::1", number + 2);
    let passed = passing(&mut client, 50, others, "network_rate");
    assert_eq!(
        passed, 6,
        "what the one was refused costs its network nothing"
    );
}

#[test]
fn a_client_of_an_exhausted_network_keeps_its_own_tokens() {
    let app = App::echoing_paths();
    let (gate, mut client) = before(&app);
    let others = |number: u32| format!("2001:db8:1:{:x}::1", number + 2);
    assert_eq!(passing(&mut client, 12, others, "network_rate"), 10);
    let one = |_| "2001:db8:1:1::1".to_owned();
    assert_eq!(passing(&mut client, 20, one, "network_rate"), 0);
    let wide = networks(48).replace("burst = 10", "burst = 100");
    gate.folder.configure(&with_upstream(&[app.address], &wide));
    gate.verb(&["reload"]).good();
    assert_eq!(passing(&mut client, 20, one, "client_rate"), 4);
}

#[test]
fn ipv4_clients_have_no_network_however_they_are_written() {
    let app = App::echoing_paths();
    let (_gate, mut client) = before(&app);
    let plain = |number: u32| format!("192.0.2.{number}");
    assert_eq!(passing(&mut client, 50, plain, "network_rate"), 50);
    let mapped = |number: u32| format!("::ffff:198.51.100.{number}");
    assert_eq!(passing(&mut client, 50, mapped, "network_rate"), 50);
    let again = |_| "::ffff:192.0.2.7".to_owned();
    assert_eq!(
        passing(&mut client, 8, again, "client_rate"),
        3,
        "192.0.2.7 has had one"
    );
}

#[test]
fn a_reload_changes_what_a_network_is() {
    let app = App::echoing_paths();
    let (gate, mut client) = before(&app);
    let of = |second: u32| move |number: u32| format!("2001:db8:{second:x}:{number:x}::1");
    assert_eq!(passing(&mut client, 20, of(0), "network_rate"), 10);
    let change = |text: &str| {
        gate.folder.configure(&with_upstream(&[app.address], text));
        gate.verb(&["reload"]).good();
    };
    change(&networks(32));
    let spread = |number: u32| format!("2001:db8:{:x}::1", number + 1);
    let passed = passing(&mut client, 30, spread, "network_rate");
    assert_eq!(passed, 10, "one budget for the /32, which nobody has used");
    change(&networks(48));
    assert_eq!(
        passing(&mut client, 8, of(0), "network_rate"),
        0,
        "not forgotten"
    );
    change(&format!(
        "{PROXIED}limit = {{ rate = \"1/h\", burst = 4 }}\n"
    ));
    let fresh = |number: u32| format!("2001:db8:0:{:x}::1", number + 100);
    assert_eq!(
        passing(&mut client, 30, fresh, "network_rate"),
        30,
        "no such limit"
    );
}
