//! Requests of a route that are under way at a time.

use std::io::{Read, Write};

use super::{begin, from, reload, routed};
use crate::harness::{App, Gate, Latch, Reply, Response, eventually, read_head};

/// A gate with two places on `/slow`, and an app that answers there when the latch opens.
fn two_places() -> (App, Gate, Latch) {
    let (app, latch) = App::waiting_at_slow();
    let routes = routed(&["path = \"/slow\"\nin_flight = 2"]);
    let gate = Gate::before(&app, &routes);
    (app, gate, latch)
}

/// To the route with places, at a path that the app answers at once.
fn ask(gate: &Gate) -> Response {
    gate.get("/slow/not")
}

#[test]
fn a_route_has_so_many_requests_in_flight() {
    let (app, gate, latch) = two_places();
    let mut busy = ["127.0.0.1", "127.0.0.2"].map(|source| begin(&gate, &app, source));
    let refusal = ask(&gate);
    let told = (refusal.status, refusal.reason());
    assert_eq!(told, (429, "route_in_flight".to_owned()));
    let again: u64 = refusal.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&again), "Retry-After: {again}");
    assert_eq!(
        refusal.field("ratelimit"),
        None,
        "there is no quota to tell"
    );
    assert_eq!(gate.get("/other").status, 200, "another route");
    // The places outlive the policy that gave them.
    reload(
        &gate,
        &app,
        &routed(&["path = \"/new\"", "path = \"/slow\"\nin_flight = 3"]),
    );
    let third = begin(&gate, &app, "127.0.0.3");
    assert_eq!(ask(&gate).status, 429, "three places, all taken");
    latch.open();
    for client in busy.iter_mut().chain(&mut [third]) {
        assert_eq!(client.response().status, 200);
    }
    eventually("the places to be given back", || ask(&gate).status == 200);
}

#[test]
fn a_place_of_a_route_is_given_back_when_the_client_goes_away() {
    let (app, gate, latch) = two_places();
    let busy = ["127.0.0.1", "127.0.0.2"].map(|source| begin(&gate, &app, source));
    assert_eq!(ask(&gate).status, 429);
    drop(busy);
    eventually("the places to be given back", || ask(&gate).status == 200);
    latch.open();
}

#[test]
fn a_tunnel_holds_its_place_until_it_ends() {
    let app = App::accepting(|mut stream| {
        read_head(&mut stream);
        let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                         Upgrade: websocket\r\n\r\n";
        let _ = stream.write_all(switching.as_bytes());
        let _ = stream.read(&mut [0]);
    });
    let gate = Gate::before(&app, &routed(&["path = \"/slow\"\nin_flight = 1"]));
    let handshake = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let open = || {
        let mut client = gate.connect();
        let status = client.get_with("/slow", &handshake).status;
        (client, status)
    };
    let (tunnel, status) = open();
    assert_eq!(status, 101);
    assert_eq!(open().1, 429, "the tunnel has the only place");
    drop(tunnel);
    eventually("the place to be given back", || open().1 == 101);
}

#[test]
fn an_exempt_route_takes_no_place_of_a_tenant() {
    let (app, latch) = App::waiting_at_slow();
    let tenants = "[tenant]\nfrom = \"host\"\ntier = \"all\"\n[tier.all]\nin_flight = 1\n";
    let routes = routed(&["path = \"/slow\"\nexempt = true\nin_flight = 2"]);
    let gate = Gate::before(&app, &format!("{routes}{tenants}"));
    let mut busy = begin(&gate, &app, "127.0.0.1");
    assert_eq!(gate.get("/other").status, 200, "the tenant's place is free");
    let _second = begin(&gate, &app, "127.0.0.1");
    assert_eq!(ask(&gate).reason(), "route_in_flight", "its own cap holds");
    latch.open();
    assert_eq!(busy.response().status, 200);
}

#[test]
fn a_place_of_a_route_is_given_back_when_the_app_fails() {
    let app = App::answering(|_| Reply::Raw(b"nonsense\r\n\r\n".into()));
    let gate = Gate::before(&app, &routed(&["path = \"/slow\"\nin_flight = 1"]));
    for _ in 0..5 {
        eventually("the place to be given back", || ask(&gate).status == 502);
    }
}

#[test]
fn a_place_of_a_route_is_not_kept_by_what_another_limit_refuses() {
    let (app, latch) = App::waiting_at_slow();
    let route = "path = \"/slow\"\nin_flight = 1\nlimit = { rate = \"1/h\", burst = 1 }";
    let gate = Gate::before(&app, &routed(&[route]));
    assert_eq!(ask(&gate).status, 200);
    for _ in 0..3 {
        assert_eq!(ask(&gate).reason(), "route_rate");
    }
    eventually("the one place to be free", || {
        from("127.0.0.2", &gate).get("/slow/not").status == 200
    });
    latch.open();
}
