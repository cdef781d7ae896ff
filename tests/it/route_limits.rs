//! Limits of a route: for each client, each tenant or all of them, in rate and in flight, and routes
//! that are exempt from everybody else's.

mod in_flight;

use crate::harness::{App, Connection, Gate, PROXIED, ROOMY, eventually, with_upstream};

/// A client limit that nothing here spends, and these routes, with all the rest behind them.
fn routed(routes: &[&str]) -> String {
    let mut text = ROOMY.to_owned();
    for route in routes.iter().chain([&""]) {
        text.push_str(&format!("[[route]]\n{route}\nupstream = \"app\"\n"));
    }
    text
}

/// A route at this path with so many requests an hour, of which only the first ones are waited for.
fn limited(path: &str, per: &str, burst: u32) -> String {
    format!("path = \"{path}\"\nlimit = {{ rate = \"1/h\", burst = {burst}, per = \"{per}\" }}")
}

fn request(line: &str, fields: &[&str]) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    format!("{line} HTTP/1.1\r\nHost: test\r\n{fields}\r\n")
}

/// How many of eight requests pass; the others must be refused by the route's own limit.
#[track_caller]
fn passing(client: &mut Connection, line: &str, fields: &[&str]) -> usize {
    client.passing(&vec![request(line, fields); 8], "route_rate")
}

fn from(source: &str, gate: &Gate) -> Connection {
    Connection::open_from(source, gate.address)
}

fn reload(gate: &Gate, app: &App, text: &str) {
    gate.folder.configure(&with_upstream(&[app.address], text));
    gate.verb(&["reload"]).good();
}

#[test]
fn each_client_has_a_budget_of_its_own_on_a_route() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &routed(&[&limited("/search", "client", 3)]));
    for source in ["127.0.0.1", "127.0.0.2"] {
        let mut client = from(source, &gate);
        assert_eq!(passing(&mut client, "GET /search/books?q=1", &[]), 3);
        assert_eq!(passing(&mut client, "GET /search", &[]), 0, "one budget");
        assert_eq!(passing(&mut client, "GET /other", &[]), 8, "{source}");
        let refusal = client.get("/search");
        assert_eq!(
            refusal.field("ratelimit-policy"),
            Some("\"route\";q=3;w=10800")
        );
        let again: u64 = refusal.field("retry-after").unwrap().parse().unwrap();
        assert!((3_590..=3_700).contains(&again), "Retry-After: {again}");
    }
    assert_eq!(app.requests(), 2 * (3 + 8), "what was refused never came");
    assert_eq!(
        gate.requests("refused", "route_rate"),
        2.0 * (5.0 + 8.0 + 1.0)
    );
}

#[test]
fn all_clients_share_the_budget_of_a_route() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &routed(&[&limited("/export", "route", 10)]));
    assert_eq!(
        passing(&mut from("127.0.0.1", &gate), "GET /export", &[]),
        8
    );
    assert_eq!(
        passing(&mut from("127.0.0.2", &gate), "GET /export", &[]),
        2
    );
    assert_eq!(
        passing(&mut from("127.0.0.3", &gate), "GET /export", &[]),
        0
    );
    assert_eq!(passing(&mut from("127.0.0.3", &gate), "GET /", &[]), 8);
}

#[test]
fn a_shared_budget_is_exact_when_all_ask_at_once() {
    let app = App::echoing_paths();
    let gate = Gate::before(&app, &routed(&[&limited("/export", "route", 50)]));
    let flood = |source: String| {
        let mut client = from(&source, &gate);
        client.passing(&vec![request("GET /export", &[]); 100], "route_rate")
    };
    let passed: usize = std::thread::scope(|scope| {
        let clients = (1..=8).map(|number| format!("127.0.0.{number}"));
        let clients: Vec<_> = clients
            .map(|source| scope.spawn(|| flood(source)))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum()
    });
    assert_eq!(passed, 50);
    assert_eq!(app.requests(), 50);
}

#[test]
fn each_tenant_has_a_budget_of_its_own_on_a_route() {
    let app = App::echoing_paths();
    let tenants = "[tenant]\nfrom = \"header:X-Tenant\"\ntier = \"all\"\n[tier.all]\n\
                   [tenants]\ngold = \"all\"\nsilver = \"all\"\n";
    let routes = routed(&[&limited("/api", "tenant", 4)]);
    let gate = Gate::before(&app, &format!("{routes}{tenants}"));
    let ask = |source, fields: &[&str]| passing(&mut from(source, &gate), "GET /api", fields);
    assert_eq!(ask("127.0.0.1", &["X-Tenant: gold"]), 4);
    assert_eq!(
        ask("127.0.0.2", &["X-Tenant: gold"]),
        0,
        "whoever the client is"
    );
    assert_eq!(ask("127.0.0.1", &["X-Tenant: silver"]), 4);
    assert_eq!(ask("127.0.0.1", &["X-Tenant: invented"]), 4);
    assert_eq!(
        ask("127.0.0.1", &["X-Tenant: another"]),
        0,
        "all unlisted share"
    );
    assert_eq!(ask("127.0.0.1", &[]), 0, "with those that name none");
    let mut client = gate.connect();
    assert_eq!(passing(&mut client, "GET /", &["X-Tenant: gold"]), 8);
}

#[test]
fn a_limit_holds_for_the_methods_of_its_route_alone() {
    let app = App::echoing_paths();
    let login = format!("methods = [\"POST\"]\n{}", limited("/login", "client", 2));
    let gate = Gate::before(&app, &routed(&[&login]));
    let mut client = gate.connect();
    let none = ["Content-Length: 0"];
    assert_eq!(passing(&mut client, "POST /login", &none), 2);
    assert_eq!(passing(&mut client, "GET /login", &[]), 8);
    assert_eq!(passing(&mut client, "POST /other", &none), 8);
    assert_eq!(passing(&mut client, "POST /login", &none), 0);
}

#[test]
fn other_spellings_of_a_path_are_the_same_budget() {
    let app = App::echoing_paths();
    // As a route may be written, and as requests may spell it.
    let written = [("/caf%C3%A9/login", 0), ("/login", 1)];
    let routes = written.map(|(path, more)| limited(path, "client", 2 + more));
    let gate = Gate::before(&app, &routed(&[&routes[0], &routes[1]]));
    for (first, others, budget) in [
        (
            "/login",
            &[
                "//login",
                "/%6cogin",
                "/%6C%6f%67%69%6e",
                "///login//x",
                "/login;a=b",
                "/login%2fx",
                "http://test/login?x",
            ][..],
            3,
        ),
        (
            "/caf%c3%a9/login",
            &["/caf%C3%A9//login", "/%63af%C3%A9%2Flogin/"],
            2,
        ),
    ] {
        let mut client = gate.connect();
        assert_eq!(
            passing(&mut client, &format!("GET {first}"), &[]),
            budget,
            "{first}"
        );
        for other in others {
            let passed = passing(&mut client, &format!("GET {other}"), &[]);
            assert_eq!(passed, 0, "{other} is {first}, which is spent");
        }
    }
}

#[test]
fn two_routes_have_two_budgets() {
    let app = App::echoing_paths();
    let post = format!("methods = [\"POST\"]\n{}", limited("/a", "route", 2));
    let host = format!("host = \"test\"\n{}", limited("/a", "route", 3));
    let rest = limited("/a", "route", 4);
    let gate = Gate::before(&app, &routed(&[&post, &host, &rest]));
    let mut client = gate.connect();
    assert_eq!(passing(&mut client, "POST /a", &["Content-Length: 0"]), 2);
    assert_eq!(passing(&mut client, "GET /a", &[]), 3);
    let elsewhere = "GET /a HTTP/1.1\r\nHost: elsewhere\r\n\r\n".to_owned();
    assert_eq!(client.passing(&vec![elsewhere; 8], "route_rate"), 4);
}

#[test]
fn a_reload_forgets_nothing_even_when_routes_move() {
    let app = App::echoing_paths();
    for per in ["client", "route"] {
        let (search, login) = (limited("/search", per, 3), limited("/login", per, 9));
        let gate = Gate::before(&app, &routed(&[&search, &login]));
        let mut client = gate.connect();
        assert_eq!(passing(&mut client, "GET /search", &[]), 3);
        assert_eq!(passing(&mut client, "GET /login", &[]), 8);
        let new = limited("/new", per, 2);
        reload(&gate, &app, &routed(&[&new, &login, &search]));
        assert_eq!(passing(&mut client, "GET /search", &[]), 0, "{per}");
        assert_eq!(passing(&mut client, "GET /login", &[]), 1, "{per}");
        assert_eq!(passing(&mut client, "GET /new", &[]), 2, "{per}");
    }
}

#[test]
fn a_limit_that_a_reload_changes_is_exact() {
    let app = App::echoing_paths();
    for per in ["client", "route"] {
        let burst = |burst| routed(&[&limited("/search", per, burst)]);
        let gate = Gate::before(&app, &burst(3));
        let mut client = gate.connect();
        assert_eq!(passing(&mut client, "GET /search", &[]), 3);
        reload(&gate, &app, &burst(7));
        assert_eq!(
            passing(&mut client, "GET /search", &[]),
            4,
            "four more: {per}"
        );
        reload(&gate, &app, &burst(2));
        let refusal = client.get("/search");
        assert_eq!(
            refusal.field("ratelimit-policy"),
            Some("\"route\";q=2;w=7200")
        );
        reload(&gate, &app, &routed(&["path = \"/search\""]));
        assert_eq!(
            passing(&mut client, "GET /search", &[]),
            8,
            "no limit: {per}"
        );
    }
}

/// So many of eight requests to `/` pass, and no more because of this reason.
#[track_caller]
fn left(client: &mut Connection, fields: &[&str], reason: &str) -> usize {
    client.passing(&vec![request("GET /", fields); 8], reason)
}

/// A client and a tenant of ten tokens each, and one route with more to say.
fn tens(route: &str) -> String {
    format!(
        "{PROXIED}limit = {{ rate = \"1/h\", burst = 10 }}\n\
         [tenant]\nfrom = \"header:X-Tenant\"\ntier = \"all\"\n\
         [tier.all]\nlimit = {{ rate = \"1/h\", burst = 10 }}\n[tenants]\ngold = \"all\"\n\
         silver = \"all\"\n[[route]]\n{route}\nupstream = \"app\"\n[[route]]\nupstream = \"app\"\n"
    )
}

const GOLD: [&str; 2] = ["X-Tenant: gold", "X-Forwarded-For: 192.0.2.1"];

#[test]
fn a_cost_is_taken_from_every_limit() {
    let app = App::echoing_paths();
    let route = format!("{}\ncost = 2", limited("/search", "client", 7));
    let gate = Gate::before(&app, &tens(&route));
    let mut client = gate.connect();
    assert_eq!(
        passing(&mut client, "GET /search", &GOLD),
        3,
        "the seventh is half a request"
    );
    let silver = ["X-Tenant: silver", GOLD[1]];
    assert_eq!(
        left(&mut client, &silver, "client_rate"),
        4,
        "six are spent"
    );
    let another = [GOLD[0], "X-Forwarded-For: 192.0.2.2"];
    assert_eq!(
        left(&mut client, &another, "tenant_rate"),
        4,
        "six are spent"
    );
}

#[test]
fn an_exempt_route_takes_nothing_of_others_and_serves_who_has_nothing_left() {
    let app = App::echoing_paths();
    let route = format!("{}\nexempt = true", limited("/health", "client", 6));
    let gate = Gate::before(&app, &tens(&route));
    let mut client = gate.connect();
    assert_eq!(client.get_with("/health", &GOLD).status, 200);
    let of = |count: usize| vec![request("GET /", &GOLD); count];
    assert_eq!(
        client.passing(&of(15), "client_rate"),
        10,
        "nothing was taken"
    );
    assert_eq!(
        passing(&mut client, "GET /health", &GOLD),
        5,
        "its own limit holds"
    );
    let another = [GOLD[0], "X-Forwarded-For: 192.0.2.2"];
    assert_eq!(
        passing(&mut client, "GET /health", &another),
        6,
        "the tenant is exhausted, too"
    );
    assert_eq!(left(&mut client, &another, "tenant_rate"), 0);
}

#[test]
fn an_exempt_route_is_closed_to_unknown_clients_in_known_only() {
    let app = App::echoing_paths();
    let routes = routed(&["path = \"/health\"\nexempt = true"]);
    let open = "[known_only]\nexempt_paths = [\"/login\"]\n";
    let gate = Gate::before(&app, &format!("{routes}{open}"));
    gate.verb(&["known", "add", "127.0.0.2"]).good();
    gate.verb(&["mode", "known-only"]).good();
    let ask = |source| from(source, &gate).get("/health");
    assert_eq!(ask("127.0.0.2").status, 200);
    let refusal = ask("127.0.0.1");
    assert_eq!(
        (refusal.status, refusal.reason().as_str()),
        (503, "unknown_client")
    );
}

/// A request that waits in the app.
fn begin(gate: &Gate, app: &App, source: &str) -> Connection {
    let before = app.requests();
    let mut client = from(source, gate);
    client.send(request("GET /slow", &[]));
    eventually("the request to reach the app", || {
        app.requests() == before + 1
    });
    client
}

#[test]
fn observing_enforces_no_limit_of_a_route_and_counts_what_it_would_refuse() {
    let (app, latch) = App::waiting_at_slow();
    let rate = limited("/rated", "client", 2);
    let routes = routed(&[&rate, "path = \"/slow\"\nin_flight = 1"]);
    let gate = Gate::before(&app, &format!("mode = \"observe\"\n{routes}"));
    assert_eq!(passing(&mut gate.connect(), "GET /rated", &[]), 8);
    let mut busy = [(); 3].map(|()| begin(&gate, &app, "127.0.0.1"));
    latch.open();
    assert!(
        busy.iter_mut()
            .all(|client| client.response().status == 200)
    );
    for (reason, count) in [("route_rate", 6.0), ("route_in_flight", 2.0)] {
        let would = format!("tidegate_would_refuse_total{{mode=\"normal\",reason=\"{reason}\"}}");
        assert_eq!(gate.metric(&would), count, "{reason}");
        assert_eq!(gate.requests("refused", reason), 0.0, "{reason}");
    }
}

#[test]
fn observing_refuses_what_no_route_serves_for_that_reason_alone() {
    let app = App::echoing_paths();
    let config = "mode = \"observe\"\n[client]\nlimit = { rate = \"1/h\", burst = 1 }\n\
                  [[route]]\npath = \"/app\"\nupstream = \"app\"\n";
    let gate = Gate::before(&app, config);
    let mut client = gate.connect();
    for _ in 0..3 {
        let refusal = client.get("/elsewhere");
        assert_eq!(
            (refusal.status, refusal.reason().as_str()),
            (404, "no_route")
        );
    }
    assert_eq!(client.get("/app").status, 200);
    assert_eq!(gate.requests("refused", "client_rate"), 0.0);
}
