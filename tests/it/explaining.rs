//! `tidegate explain`: every fact and rule that decides about a request, told and not touched.

mod agreement;
mod malformed;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::Value;

use crate::harness::{App, Connection, Gate, PROXIED, ROOMY, eventually};

/// Clients of two tokens behind a proxy, tenants by host, and a route for each kind of limit.
fn everything() -> String {
    format!(
        "{PROXIED}limit = {{ rate = \"60/h\", burst = 2 }}\n\
         ipv6_network = {{ prefix = 48, limit = {{ rate = \"60/h\", burst = 3 }} }}\n\
         [tenant]\nfrom = \"host\"\ntier = \"strict\"\n\
         [tier.strict]\nlimit = {{ rate = \"60/h\", burst = 4 }}\n\
         [tier.roomy]\nin_flight = 1\n[tenants]\n\"gold.example\" = \"roomy\"\n\
         \"own.example\" = {{ tier = \"roomy\", limit = {{ rate = \"1/h\", burst = 6 }} }}\n\
         [known_only]\nexempt_paths = [\"/login\"]\n[connections]\ntotal = 2000\n\
         [[route]]\npath = \"/health\"\nexempt = true\nupstream = \"app\"\n\
         [[route]]\npath = \"/search\"\ncost = 2\nlimit = {{ rate = \"60/h\", burst = 2 }}\n\
         upstream = \"app\"\n\
         [[route]]\npath = \"/export\"\nlimit = {{ rate = \"60/h\", burst = 1, per = \"route\" }}\n\
         upstream = \"app\"\n\
         [[route]]\npath = \"/slow\"\nin_flight = 1\nupstream = \"app\"\n\
         [[route]]\nmethods = [\"GET\", \"OPTIONS\"]\nupstream = \"app\"\n"
    )
}

fn explained(gate: &Gate, arguments: &[&str]) -> Value {
    let verb = [&["explain", "-o", "json"], arguments].concat();
    gate.verb(&verb).json()
}

fn told(gate: &Gate, arguments: &[&str]) -> String {
    gate.verb(&[&["explain"], arguments].concat()).good()
}

#[track_caller]
fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}

/// A request as the proxy sends it for a client; the answer's status, and the reason of a refusal.
fn ask(gate: &Gate, client: &str, line: &str, fields: &[&str]) -> (u16, Option<String>) {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let answer = gate.send(format!(
        "{line} HTTP/1.1\r\n{fields}X-Forwarded-For: {client}\r\nContent-Length: 0\r\n\r\n"
    ));
    let is_ours = answer.field("content-type") == Some("application/problem+json");
    (answer.status, is_ours.then(|| answer.reason()))
}

/// A query to the admin socket as it is: status and answer.
fn raw(gate: &Gate, query: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(gate.folder.path("admin.sock")).unwrap();
    let request =
        format!("GET /v1/explain?{query} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
    // It may answer and close before it has read everything.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (
        status.unwrap_or(0),
        serde_json::from_str(body).unwrap_or_default(),
    )
}

#[test]
fn a_fresh_client_is_told_with_everything_that_it_meets() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &everything());
    let asked = [
        "192.0.2.1",
        "--host",
        "shop.example",
        "--path",
        "/search?q=1",
    ];
    let said = explained(&gate, &asked);
    assert_eq!(said["address"], "192.0.2.1");
    assert_eq!(said["client"], "192.0.2.1/32");
    assert_eq!(said["network"], Value::Null);
    assert_eq!(said["mode"]["mode"], "normal");
    assert_eq!(said["request"], "GET shop.example/search");
    assert_eq!(
        (&said["route"]["number"], &said["route"]["cost"]),
        (&2.into(), &2.into())
    );
    assert_eq!(said["tenant"]["tier"], "strict");
    assert_eq!(said["connections"]["most"], 100);
    assert_eq!(said["verdict"]["forward"], true);
    assert_eq!(
        (&said["verdict"]["reason"], &said["verdict"]["wait"]),
        (&Value::Null, &Value::Null)
    );
    let limits: Vec<(&str, &str, u64)> = said["limits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|limit| {
            let text = |key: &str| limit[key].as_str().unwrap();
            (
                text("reason"),
                text("set_in"),
                limit["left"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("route_rate", "limit of route 2, for this client", 2),
        ("client_rate", "client.limit", 2),
        ("tenant_rate", "tier.strict.limit", 4),
    ];
    assert_eq!(limits, expected);
    let said = told(&gate, &asked);
    let parts = [
        "client       192.0.2.1\n",
        "known        no\n",
        "connections  0 open of 100; of all clients 0 of 2000\n",
        "mode         normal\n",
        "request      GET shop.example/search\nroute ",
        "route        2: every host, path /search -> app; takes 2 tokens of each limit\n",
        "tenant       none that is listed, by host: shares tier strict with all such requests\n",
        "limit        client_rate      2 of 2 left, 60/h (client.limit)\n",
        "verdict      forwarded\n",
    ];
    assert_says(&said, &parts);
    assert!(!said.contains("to change it"), "{said}");
}

#[test]
fn an_exhausted_client_is_told_how_long_and_what_to_do() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &everything());
    for _ in 0..2 {
        assert_eq!(ask(&gate, "192.0.2.1", "GET /", &["Host: a"]).0, 200);
    }
    let first = explained(&gate, &["192.0.2.1"]);
    assert_eq!(first["verdict"]["forward"], false);
    assert_eq!(first["verdict"]["status"], 429);
    assert_eq!(first["verdict"]["reason"], "client_rate");
    assert_eq!(first["limits"][0]["left"], 0);
    let wait = |said: &Value| said["verdict"]["wait"].as_f64().unwrap();
    assert!(
        (50.0..=60.0).contains(&wait(&first)),
        "a token a minute: {first:#}"
    );
    assert_eq!(first["limits"][0]["wait"], first["verdict"]["wait"]);
    let second = explained(&gate, &["192.0.2.1"]);
    assert!(
        wait(&second) < wait(&first),
        "{} after {}",
        wait(&second),
        wait(&first)
    );
    let said = told(&gate, &["192.0.2.1"]);
    let parts = [
        "client_rate      0 of 2 left, 60/h (client.limit): REFUSES for another ",
        "verdict      REFUSED with 429: client_rate, for another ",
        "to change it raise client.limit and `tidegate reload`\n",
    ];
    assert_says(&said, &parts);
    // The tenant has two left: this needs two of everything, and longest of the client.
    let dear = explained(&gate, &["192.0.2.1", "--path", "/search"]);
    assert_eq!(dear["verdict"]["reason"], "client_rate");
    assert!(
        (110.0..=120.0).contains(&wait(&dear)),
        "two tokens: {dear:#}"
    );
    let said = told(&gate, &["192.0.2.1", "--path", "/search"]);
    assert_says(&said, &["REFUSES for another ", ", needs 2\n"]);
}

#[test]
fn the_wait_is_until_the_last_limit_lets_it_in() {
    let app = App::echoing_paths();
    let config = "[client]\nlimit = { rate = \"1/m\", burst = 1 }\n[[route]]\nupstream = \"app\"\n\
                  limit = { rate = \"1/h\", burst = 1, per = \"route\" }\n";
    let gate = Gate::before(&app, config);
    assert_eq!(gate.get("/").status, 200);
    let said = explained(&gate, &["127.0.0.1"]);
    assert_eq!(said["verdict"]["reason"], "client_rate");
    assert!(
        said["verdict"]["wait"].as_f64().unwrap() > 3_000.0,
        "{said:#}"
    );
}

#[test]
fn known_only_shows_who_is_known_until_when_and_what_is_open() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &everything());
    gate.verb(&[
        "known",
        "add",
        "192.0.2.0/24",
        "--for",
        "2h",
        "--reason",
        "\u{1b}office",
    ])
    .good();
    gate.verb(&["mode", "known-only", "--for", "1h", "--reason", "attack"])
        .good();
    let known = explained(&gate, &["192.0.2.1"]);
    assert_eq!(known["verdict"]["forward"], true);
    assert_eq!(known["known_by"][0]["prefix"], "192.0.2.0/24");
    let said = told(&gate, &["192.0.2.1"]);
    assert_says(
        &said,
        &[
            "known        yes: 192.0.2.0/24 from operator until 20",
            " ( office)\n",
            "known-only for another ",
            "request      GET /\n             without a host, as few clients ask: --host",
        ],
    );
    let unknown = explained(&gate, &["198.51.100.1"]);
    assert_eq!(unknown["verdict"]["reason"], "unknown_client");
    assert_eq!(unknown["verdict"]["status"], 503);
    assert_eq!(
        unknown["verdict"]["wait"],
        Value::Null,
        "no instant can be promised"
    );
    assert!(unknown["mode"]["until"].is_u64(), "{unknown:#}");
    let said = told(&gate, &["198.51.100.1"]);
    let parts = [
        "known        no\n",
        ": attack\n",
        "verdict      REFUSED with 503: unknown_client\n",
        "`tidegate known add 198.51.100.1/32 --for 1h` for this client, `tidegate mode normal`",
    ];
    assert_says(&said, &parts);
    let open = told(&gate, &["198.51.100.1", "--path", "/login/x"]);
    assert_says(
        &open,
        &[
            "a path of known_only.exempt_paths",
            "verdict      forwarded\n",
        ],
    );
}

#[test]
fn observing_forwards_and_says_what_normal_would_do() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &format!("mode = \"observe\"\n{}", everything()));
    for _ in 0..2 {
        ask(&gate, "192.0.2.1", "GET /", &["Host: a"]);
    }
    let said = explained(&gate, &["192.0.2.1"]);
    assert_eq!(said["verdict"]["forward"], true);
    assert_eq!(said["verdict"]["reason"], "client_rate");
    assert_eq!(said["verdict"]["status"], Value::Null);
    let said = told(&gate, &["192.0.2.1"]);
    let because = "forwarded, because the mode is observe; normal would refuse: client_rate, for";
    assert_says(&said, &[because]);
    let said = told(&gate, &["192.0.2.1", "--method", "PUT"]);
    assert_says(
        &said,
        &[
            "route        none matches\n",
            "verdict      REFUSED with 404: no_route\n",
        ],
    );
}

#[test]
fn a_trusted_proxy_an_ipv6_network_and_each_way_to_tell_a_tenant() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &everything());
    let proxy = explained(&gate, &["127.0.0.1"]);
    assert_eq!(proxy["speaks_for_others"], true);
    assert_says(&told(&gate, &["127.0.0.1"]), &["A TRUSTED PROXY"]);
    let wide = explained(&gate, &["2001:db8:1:2::3"]);
    assert_eq!(wide["client"], "2001:db8:1:2::/64");
    assert_eq!(wide["network"], "2001:db8:1::/48");
    assert_eq!(wide["limits"][1]["reason"], "network_rate");
    let said = told(&gate, &["2001:db8:1:2::3"]);
    let client = "client       2001:db8:1:2::3, counted as 2001:db8:1:2::/64, in the network 2001:db8:1::/48\n";
    assert_says(&said, &[client]);
    let mapped = explained(&gate, &["::ffff:192.0.2.1"]);
    assert_eq!(
        (&mapped["address"], &mapped["network"]),
        (&"192.0.2.1".into(), &Value::Null)
    );
    let listed = told(&gate, &["192.0.2.1", "--host", "gold.example"]);
    assert_says(
        &listed,
        &["tenant       gold.example, tier roomy: by host, listed by [tenants]\n"],
    );
    assert_says(
        &listed,
        &["in flight    tenant_in_flight 0 of 1 (tier.roomy.in_flight)\n"],
    );
    let own = told(&gate, &["192.0.2.1", "--host", "own.example"]);
    assert_says(
        &own,
        &[
            "tier roomy with numbers of its own",
            "6 of 6 left, 1/h (limit, its own or of tier.roomy)",
        ],
    );
    for (from, field) in [
        ("header:x-key", "X-Key: gold"),
        ("cookie:key", "Cookie: a=b; key=gold"),
    ] {
        let config = format!(
            "{ROOMY}[tenant]\nfrom = \"{from}\"\ntier = \"t\"\n[tier.t]\n[tenants]\ngold = \"t\"\n"
        );
        let gate = Gate::before(&app, &config);
        let said = explained(&gate, &["192.0.2.1", "--header", field]);
        assert_eq!(
            (&said["tenant"]["name"], &said["tenant"]["from"]),
            (&"gold".into(), &from.into())
        );
        assert_eq!(
            explained(&gate, &["192.0.2.1"])["tenant"]["name"],
            Value::Null,
            "{from}"
        );
    }
}

#[test]
fn caps_that_are_reached_are_told() {
    let (app, latch) = App::waiting_at_slow();
    let config = format!(
        "{}connections = 2\n[connections]\ntotal = 3\n",
        "[client]\n"
    );
    let route = "[[route]]\nin_flight = 1\nupstream = \"app\"\n";
    let gate = Gate::before(&app, &format!("{config}{route}"));
    let mut busy = gate.connect();
    busy.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the request to reach the app", || app.requests() == 1);
    let said = explained(&gate, &["127.0.0.1"]);
    assert_eq!(said["in_flight"][0]["used"], 1);
    assert_eq!(said["verdict"]["reason"], "route_in_flight");
    assert_eq!(said["verdict"]["wait"], Value::Null);
    assert_eq!(said["closed_at_door"], Value::Null);
    let text = told(&gate, &["127.0.0.1"]);
    assert_says(
        &text,
        &["route_in_flight  1 of 1 (in_flight of route 1): REFUSES\n"],
    );
    assert_says(
        &text,
        &["to change it raise in_flight of route 1 and `tidegate reload`\n"],
    );
    let mut second = gate.connect();
    assert_eq!(second.get("/").reason(), "route_in_flight");
    let said = explained(&gate, &["127.0.0.1"]);
    assert_eq!(
        (&said["connections"]["used"], &said["closed_at_door"]),
        (&2.into(), &"client".into())
    );
    let text = told(&gate, &["127.0.0.1"]);
    assert_says(
        &text,
        &[
            "2 open of 2; of all clients 2 of 3",
            "NEW ONES ARE CLOSED: client.connections is reached",
        ],
    );
    let mut third = Connection::open_from("127.0.0.2", gate.address);
    assert_eq!(third.get("/").reason(), "route_in_flight");
    let text = told(&gate, &["192.0.2.1"]);
    assert_says(
        &text,
        &[
            "0 open of 2; of all clients 3 of 3",
            "NEW ONES ARE CLOSED: connections.total is reached",
        ],
    );
    latch.open();
    assert_eq!(busy.response().status, 200);
    eventually("the place to be free", || {
        explained(&gate, &["127.0.0.1"])["verdict"]["forward"] == true
    });
    let text = told(&gate, &["127.0.0.1"]);
    assert_says(
        &text,
        &["verdict      forwarded; on open connections, for new ones are closed\n"],
    );
}

#[test]
fn asking_takes_nothing() {
    let app = App::echoing_paths();
    let config = "[client]\nlimit = { rate = \"1/h\", burst = 3 }\n[[route]]\nupstream = \"app\"\n\
                  in_flight = 1\nlimit = { rate = \"1/h\", burst = 4, per = \"route\" }\n";
    let gate = Gate::before(&app, config);
    for _ in 0..100 {
        let (status, said) = raw(&gate, "address=127.0.0.1");
        assert_eq!((status, &said["verdict"]["forward"]), (200, &true.into()));
        assert_eq!(
            (&said["limits"][0]["left"], &said["limits"][1]["left"]),
            (&3.into(), &4.into())
        );
    }
    assert_eq!(gate.metric("tidegate_clients_tracked"), 0.0);
    let mut client = gate.connect();
    let statuses = [(); 4].map(|()| client.get("/").status);
    assert_eq!(statuses, [200, 200, 200, 429]);
    let mut other = Connection::open_from("127.0.0.2", gate.address);
    assert_eq!([other.get("/").status, other.get("/").status], [200, 429]);
    assert_eq!(
        gate.requests("refused", "client_rate"),
        1.0,
        "nothing was accounted for"
    );
}
