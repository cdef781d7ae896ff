//! What one limit refuses costs nothing of any other.

use crate::harness::{App, Connection, Gate, PROXIED, eventually, get_as};

/// Clients of ten tokens, tenants of `tier`, and two routes: `/` and everything under `/app`.
fn config(tier: &str) -> String {
    format!(
        "{PROXIED}limit = {{ rate = \"1/h\", burst = 10 }}\n\
         [tenant]\nfrom = \"header:X-Tenant\"\ntier = \"one\"\n[tier.one]\n{tier}\n\
         [tier.roomy]\n[tenants]\ngold = \"one\"\nsilver = \"roomy\"\n\
         [[route]]\npath = \"/app\"\nupstream = \"app\"\n"
    )
}

fn request(path: &str, client: &str, tenant: &str) -> String {
    let request = get_as(client, &format!("X-Tenant: {tenant}\r\n"));
    request.replacen("GET / ", &format!("GET {path} "), 1)
}

/// How many of 20 requests of this client and tenant pass; the others are refused for this reason.
#[track_caller]
fn passing(connection: &mut Connection, client: &str, tenant: &str, reason: &str) -> usize {
    connection.passing(&vec![request("/app", client, tenant); 20], reason)
}

#[test]
fn a_client_of_an_exhausted_tenant_keeps_its_own_tokens() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &config("limit = { rate = \"1/h\", burst = 3 }"));
    let mut proxy = gate.connect();
    assert_eq!(passing(&mut proxy, "192.0.2.1", "gold", "tenant_rate"), 3);
    assert_eq!(passing(&mut proxy, "192.0.2.2", "gold", "tenant_rate"), 0);
    let left = passing(&mut proxy, "192.0.2.1", "silver", "client_rate");
    assert_eq!(left, 7, "ten, and three that were forwarded");
    let left = passing(&mut proxy, "192.0.2.2", "silver", "client_rate");
    assert_eq!(left, 10, "none was forwarded");
}

#[test]
fn a_client_that_its_own_limit_refuses_costs_the_tenant_nothing() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &config("limit = { rate = \"1/h\", burst = 15 }"));
    let mut proxy = gate.connect();
    assert_eq!(passing(&mut proxy, "192.0.2.1", "gold", "client_rate"), 10);
    assert_eq!(passing(&mut proxy, "192.0.2.1", "gold", "client_rate"), 0);
    assert_eq!(passing(&mut proxy, "192.0.2.2", "gold", "tenant_rate"), 5);
}

#[test]
fn a_tenant_with_no_place_in_flight_costs_the_client_nothing() {
    let (app, latch) = App::waiting_at_slow();
    let gate = Gate::before(
        &app,
        &config("in_flight = 1").replace("path = \"/app\"\n", ""),
    );
    let mut busy = gate.connect();
    busy.send(request("/slow", "192.0.2.9", "gold"));
    eventually("the request to reach the app", || app.requests() == 1);
    let mut proxy = gate.connect();
    assert_eq!(
        passing(&mut proxy, "192.0.2.1", "gold", "tenant_in_flight"),
        0
    );
    assert_eq!(
        passing(&mut proxy, "192.0.2.1", "silver", "client_rate"),
        10
    );
    // Both refuse it: the narrower one says so.
    let refusal = proxy.pipeline(&[request("/app", "192.0.2.1", "gold")]);
    assert_eq!(refusal[0].reason(), "client_rate");
    latch.open();
    assert_eq!(busy.response().status, 200);
}

#[test]
fn what_no_route_serves_takes_from_the_client_alone() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &config("limit = { rate = \"1/h\", burst = 12 }"));
    let mut proxy = gate.connect();
    let elsewhere = vec![request("/elsewhere", "192.0.2.1", "gold"); 6];
    for refusal in proxy.pipeline(&elsewhere) {
        assert_eq!(
            (refusal.status, refusal.reason().as_str()),
            (404, "no_route")
        );
    }
    let left = passing(&mut proxy, "192.0.2.1", "gold", "client_rate");
    assert_eq!(left, 4, "six of ten were spent on nothing");
    let reasons = proxy
        .pipeline(&elsewhere)
        .iter()
        .map(|refusal| refusal.reason())
        .collect::<Vec<_>>();
    assert_eq!(reasons, ["client_rate"; 6], "a scanner is bounded, too");
    let left = passing(&mut proxy, "192.0.2.2", "gold", "tenant_rate");
    assert_eq!(left, 8, "the tenant paid for what was forwarded");
}

#[test]
fn a_request_that_costs_more_than_is_left_leaves_the_rest_to_cheaper_ones() {
    let app = App::echoing_paths();
    let dear = "[[route]]\npath = \"/dear\"\ncost = 8\nupstream = \"app\"\n";
    let gate = Gate::before(
        &app,
        &format!("{}{dear}", config("limit = { rate = \"1/h\", burst = 9 }")),
    );
    let mut proxy = gate.connect();
    let dear = vec![request("/dear", "192.0.2.1", "gold"); 3];
    let answers = proxy.pipeline(&dear);
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 429, 429]);
    assert_eq!(passing(&mut proxy, "192.0.2.1", "silver", "client_rate"), 2);
    assert_eq!(passing(&mut proxy, "192.0.2.2", "gold", "tenant_rate"), 1);
}
