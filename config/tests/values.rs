//! What a right configuration becomes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{path::Path, time::Duration};

use tidegate_config::{
    AddressFrom, Config, LONGEST_TENANT, LogFile, MINIMAL, Mode, Per, TenantFrom,
    default_admin_socket, parse_duration, schema,
};

fn with(lines: &str) -> Config {
    Config::parse(&format!("{MINIMAL}\n{lines}"), None).unwrap_or_else(|error| panic!("{error}"))
}

/// The example of the design, as far as this crate knows its parts.
const REAL: &str = r#"
mode = "normal"
[[listener]]
address = "0.0.0.0:8080"
[[listener]]
address = "0.0.0.0:8443"
[upstream.app]
servers = ["127.0.0.1:3000", "app.internal:3000"]
[[route]]
path = "/search"
upstream = "app"
cost = 5
[client]
address_from = "peer"
trusted_proxies = ["10.0.0.0/8"]
ipv4_prefix = 32
ipv6_prefix = 64
limit = { rate = "20/s", burst = 40 }
connections = 50
max_tracked = 1_000_000
[tenant]
from = "host"
tier = "unverified"
[tier.unverified]
limit = { rate = "50/s", burst = 100 }
in_flight = 20
[tier.verified]
limit = { rate = "500/s", burst = 1000 }
in_flight = 200
[tenants]
"shop.example.com" = "verified"
[connections]
total = 20000
[known]
files = ["known.d/*.txt"]
[known_only]
for = "30m"
exempt_paths = ["/healthz", "/login"]
[deadlines]
request_header = "10s"
request_body_idle = "30s"
keepalive = "60s"
upstream_connect = "2s"
upstream_response = "60s"
[log]
file = "stdout"
sample = { forwarded = 0.01, refused = 0.001, failed = 1.0 }
budget = "64KiB/s"
rotate = { size = "64MiB", keep = 4 }
query = true
[admin]
socket = "/run/tidegate/admin.sock"
address = "127.0.0.1:9903"
token_file = "/etc/tidegate/admin.token"
[metrics]
address = "127.0.0.1:9902"
[state]
directory = "/var/lib/tidegate"
"#;

#[test]
fn the_example_of_the_design_is_read_without_a_warning() {
    let config = Config::parse(REAL, Some(Path::new("/etc/tidegate/tidegate.toml")))
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.warnings, [""; 0]);
    assert_eq!(config.mode, Mode::Normal);
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(
        config.upstreams["app"].servers[1].to_string(),
        "app.internal:3000"
    );
    assert_eq!(config.routes[0].cost.get(), 5);
    assert_eq!(config.client.limit.rate.to_string(), "20/s");
    assert_eq!(config.client.trusted_proxies[0].to_string(), "10.0.0.0/8");
    assert_eq!(
        config.tenant.as_ref().map(|tenant| &tenant.from),
        Some(&TenantFrom::Host)
    );
    assert_eq!(config.tiers["verified"].in_flight.map(u32::from), Some(200));
    assert_eq!(config.tenants["shop.example.com"].tier, "verified");
    assert_eq!(
        config.known.files,
        [Path::new("/etc/tidegate/known.d/*.txt")]
    );
    assert_eq!(config.known_only.duration, Duration::from_secs(1800));
    assert_eq!(config.log.budget, 64 * 1024);
    assert_eq!(config.log.file, LogFile::Stdout);
    assert_eq!(
        (config.log.rotate.size, config.log.rotate.keep),
        (64 << 20, 4)
    );
    assert!(config.log.query);
}

#[test]
fn a_route_says_itself_how_large_bodies_may_be_or_the_client_does() {
    let routes = "[[route]]\npath = \"/a\"\nupstream = \"app\"\nmax_body = \"2KiB\"\n\
                  [[route]]\npath = \"/b\"\nupstream = \"app\"\nmax_body = \"off\"\n\
                  [[route]]\nupstream = \"app\"\n";
    let sizes =
        |config: Config| -> Vec<u64> { config.routes.iter().map(|route| route.max_body).collect() };
    assert_eq!(sizes(with(routes)), [2048, u64::MAX, 1 << 30]);
    let client = format!("{routes}[client]\nmax_body = \"3B\"");
    assert_eq!(sizes(with(&client)), [2048, u64::MAX, 3]);
    assert_eq!(sizes(with("[client]\nmax_body = \"off\"")), [u64::MAX]);
}

#[test]
fn rates_of_bodies_are_bytes_or_off() {
    let config = with("[deadlines]\nrequest_body_rate = \"off\"\nresponse_body_rate = \"2KiB/s\"");
    assert_eq!(config.deadlines.request_body_rate, 0);
    assert_eq!(config.deadlines.response_body_rate, 2048);
    assert_eq!(with("").deadlines.request_body_rate, 500);
}

#[test]
fn a_burst_that_is_not_written_is_the_number_of_the_rate() {
    assert_eq!(
        with("[client]\nlimit = { rate = \"600/h\" }")
            .client
            .limit
            .burst
            .get(),
        600
    );
}

#[test]
fn without_routes_everything_goes_to_the_only_upstream() {
    let routes = with("").routes;
    assert_eq!(routes.len(), 1);
    assert_eq!(routes[0].upstream, "app");
    assert!(routes[0].host.is_none() && routes[0].path.is_none() && routes[0].methods.is_empty());
}

#[test]
fn hosts_are_compared_in_lower_case_and_other_names_as_they_are() {
    let tiers = "tier = \"a\"\n[tier.a]\n[tenants]\n\"Shop.Example.com.\" = \"a\"\n";
    let by_host = with(&format!("[tenant]\nfrom = \"host\"\n{tiers}"));
    assert!(by_host.tenants.contains_key("shop.example.com"));
    let by_header = with(&format!("[tenant]\nfrom = \"header:X-Shop\"\n{tiers}"));
    assert!(by_header.tenants.contains_key("Shop.Example.com."));
    assert_eq!(
        by_header.tenant.map(|tenant| tenant.from),
        Some(TenantFrom::Header("x-shop".to_owned()))
    );
    let route = with("[[route]]\nupstream = \"app\"\nhost = \"Shop.Example.com\"");
    assert_eq!(route.routes[0].host.as_deref(), Some("shop.example.com"));
}

/// A credential and its SHA-256, as `printf %s key-1 | sha256sum` prints it.
const HASH: &str = "be2974546978e3739e6d6da85c4be9f334ce32df2b9fd4b6ff1b55c0d57e9d44";

#[test]
fn a_tenant_is_listed_with_its_tier_or_with_numbers_of_its_own() {
    let config = with(&format!(
        "[tenant]\nfrom = \"header:x-api-key\"\ntier = \"free\"\nfiles = [\"/srv/t/*.txt\"]\n\
         [tier.free]\n[tier.paid]\n[tenants]\nplain = \"paid\"\n\
         \"sha256:{}\" = {{ tier = \"paid\", name = \"acme\", limit = {{ rate = \"7/m\" }}, \
         in_flight = 3 }}\n[tenants.\"with space\"]\ntier = \"free\"\nlimit.rate = \"8/s\"\n\
         limit.burst = 9\n",
        HASH.to_uppercase()
    ));
    let plain = &config.tenants["plain"];
    assert_eq!(plain.tier, "paid");
    assert_eq!(
        (&plain.name, plain.limit, plain.in_flight),
        (&None, None, None)
    );
    let hashed = &config.tenants[&format!("sha256:{HASH}")];
    assert_eq!(hashed.name.as_deref(), Some("acme"));
    assert_eq!(hashed.in_flight.map(u32::from), Some(3));
    let limit = |tenant: &str| {
        let limit = config.tenants[tenant].limit.unwrap();
        (limit.rate.to_string(), limit.burst.get())
    };
    assert_eq!(limit(&format!("sha256:{HASH}")), ("7/m".to_owned(), 7));
    assert_eq!(limit("with space"), ("8/s".to_owned(), 9));
    assert_eq!(config.tenants.len(), 3);
    assert_eq!(config.tenant.unwrap().files, [Path::new("/srv/t/*.txt")]);
}

#[test]
fn what_is_listed_under_one_name_agrees() {
    let config = with(
        "[tenant]\nfrom = \"path:1\"\ntier = \"a\"\n[tier.a]\n[tenants]\n\
         one = { tier = \"a\", name = \"acme\", limit = { rate = \"5/s\", burst = 5 } }\n\
         two = { tier = \"a\", name = \"acme\", limit = { rate = \"5/s\" } }\n\
         acme = { tier = \"a\", limit = { rate = \"5/s\" } }\n\"caf\u{e9} 100%\" = \"a\"\n",
    );
    assert!(config.tenants["one"].agrees_with(&config.tenants["two"]));
    assert!(config.tenants["one"].agrees_with(&config.tenants["acme"]));
    assert!(!config.tenants["one"].agrees_with(&config.tenants["caf\u{e9} 100%"]));
}

#[test]
fn the_longest_tenant_is_as_long_as_is_said() {
    let tenant = "k".repeat(LONGEST_TENANT);
    let from = TenantFrom::Header("x-api-key".to_owned());
    assert_eq!(from.listed(&tenant), Ok(tenant.clone()));
    assert!(from.listed(&format!("{tenant}k")).is_err());
    assert_eq!(
        TenantFrom::Host.listed("Shop.Example.com."),
        Ok("shop.example.com".to_owned())
    );
}

#[test]
fn a_route_has_limits_of_its_own() {
    let route = |lines: &str| {
        let tenants = "[tenant]\nfrom = \"host\"\ntier = \"a\"\n[tier.a]\n";
        let config = with(&format!("{tenants}[[route]]\nupstream = \"app\"\n{lines}"));
        assert_eq!(config.warnings, [""; 0]);
        config.routes[0].clone()
    };
    let plain = route("");
    assert_eq!(
        (plain.limit, plain.in_flight, plain.exempt),
        (None, None, false)
    );
    let full = route(
        "limit = { rate = \"10/m\", burst = 5, per = \"route\" }\nin_flight = 3\nexempt = true",
    );
    let limit = full.limit.unwrap();
    assert_eq!(limit.limit.rate.to_string(), "10/m");
    assert_eq!((limit.limit.burst.get(), limit.per), (5, Per::Route));
    assert_eq!(
        (full.in_flight.map(u32::from), full.exempt),
        (Some(3), true)
    );
    for (per, expected) in [
        ("", Per::Client),
        (", per = \"client\"", Per::Client),
        (", per = \"tenant\"", Per::Tenant),
    ] {
        let limit = route(&format!("limit = {{ rate = \"10/m\"{per} }}"))
            .limit
            .unwrap();
        assert_eq!((limit.limit.burst.get(), limit.per), (10, expected));
    }
}

#[test]
fn a_network_is_wider_than_a_client() {
    let client = |lines: &str| with(&format!("[client]\n{lines}")).client;
    assert_eq!(client("").ipv6_network, None);
    let network = |prefix: u8| {
        format!("ipv6_network = {{ prefix = {prefix}, limit = {{ rate = \"200/s\" }} }}")
    };
    let given = client(&network(63)).ipv6_network.unwrap();
    assert_eq!((given.prefix, given.limit.burst.get()), (63, 200));
    let given = client(&format!("ipv6_prefix = 128\n{}", network(127)));
    assert_eq!(given.ipv6_network.map(|network| network.prefix), Some(127));
}

#[test]
fn what_is_switched_off_is_none() {
    assert_eq!(with("[metrics]\naddress = \"off\"").metrics.address, None);
}

#[test]
fn port_0_may_be_asked_for_more_than_once() {
    let listener = "[[listener]]\naddress = \"127.0.0.1:0\"\n";
    let config = with(&format!(
        "{listener}{listener}[metrics]\naddress = \"127.0.0.1:0\""
    ));
    assert_eq!(config.listeners.len(), 3);
}

/// Without [tenant] no request meets a tier's limit, an exempt route meets its
/// own alone, and where the host tells the tenant, a route for one host meets
/// that tenant's.
#[test]
fn a_cost_is_compared_with_the_limits_that_apply() {
    let tenants = "[tenant]\nfrom = \"host\"\ntier = \"free\"\n[tier.free]\n[tenants]\n\
                   \"small.example.com\" = { tier = \"free\", limit = { rate = \"1/s\" } }\n\
                   \"big.example.com\" = { tier = \"free\", limit = { rate = \"9/s\" } }\n";
    for (lines, cost) in [
        (
            "[tier.free]\nlimit = { rate = \"1/s\" }\n[[route]]\ncost = 2",
            2,
        ),
        ("[[route]]\ncost = 100", 100),
        ("[[route]]\ncost = 101\nexempt = true", 101),
        (
            "[[route]]\ncost = 5\nexempt = true\nlimit = { rate = \"5/s\" }",
            5,
        ),
        (
            &format!("{tenants}[[route]]\nhost = \"big.example.com\"\ncost = 9"),
            9,
        ),
        (
            &format!("{tenants}[[route]]\nhost = \"other.example.com\"\ncost = 100"),
            100,
        ),
    ] {
        let config = with(&lines.replace("[[route]]", "[[route]]\nupstream = \"app\""));
        assert_eq!(config.routes[0].cost.get(), cost);
    }
}

#[test]
fn modes_and_places_have_their_names() {
    for mode in [Mode::Observe, Mode::Normal, Mode::KnownOnly] {
        assert_eq!(mode.to_string().parse(), Ok(mode));
        let text = format!("mode = \"{mode}\"\n{MINIMAL}");
        assert_eq!(Config::parse(&text, None).unwrap().mode, mode);
    }
    assert!("Normal".parse::<Mode>().is_err());
    let forwarded = with("[client]\naddress_from = \"x-forwarded-for\"").client;
    assert_eq!(forwarded.address_from, AddressFrom::XForwardedFor);
    assert_eq!(with("").admin.socket, default_admin_socket());
    assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7200)));
}

#[test]
fn the_schema_is_for_editors() {
    let schema = schema();
    let rate = &schema["properties"]["client"]["properties"]["limit"]["properties"]["rate"];
    assert_eq!(rate["type"], "string");
    assert_eq!(rate["examples"][0], "20/s");
    assert_eq!(rate["pattern"], "^[0-9]+/[smh]$");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["threads"]["maximum"], 1024);
    assert!(
        schema["$schema"]
            .as_str()
            .is_some_and(|name| name.contains("2020-12"))
    );
}

#[test]
fn a_twentieth_of_the_connections_is_reserved_unless_it_is_said() {
    for (text, total, reserved) in [
        ("", 10_000, 500),
        ("[connections]\ntotal = 200", 200, 10),
        ("[connections]\ntotal = 19", 19, 0),
        ("[connections]\nreserved_for_known = 0", 10_000, 0),
        ("[connections]\nreserved_for_known = 9_999", 10_000, 9_999),
    ] {
        let connections = with(text).connections;
        let found = (connections.total.get(), connections.reserved_for_known);
        assert_eq!(found, (total, reserved), "{text}");
    }
}

#[test]
fn what_confirms_customers_is_read_with_its_defaults() {
    let config = with(
        "[known.learn]\nheader = \"X-Customer\"\nrules = [{ path = \"/login\", methods = [\"POST\"], status = 302 }]\n\
         [known.pass]\nkey_file = \"/etc/tidegate/pass.key\"",
    );
    let month = Duration::from_secs(30 * 24 * 60 * 60);
    let learn = config.known.learn.expect("learning");
    assert_eq!(learn.header.as_deref(), Some("x-customer"));
    assert_eq!((learn.keep, learn.max), (month, 100_000));
    assert_eq!(learn.confirmations.get(), 1);
    assert_eq!(learn.rules[0].path, "/login");
    assert_eq!(learn.rules[0].methods, ["POST"]);
    assert_eq!(learn.rules[0].status, 302);
    let pass = config.known.pass.expect("passes");
    assert_eq!(pass.key_file, Path::new("/etc/tidegate/pass.key"));
    assert_eq!(pass.cookie, "tidegate_pass");
    assert_eq!(pass.lifetime, month);
    assert_eq!(pass.limit.rate.to_string(), "10/s");
    assert_eq!(pass.limit.burst.get(), 20);
    let nobody = with("").known;
    assert!(nobody.learn.is_none() && nobody.pass.is_none());
}
