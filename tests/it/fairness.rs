//! Many clients at once: each has its own budget, whoever floods.

use std::thread;

use crate::harness::{App, Connection, Gate, Load, PROXIED, client, eventually, get_as};

/// What comes back in an hour is nothing while a test runs.
const THREE: &str = "limit = { rate = \"1/h\", burst = 3 }\n";

/// Two more than its budget.
const ASKED: usize = 5;

/// Number of the client that floods: no other one has it.
const FLOODER: u32 = 100_000;

/// A flood of one client's requests, over its own connection of the proxy.
fn flooding(gate: &Gate) -> Load {
    let load = Load::flood(gate, |_| get_as(client(FLOODER), ""));
    load.wait_for(100);
    load
}

/// All outcomes are `forwarded` and `refused` ones, this many for this reason, and nobody's budget
/// was forgotten for want of room.
fn assert_adds_up(app: &App, gate: &Gate, forwarded: usize, refused: usize, reason: &str) {
    eventually("the outcomes to be counted", || {
        gate.requests("forwarded", "none") == forwarded as f64
    });
    assert_eq!(gate.requests("refused", reason), refused as f64);
    let told = &gate.status()["requests"];
    assert_eq!(told["forwarded"], forwarded, "{told}");
    assert_eq!(told["refused"], refused, "{told}");
    assert_eq!(told["failed"], 0, "{told}");
    assert_eq!(app.requests(), forwarded as u64);
    assert_eq!(gate.metric("tidegate_client_evictions_total"), 0.0);
}

/// Ends a flood that must have got its own budget of `burst` and nothing but refusals beside it; gives
/// how many those were.
fn refused_of(flood: Load, burst: u64) -> usize {
    let tally = flood.stop();
    assert_eq!(tally.of(200), burst, "the flood gets its own: {tally:?}");
    assert_eq!(tally.other_than(200), tally.of(429), "{tally:?}");
    tally.of(429) as usize
}

#[test]
fn each_of_ten_thousand_clients_has_its_own_budget_beside_a_flood() {
    const CLIENTS: u32 = 10_000;
    const CONNECTIONS: u32 = 4;
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &format!("{PROXIED}{THREE}"));
    let flood = flooding(&gate);
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let mut proxy = gate.connect();
            scope.spawn(move || {
                let mine = (connection..CLIENTS).step_by(CONNECTIONS as usize);
                let round: Vec<String> = mine.map(|number| get_as(client(number), "")).collect();
                // All clients ask once, then all of them again: each has others between its own.
                for number in 0..ASKED {
                    let responses = proxy.pipeline(&round);
                    let expected = if number < 3 { 200 } else { 429 };
                    for (request, response) in round.iter().zip(responses) {
                        assert_eq!(response.status, expected, "number {number} of {request}");
                    }
                }
            });
        }
    });
    let refused = refused_of(flood, 3);
    let all = CLIENTS as usize;
    assert_adds_up(&app, &gate, 3 * all + 3, 2 * all + refused, "client_rate");
    let tracked = gate.metric("tidegate_clients_tracked");
    assert_eq!(tracked, f64::from(CLIENTS + 1), "one bucket for each");
}

#[test]
fn each_of_hundreds_of_peers_has_its_own_budget_beside_a_flood() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &format!("[client]\n{THREE}"));
    // Nobody is trusted here: that all of them claim to be one client changes nothing.
    let request = || get_as("192.0.2.1", "");
    let flood = Load::flood(&gate, move |_| request());
    flood.wait_for(100);
    let sources: Vec<String> = (0..400)
        .map(|number| format!("127.1.{}.{}", number / 200, number % 200 + 1))
        .collect();
    for source in &sources {
        let mut peer = Connection::open_from(source, gate.address);
        let passed = peer.passing(&vec![request(); ASKED], "client_rate");
        assert_eq!(passed, 3, "{source}");
    }
    for source in &sources {
        let mut peer = Connection::open_from(source, gate.address);
        assert_eq!(peer.get("/").status, 429, "{source} came back");
    }
    let refused = refused_of(flood, 3);
    assert_adds_up(&app, &gate, 3 * 400 + 3, 3 * 400 + refused, "client_rate");
}

#[test]
fn a_client_on_many_connections_at_once_has_one_budget() {
    const CLIENTS: usize = 200;
    const CONNECTIONS: usize = 8;
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &format!("{PROXIED}{THREE}"));
    let flood = flooding(&gate);
    let requests: Vec<String> = (0..CLIENTS as u32)
        .map(|number| get_as(client(number), ""))
        .collect();
    let mut passed = vec![0; CLIENTS];
    thread::scope(|scope| {
        let ask = |_| {
            let mut proxy = gate.connect();
            let requests = &requests;
            scope.spawn(move || [0; 2].map(|_| proxy.pipeline(requests)))
        };
        let asking: Vec<_> = (0..CONNECTIONS).map(ask).collect();
        for rounds in asking {
            for round in rounds.join().expect("every request is answered") {
                for (passed, response) in passed.iter_mut().zip(round) {
                    assert!(matches!(response.status, 200 | 429), "{response:?}");
                    *passed += usize::from(response.status == 200);
                }
            }
        }
    });
    assert_eq!(passed, vec![3; CLIENTS]);
    let refused = refused_of(flood, 3) + (2 * CONNECTIONS - 3) * CLIENTS;
    assert_adds_up(&app, &gate, 3 * CLIENTS + 3, refused, "client_rate");
}

/// Tenants by `from`: two that are listed, with these requests each and clients that hardly are
/// limited themselves.
fn tenants(from: &str, client_burst: u32, burst: u32) -> String {
    format!(
        "{PROXIED}limit = {{ rate = \"1/h\", burst = {client_burst} }}\n\
         [tenant]\nfrom = \"{from}\"\ntier = \"all\"\n\
         [tier.all]\nlimit = {{ rate = \"1/h\", burst = {burst} }}\n\
         [tenants]\nloud = \"all\"\nquiet = \"all\"\n"
    )
}

#[test]
fn a_tenant_has_its_own_budget_while_another_one_is_flooded() {
    for (from, field) in [("host", "Host"), ("header:X-Api-Key", "X-Api-Key")] {
        let app = App::echoing_paths();
        let gate = Gate::before(&app, &tenants(from, 200, 50));
        // Each of its requests comes from the next of all clients there are.
        let loud = format!("{field}: loud\r\n");
        let flood = Load::flood(&gate, move |number| get_as(client(number as u32), &loud));
        flood.wait_for(200);
        let mut proxy = gate.connect();
        let quiet = |number| get_as(client(number), &format!("{field}: quiet\r\n"));
        // Some of the clients are among those that flood.
        let mut left = 50;
        for some in 0..7 {
            let requests: Vec<_> = (some * 10..some * 10 + 10).map(quiet).collect();
            let passed = proxy.passing(&requests, "tenant_rate");
            assert_eq!(passed, left.min(10), "{from}: with {left} left");
            left -= passed;
            flood.wait_for(50);
        }
        let refused = refused_of(flood, 50) + 20;
        assert_adds_up(&app, &gate, 100, refused, "tenant_rate");
    }
}

#[test]
fn a_client_that_floods_its_tenant_leaves_what_is_not_its_own_to_others() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &tenants("host", 5, 50));
    let flood = Load::flood(&gate, |_| get_as(client(FLOODER), "Host: loud\r\n"));
    flood.wait_for(200);
    let mut proxy = gate.connect();
    for number in 0..9 {
        let requests = vec![get_as(client(number), "Host: loud\r\n"); 5];
        let passed = proxy.passing(&requests, "client_rate");
        assert_eq!(passed, 5, "client {number} of the flooded tenant");
    }
    let late = [get_as(client(9), "Host: loud\r\n")];
    assert_eq!(proxy.passing(&late, "tenant_rate"), 0, "50 are spent");
    let refused = refused_of(flood, 5);
    assert_eq!(gate.requests("refused", "client_rate"), refused as f64);
    assert_eq!(app.requests(), 50);
}
