//! What a right configuration becomes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{path::Path, time::Duration};

use tidegate_config::{
    AddressFrom, Config, LogFile, MINIMAL, Mode, TenantFrom, default_admin_socket, parse_duration,
    schema,
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
[admin]
socket = "/run/tidegate/admin.sock"
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

/// Without [tenant] no request meets a tier's limit.
#[test]
fn a_cost_is_compared_with_the_limits_that_apply() {
    let tier = "[tier.free]\nlimit = { rate = \"1/s\" }\n[[route]]\nupstream = \"app\"\ncost = 2";
    assert_eq!(with(tier).routes[0].cost.get(), 2);
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
