//! What the app and the client get to see of each other's fields.

use crate::harness::{App, Gate, Reply, Request};

const TRUSTING: &str = "[client]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";

/// What the app got of a GET with these fields.
fn seen(config: &str, fields: &[&str]) -> Request {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, config);
    let response = gate.connect().get_with("/", fields);
    assert_eq!(response.status, 200, "{response:?}");
    app.last()
}

#[test]
fn what_an_untrusted_client_says_of_itself_is_replaced() {
    let seen = seen(
        "",
        &[
            "Host: shop.example",
            "X-Forwarded-For: 203.0.113.9",
            "X-Forwarded-For: 203.0.113.10",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: bank.example",
        ],
    );
    assert_eq!(seen.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(
        seen.field("x-forwarded-host").as_deref(),
        Some("shop.example")
    );
}

#[test]
fn what_a_trusted_proxy_says_is_continued() {
    let seen = seen(
        TRUSTING,
        &[
            "X-Forwarded-For: 203.0.113.9",
            "X-Forwarded-For: 203.0.113.10, 203.0.113.11",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: bank.example",
            "Forwarded: for=203.0.113.9",
            "X-Real-IP: 203.0.113.9",
        ],
    );
    for (name, value) in [
        (
            "x-forwarded-for",
            "203.0.113.9, 203.0.113.10, 203.0.113.11, 127.0.0.1",
        ),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "bank.example"),
        ("forwarded", "for=203.0.113.9"),
        ("x-real-ip", "203.0.113.9"),
    ] {
        assert_eq!(seen.field(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn a_trusted_proxy_that_says_nothing_is_completed() {
    let seen = seen(TRUSTING, &["Host: shop.example"]);
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "shop.example"),
    ] {
        assert_eq!(seen.field(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn other_claims_of_an_untrusted_client_are_removed() {
    let claims = [
        "Forwarded: for=203.0.113.9",
        "X-Real-IP: 203.0.113.9",
        "True-Client-IP: 203.0.113.9",
        "X-Client-IP: 203.0.113.9",
        "X-Cluster-Client-IP: 203.0.113.9",
        "X-Forwarded-Port: 443",
        "x-rEAL-ip: 203.0.113.10",
    ];
    let seen = seen("", &claims);
    for claim in claims {
        let name = claim.split(':').next().unwrap().to_ascii_lowercase();
        assert_eq!(seen.field(&name), None, "{name} reached the app");
    }
}

#[test]
fn other_fields_arrive_as_they_were_sent() {
    let seen = seen(
        "",
        &[
            "Cookie: a=b; c=d",
            "Authorization: Bearer x",
            "X-One: 1",
            "X-One: 2",
            "Accept: */*",
            "X-Empty:",
            "X-Bytes: caf\u{e9}",
        ],
    );
    for (name, value) in [
        ("cookie", "a=b; c=d"),
        ("authorization", "Bearer x"),
        ("x-one", "1, 2"),
        ("accept", "*/*"),
        ("x-empty", ""),
        ("x-bytes", "caf\u{e9}"),
    ] {
        assert_eq!(seen.field(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn fields_of_one_hop_do_not_reach_the_app() {
    let seen = seen(
        "",
        &[
            "Connection: keep-alive, X-Hop, x-other",
            "Keep-Alive: timeout=5",
            "Proxy-Connection: keep-alive",
            "Proxy-Authorization: Basic x",
            "TE: gzip",
            "X-Hop: 1",
            "X-Other: 2",
            "X-Stays: 3",
        ],
    );
    for name in [
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "x-hop",
        "x-other",
        "te",
    ] {
        assert_eq!(seen.field(name), None, "{name} reached the app");
    }
    let connection = seen.field("connection").unwrap_or_default();
    assert!(
        !connection.to_ascii_lowercase().contains("x-"),
        "{connection}"
    );
    assert_eq!(seen.field("x-stays").as_deref(), Some("3"));
}

#[test]
fn a_client_cannot_have_the_gates_own_fields_removed() {
    let seen = seen("", &["Connection: via, max-forwards, x-real-ip"]);
    assert_eq!(seen.field("via").as_deref(), Some("1.1 tidegate"));
    assert_eq!(seen.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
}

#[test]
fn a_client_that_nominates_what_the_app_relies_on_is_refused() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    for name in [
        "host",
        "x-forwarded-for",
        "X-Forwarded-Proto",
        "x-forwarded-host",
    ] {
        let nomination = format!("Connection: keep-alive, {name}");
        let response = gate.connect().get_with("/", &[&nomination]);
        assert_eq!(response.status, 400, "{name}");
        assert_eq!(response.reason(), "malformed", "{name}");
    }
    assert_eq!(app.requests(), 0);
}

#[test]
fn fields_of_one_hop_do_not_reach_the_client() {
    let app = App::answering(|_| {
        let fields = [
            "Connection: keep-alive, X-Hop",
            "Keep-Alive: timeout=5",
            "Proxy-Connection: keep-alive",
            "Proxy-Authenticate: Basic",
            "Upgrade: h2c",
            "X-Hop: 1",
            "X-Stays: 2",
        ];
        Reply::Full(200, fields.map(str::to_owned).to_vec(), b"body".to_vec())
    });
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    let response = client.get("/");
    for name in [
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "upgrade",
        "x-hop",
    ] {
        assert_eq!(response.field(name), None, "{name} reached the client");
    }
    assert_eq!(response.field("x-stays"), Some("2"));
    assert_eq!(response.text(), "body");
    assert_eq!(client.get("/").status, 200, "the connection goes on");
}

#[test]
fn an_app_that_closes_its_connection_does_not_close_the_clients() {
    let app = App::answering(|_| {
        Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".into())
    });
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    for _ in 0..2 {
        let response = client.get("/");
        assert_eq!(response.text(), "ok");
        assert!(!response.closes(), "{response:?}");
    }
}

#[test]
fn via_names_every_gateway_on_the_way() {
    let seen = seen("", &["Via: 1.0 first, 1.1 second", "Via: 1.1 third"]);
    assert_eq!(
        seen.field("via").as_deref(),
        Some("1.0 first, 1.1 second, 1.1 third, 1.1 tidegate")
    );
}

#[test]
fn max_forwards_counts_down_and_is_answered_by_the_gate_at_zero() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    let options =
        |left: &str| format!("OPTIONS /x HTTP/1.1\r\nHost: test\r\nMax-Forwards: {left}\r\n\r\n");
    client.send(options("2"));
    assert_eq!(client.response().text(), "/x");
    assert_eq!(app.last().field("max-forwards").as_deref(), Some("1"));
    client.send(options("0"));
    let response = client.response();
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(app.requests(), 1, "the gate itself was asked");
    client.send(options("nonsense"));
    assert_eq!(client.response().text(), "/x");
}

#[test]
fn the_whole_server_can_be_asked_for_its_options() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    let response = gate.send("OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!((response.status, response.text().as_str()), (200, "*"));
}

#[test]
fn a_client_without_host_over_http_1_0_has_no_forwarded_host() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "");
    let response = gate.send("GET / HTTP/1.0\r\nX-Forwarded-Host: bank.example\r\n\r\n");
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(app.last().field("x-forwarded-host"), None);
}

#[test]
fn what_a_trusted_proxy_wrote_is_kept_byte_for_byte_and_disguises_are_not() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, "[client]\ntrusted_proxies = [\"127.0.0.0/8\"]\n");
    let mut request = b"GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: ".to_vec();
    request.extend_from_slice("\u{fc}, 203.0.113.5\r\n".as_bytes());
    request.extend_from_slice(b"X_Forwarded_For: 127.0.0.1\r\nX_Real_IP: 127.0.0.1\r\n\r\n");
    assert_eq!(gate.send(request).status, 200);
    let seen = app.last();
    assert_eq!(
        seen.field("x-forwarded-for").as_deref(),
        Some("\u{fc}, 203.0.113.5, 127.0.0.1")
    );
    assert_eq!(seen.field("x_forwarded_for"), None);
    assert_eq!(seen.field("x_real_ip"), None);
}

#[test]
fn no_spelling_of_a_claim_reaches_an_app_that_cannot_tell_it_from_the_field() {
    // To a CGI-like app all of them are HTTP_X_FORWARDED_FOR and the like.
    let spellings = [
        "x_forwarded_for",
        "x-forwarded_for",
        "X_Forwarded-For",
        "X.Forwarded.For",
        "x_forwarded_proto",
        "x-forwarded_host",
        "x_forwarded-port",
        "X_Forwarded_Prefix",
        "x_cluster_client_ip",
        "x-cluster_client-ip",
        "X_Real-IP",
        "true_client-ip",
        "X_Client_IP",
        "X_Tenant",
        "x~tenant",
        "x_tidegate-known",
        "X-Tidegate_Known",
    ];
    let others = [
        "x_custom",
        "x_real_ip_2",
        "forwarded_for",
        "x_tenant_2",
        "x-tenants",
    ];
    let fields = spellings.iter().chain(&others);
    let fields: Vec<String> = fields.map(|name| format!("{name}: 203.0.113.9")).collect();
    let mut fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    fields.push("X-Tenant: gold");
    let own = "[tenant]\nfrom = \"header:X-Tenant\"\ntier = \"all\"\n[tier.all]\nin_flight = 9\n[known.learn]\nheader = \"x-tidegate-known\"\n";
    for trust in ["", TRUSTING] {
        let seen = seen(&format!("{trust}{own}"), &fields);
        let reached = spellings.map(str::to_ascii_lowercase);
        let reached = reached.iter().filter(|name| seen.field(name).is_some());
        let reached: Vec<&String> = reached.collect();
        assert!(reached.is_empty(), "{reached:?} reached the app");
        for name in others {
            assert_eq!(seen.field(name).as_deref(), Some("203.0.113.9"), "{name}");
        }
        assert_eq!(seen.field("x-tenant").as_deref(), Some("gold"));
        let client = seen.field("x-forwarded-for");
        assert_eq!(client.as_deref(), Some("127.0.0.1"));
    }
}

#[test]
fn a_tenants_field_whose_own_name_has_an_underscore_is_the_one_that_arrives() {
    let fields = ["X_Tenant: gold", "X-Tenant: silver", "X.Tenant: silver"];
    let seen = seen(
        "[tenant]\nfrom = \"header:x_tenant\"\ntier = \"all\"\n[tier.all]\nin_flight = 9\n",
        &fields,
    );
    assert_eq!(seen.field("x_tenant").as_deref(), Some("gold"));
    for name in ["x-tenant", "x.tenant"] {
        assert_eq!(seen.field(name), None, "{name} reached the app");
    }
}
