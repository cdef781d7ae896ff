//! Requests under way while their tenant moves: counted on, and no burden.

use super::{set, tiers};
use crate::harness::{App, Connection, Folder, Gate, Latch, ROOMY, eventually, with_upstream};

/// A gate whose tenants `acme` and `own` have two places and one, before an app that answers `/slow`
/// when the latch opens.
fn busy() -> (App, Gate, Latch) {
    let (app, latch) = App::waiting_at_slow();
    let folder = Folder::new();
    folder.write("tenants.txt", "own roomy in_flight=1\n");
    let text = format!(
        "{ROOMY}[tenant]\nfrom = \"host\"\ntier = \"roomy\"\nfiles = [\"tenants.txt\"]\n\
         [tier.roomy]\nin_flight = 3\n[tier.narrow]\nin_flight = 2\n[tenants]\nacme = \"narrow\"\n"
    );
    let gate = Gate::start_in(folder, &with_upstream(&[app.address], &text));
    (app, gate, latch)
}

#[test]
fn requests_under_way_do_not_keep_the_tenants_of_their_day_in_memory() {
    let (app, latch) = App::waiting_at_slow();
    let folder = Folder::new();
    let lines = (0..25_000).map(|number| format!("t{number}.example normal rate=1/h\n"));
    folder.write("tenants.txt", lines.collect::<String>());
    let files = "from = \"host\"\nfiles = [\"tenants.txt\"]\n";
    let text = tiers(&app, "other = \"normal\"").replace("from = \"host\"\n", files);
    let gate = Gate::without_spare_memory(folder, &text);
    set(&gate, "other", "generous");
    let before = gate.memory();
    let waiting: Vec<_> = (0..20)
        .map(|number| {
            let client = begin(&gate, &app, &format!("t{number}.example"));
            set(&gate, "other", ["strict", "generous"][number % 2]);
            client
        })
        .collect();
    eventually("the tenants of the past to be freed", || {
        gate.memory().saturating_sub(before) < 16 << 10
    });
    latch.open();
    for mut client in waiting {
        assert_eq!(client.response().status, 200);
    }
}

fn begin(gate: &Gate, app: &App, host: &str) -> Connection {
    let before = app.requests();
    let mut client = gate.connect();
    client.send(format!("GET /slow HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    eventually("the request to reach the app", || {
        app.requests() == before + 1
    });
    client
}

/// How a request of the tenant ends that has nothing to wait for, and why.
fn answer(gate: &Gate, host: &str) -> (u16, String) {
    let response = gate.connect().get_with("/", &[&format!("Host: {host}")]);
    let reason = match response.status {
        200 => String::new(),
        _ => response.reason(),
    };
    (response.status, reason)
}

#[test]
fn requests_in_flight_are_capped_by_a_tenant_s_own_number() {
    let (app, gate, latch) = busy();
    let full = (429, "tenant_in_flight".to_owned());
    let mut waiting = vec![begin(&gate, &app, "own")];
    assert_eq!(answer(&gate, "own"), full, "its own cap is one");
    waiting.push(begin(&gate, &app, "acme"));
    waiting.push(begin(&gate, &app, "acme"));
    assert_eq!(answer(&gate, "acme"), full, "its tier's cap is two");
    latch.open();
    for mut client in waiting {
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn requests_in_flight_are_counted_on_across_a_move() {
    let (app, gate, latch) = busy();
    let (free, full) = ((200, String::new()), (429, "tenant_in_flight".to_owned()));
    let mut waiting = vec![begin(&gate, &app, "acme"), begin(&gate, &app, "acme")];
    assert_eq!(answer(&gate, "acme"), full);
    set(&gate, "acme", "roomy");
    assert_eq!(answer(&gate, "acme"), free, "two of three are taken");
    waiting.push(begin(&gate, &app, "acme"));
    assert_eq!(answer(&gate, "acme"), full);
    set(&gate, "acme", "narrow");
    assert_eq!(answer(&gate, "acme"), full, "three of two are taken");
    waiting.push(begin(&gate, &app, "own"));
    assert_eq!(answer(&gate, "own"), full);
    set(&gate, "own", "roomy");
    assert_eq!(answer(&gate, "own"), free, "the tier's cap, not its own");
    latch.open();
    for mut client in waiting {
        assert_eq!(client.response().status, 200, "a move ends no request");
    }
    eventually("the places to be given back", || {
        answer(&gate, "acme") == free
    });
}
