//! More clients than the table of buckets holds: nobody gets less than its budget, what is given too
//! much is counted and bounded.

use crate::harness::{App, Gate, Load, PROXIED, client, eventually, get_as};

const BURST: u32 = 2;
/// The least there may be.
const TRACKED: u32 = 1_000;
/// Buckets that the table has room for at the very best.
const ROOM: u32 = 4 * TRACKED;
/// Clients of the flood.
const SPOOFED: u32 = 5 * TRACKED;

fn evictions(gate: &Gate) -> f64 {
    gate.metric("tidegate_client_evictions_total")
}

#[test]
fn nobody_gets_less_than_its_budget_when_the_table_is_too_small_for_a_flood() {
    let app = App::echoing_paths();
    let gate = Gate::before(
        &app,
        &format!(
            "{PROXIED}max_tracked = {TRACKED}\nlimit = {{ rate = \"1/h\", burst = {BURST} }}\n"
        ),
    );
    // The clients ask in turn, so that each one's bucket is the oldest when it is due again.
    let flood = Load::flood(&gate, |number| get_as(client(number as u32 % SPOOFED), ""));
    eventually("buckets to make room", || evictions(&gate) > 0.0);
    // In a full table a newcomer is taken for another client with a probability of 4.8e-7, so that
    // this many would fail in one run of many thousands.
    let honest: Vec<String> = (0..20)
        .map(|number| get_as(client(SPOOFED + number), ""))
        .collect();
    let mut proxy = gate.connect();
    for round in 1..=BURST {
        for response in proxy.pipeline(&honest) {
            assert_eq!(
                response.status, 200,
                "request {round} of a budget of {BURST}"
            );
        }
        flood.wait_for(u64::from(SPOOFED));
    }
    // Each of the flood's clients has asked for its budget by now, and asks once more.
    flood.wait_for(u64::from(SPOOFED));
    let tally = flood.stop();
    assert_eq!(tally.other_than(200), tally.of(429), "{tally:?}");
    let budgets = f64::from(BURST * SPOOFED);
    let excess = tally.of(200) as f64 - budgets;
    let most = f64::from(BURST) * evictions(&gate);
    assert!(excess > 0.0, "the table was large enough: {tally:?}");
    assert!(
        excess <= most,
        "{excess} too many passed, not {most} at most: {tally:?}"
    );
    let tracked = gate.metric("tidegate_clients_tracked");
    assert!(tracked <= f64::from(ROOM), "{tracked} buckets");
}
