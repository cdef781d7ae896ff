//! Environment variables that override one value each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{fs, time::Duration};

use tidegate_config::{Config, MINIMAL, Mode, TenantFrom};

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.toml");
    fs::write(&path, text).unwrap();
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let folder = format!("{}/", folder.path().display());
    Config::load_with(&path, variables).map_err(|error| error.to_string().replace(&folder, ""))
}

#[track_caller]
fn loaded(variables: &[(&str, &str)]) -> Config {
    load(MINIMAL, variables).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_value_is_text_or_toml() {
    assert_eq!(
        loaded(&[("TIDEGATE_METRICS__ADDRESS", "off")])
            .metrics
            .address,
        None
    );
    assert_eq!(
        loaded(&[("TIDEGATE_METRICS__ADDRESS", "\"off\"")])
            .metrics
            .address,
        None
    );
    assert_eq!(
        loaded(&[("TIDEGATE_CONNECTIONS__TOTAL", "7")])
            .connections
            .total
            .get(),
        7
    );
    assert_eq!(
        loaded(&[("TIDEGATE_CONNECTIONS__TOTAL", " 7\n")])
            .connections
            .total
            .get(),
        7
    );
    assert!(
        !loaded(&[("TIDEGATE_REFUSAL__RATELIMIT_FIELDS", "false")])
            .refusal
            .ratelimit_fields
    );
    let app = &loaded(&[("TIDEGATE_UPSTREAM__APP__SERVERS", "[\"a:1\", 'b:2']")]).upstreams["app"];
    assert_eq!(app.servers.len(), 2);
}

#[test]
fn text_that_looks_like_something_else_stays_text() {
    let config = loaded(&[("TIDEGATE_STATE__DIRECTORY", "2024")]);
    assert!(config.state.directory.ends_with("2024"));
}

#[test]
fn a_path_leads_anywhere() {
    assert_eq!(loaded(&[("TIDEGATE__MODE", "observe")]).mode, Mode::Observe);
    assert_eq!(
        loaded(&[("TIDEGATE_LOG__SAMPLE__REFUSED", "1")])
            .log
            .sample
            .refused,
        1.0
    );
    let config = loaded(&[("TIDEGATE_KNOWN_ONLY__FOR", "2h")]);
    assert_eq!(config.known_only.duration, Duration::from_secs(7200));
    let config = loaded(&[("TIDEGATE__LISTENER", "[{ address = \"127.0.0.1:1\" }]")]);
    assert_eq!(config.listeners[0].address.port(), 1);
}

#[test]
fn a_table_is_made_where_there_is_none_and_kept_where_there_is_one() {
    let config = loaded(&[
        ("TIDEGATE_TIER__FREE__IN_FLIGHT", "3"),
        ("TIDEGATE_TENANT__TIER", "free"),
        ("TIDEGATE_TENANT__FROM", "path:1"),
    ]);
    assert_eq!(config.tiers["free"].in_flight.map(u32::from), Some(3));
    assert_eq!(
        config.tenant.map(|tenant| tenant.from),
        Some(TenantFrom::Path(1))
    );

    let limit = format!("{MINIMAL}[client]\nlimit = {{ rate = \"5/s\", burst = 9 }}\n");
    let config = load(&limit, &[("TIDEGATE_CLIENT__LIMIT__RATE", "6/m")]).unwrap();
    assert_eq!(config.client.limit.rate.to_string(), "6/m");
    assert_eq!(config.client.limit.burst.get(), 9);
}

#[test]
fn a_tenant_has_both_of_its_forms() {
    let text = format!(
        "{MINIMAL}[tenant]\nfrom = \"header:x-key\"\ntier = \"free\"\n[tier.free]\n[tier.1]\n\
         [tenants]\nAcme = {{ tier = \"free\", in_flight = 4 }}\nother = \"free\"\n"
    );
    let config = load(
        &text,
        &[
            ("TIDEGATE_TENANTS__ACME__IN_FLIGHT", "5"),
            ("TIDEGATE_TENANTS__ACME__LIMIT", "{ rate = '6/s' }"),
            ("TIDEGATE_TENANTS__ACME__LIMIT__BURST", "7"),
            ("TIDEGATE_TENANTS__OTHER", "{ tier = 'free', name = 'x' }"),
            // The name of a tier, though it could be a number.
            ("TIDEGATE_TENANTS__THIRD", "1"),
            ("TIDEGATE_TENANT__FILES", "['/srv/tenants.txt']"),
        ],
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let acme = &config.tenants["Acme"];
    assert_eq!(acme.in_flight.map(u32::from), Some(5));
    assert_eq!(acme.limit.map(|limit| limit.burst.get()), Some(7));
    assert_eq!(config.tenants["other"].name.as_deref(), Some("x"));
    assert_eq!(config.tenants["third"].tier, "1");
    let files = config.tenant.map(|tenant| tenant.files);
    assert_eq!(files, Some(vec!["/srv/tenants.txt".into()]));

    for (name, value, message) in [
        (
            "TIDEGATE_TENANTS__OTHER__IN_FLIGHT",
            "5",
            "TIDEGATE_TENANTS__OTHER__IN_FLIGHT: found a key in something that is no table; set \
             all of it with TIDEGATE_TENANTS__OTHER",
        ),
        (
            "TIDEGATE_TENANTS__THIRD",
            "gold",
            "TIDEGATE_TENANTS__THIRD: tenants.third: found \"gold\", but the tiers are \"1\" and \
             \"free\"",
        ),
        (
            "TIDEGATE_TENANTS__ACME__LIMIT__RATE",
            "0/s",
            "TIDEGATE_TENANTS__ACME__LIMIT__RATE: tenants.Acme.limit.rate: found \"0/s\", but a \
             rate is at least 1, such as \"20/s\", \"100/m\" or \"1000/h\"",
        ),
        (
            "TIDEGATE_TENANTS__SHA256:AB",
            "free",
            "TIDEGATE_TENANTS__SHA256:AB: tenants.\"sha256:ab\": found a tenant that no request \
             can have: after \"sha256:\" come the 64 hexadecimal digits of the credential's \
             SHA-256, as printed by `printf %s CREDENTIAL | sha256sum`",
        ),
    ] {
        assert_eq!(load(&text, &[(name, value)]), Err(message.to_owned()));
    }
}

#[test]
fn a_network_is_compared_with_the_client_that_is_in_force() {
    let text = format!(
        "{MINIMAL}[client]\nipv6_network = {{ prefix = 48, limit = {{ rate = \"200/s\" }} }}\n"
    );
    let prefix = |variables| {
        let client = load(&text, variables)?.client;
        Ok::<_, String>(client.ipv6_network.map(|network| network.prefix))
    };
    let set = [("TIDEGATE_CLIENT__IPV6_NETWORK__PREFIX", "56")];
    assert_eq!(prefix(&set), Ok(Some(56)));
    let error = prefix(&[("TIDEGATE_CLIENT__IPV6_NETWORK__PREFIX", "64")]).unwrap_err();
    assert_eq!(
        error,
        "TIDEGATE_CLIENT__IPV6_NETWORK__PREFIX: client.ipv6_network.prefix: found 64, but a \
         network is wider than one client, and ipv6_prefix is 64: write a number below 64"
    );
    let error = prefix(&[("TIDEGATE_CLIENT__IPV6_PREFIX", "48")]).unwrap_err();
    assert!(
        error.starts_with(
            "tidegate.toml:7: client.ipv6_network.prefix: found 48, but a network is wider than \
             one client, and ipv6_prefix is 48: write a number below 48"
        ),
        "{error}"
    );
}

#[test]
fn a_whole_table_is_set_before_its_keys() {
    let config = loaded(&[
        ("TIDEGATE_CLIENT__LIMIT__RATE", "7/s"),
        ("TIDEGATE_CLIENT__LIMIT", "{ rate = \"6/s\", burst = 9 }"),
    ]);
    assert_eq!(config.client.limit.rate.to_string(), "7/s");
    assert_eq!(config.client.limit.burst.get(), 9);
}

#[test]
fn case_does_not_matter() {
    let text = MINIMAL.replace("upstream.app", "upstream.App");
    let config = load(&text, &[("TIDEGATE_upstream__app__SERVERS", "[\"a:1\"]")]).unwrap();
    assert_eq!(config.upstreams["App"].servers[0].to_string(), "a:1");
}

#[test]
fn a_variable_without_two_underscores_is_for_somebody_else() {
    let config = loaded(&[
        ("TIDEGATE_ADMIN", "/run/x.sock"),
        ("TIDEGATE_MODE", "nonsense"),
        ("TIDEGATE_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("OTHER_CLIENT__LIMIT", "nonsense"),
    ]);
    assert_eq!(
        config,
        load(MINIMAL, &[])
            .map(|other| Config {
                source: config.source.clone(),
                ..other
            })
            .unwrap()
    );
}

#[test]
fn a_wrong_variable_is_named() {
    for (name, value, message) in [
        (
            "TIDEGATE_METRICS__ADDRES",
            "off",
            "TIDEGATE_METRICS__ADDRES: metrics.addres: found an unknown key; did you mean \
             `address`?",
        ),
        (
            "TIDEGATE_METRIC__ADDRESS",
            "off",
            "TIDEGATE_METRIC__ADDRESS: metric: found an unknown key; did you mean `metrics`?",
        ),
        (
            "TIDEGATE_CLIENT__LIMIT__RATE",
            "0/s",
            "TIDEGATE_CLIENT__LIMIT__RATE: client.limit.rate: found \"0/s\", but a rate is at \
             least 1, such as \"20/s\", \"100/m\" or \"1000/h\"",
        ),
        (
            "TIDEGATE_CLIENT__LIMIT",
            "{ rate = '5/s', burst = 0 }",
            "TIDEGATE_CLIENT__LIMIT: client.limit.burst: found 0, but this is a whole number from \
             1 to 1_000_000, such as 40",
        ),
        (
            "TIDEGATE_CONNECTIONS__TOTAL",
            "many",
            "TIDEGATE_CONNECTIONS__TOTAL: connections.total: found \"many\", but this is a whole \
             number from 1 to 10_000_000, such as 10_000",
        ),
        (
            "TIDEGATE_CONNECTIONS__TOTAL",
            "",
            "TIDEGATE_CONNECTIONS__TOTAL: connections.total: found \"\", but this is a whole \
             number from 1 to 10_000_000, such as 10_000",
        ),
        (
            "TIDEGATE_UPSTREAM__APP__SERVERS",
            "[\"a:1\"",
            "TIDEGATE_UPSTREAM__APP__SERVERS: upstream.app.servers: found \"[\"a:1\"\", but this \
             is a list of at least one, such as [\"127.0.0.1:3000\"]",
        ),
        (
            "TIDEGATE_LISTENER__ADDRESS",
            "127.0.0.1:1",
            "TIDEGATE_LISTENER__ADDRESS: found a key in something that is no table; set all of it \
             with TIDEGATE__LISTENER",
        ),
        (
            "TIDEGATE_UPSTREAM__APP__SERVERS__0",
            "127.0.0.1:1",
            "TIDEGATE_UPSTREAM__APP__SERVERS__0: found a key in something that is no table; set \
             all of it with TIDEGATE_UPSTREAM__APP__SERVERS",
        ),
    ] {
        assert_eq!(load(MINIMAL, &[(name, value)]), Err(message.to_owned()));
    }
}

#[test]
fn the_file_and_the_variables_are_reported_together() {
    let text = format!("{MINIMAL}[deadlines]\ndrain = \"0s\"\n");
    let error = load(&text, &[("TIDEGATE_ADMIN__SOCKET", "")]).unwrap_err();
    assert_eq!(
        error,
        "tidegate.toml:7: deadlines.drain: found \"0s\", but this is more than 0, such as \"10s\"\n  \
         |\n7 | drain = \"0s\"\n  |         ^^^^\n\nTIDEGATE_ADMIN__SOCKET: admin.socket: found \"\", \
         but a path names a file or a folder, such as \"/var/lib/tidegate\""
    );
}
