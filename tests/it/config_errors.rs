//! Configurations that are wrong: told on standard error, with exit code 2, in words that say where
//! and what to write instead. `run` says the same as `validate`, and starts nothing.

use std::fs;

use crate::harness::{Folder, Output, tidegate};

const SMALLEST: &str =
    "[[listener]]\naddress = \"127.0.0.1:0\"\n\n[upstream.app]\nservers = [\"127.0.0.1:9\"]\n";

fn validate(folder: &Folder) -> Output {
    tidegate(&["validate", folder.path("tidegate.toml").to_str().unwrap()])
}

/// What both verbs say of a file that is wrong; it must be the same, with exit code 2.
fn refused(folder: &Folder) -> String {
    let file = folder.path("tidegate.toml");
    let validated = validate(folder);
    assert_eq!(validated.code, 2, "validate: {validated:#?}");
    assert_eq!(validated.stdout, "", "nothing is valid here");
    let ran = tidegate(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(ran.code, 2, "run: {ran:#?}");
    assert!(
        ran.stderr.ends_with(&validated.stderr),
        "run says something else: {ran:#?}"
    );
    assert!(!ran.stderr.contains("panicked"), "{ran:#?}");
    validated.stderr
}

/// A configuration with a file of customers, and nothing of it outside the folder.
fn configure_known(folder: &Folder) {
    let text = format!("{SMALLEST}\n[known]\nfiles = [\"known.txt\"]\n");
    folder.configure(&text);
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

#[test]
fn a_good_configuration_is_said_to_be_valid() {
    let folder = Folder::new();
    folder.write("tidegate.toml", SMALLEST);
    let output = validate(&folder);
    assert_eq!(
        (output.code, output.stderr.as_str()),
        (0, ""),
        "{output:#?}"
    );
    assert!(output.stdout.ends_with("is valid\n"), "{output:#?}");
}

/// What an operator in earnest writes: nearly every table, and nothing unusual in it.
const REAL: &str = r#"
mode = "normal"

[[listener]]
address = "0.0.0.0:8080"

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
fn a_real_configuration_is_valid_without_a_warning() {
    let folder = Folder::new();
    let file = folder.write("tidegate.toml", REAL);
    let output = tidegate(&["validate", "--deny-warnings", &file]);
    let told = (output.code, output.stderr.as_str());
    assert_eq!(told, (0, ""), "{output:#?}");
}

#[test]
fn an_error_names_file_line_key_what_was_found_and_what_would_be_right() {
    for (lines, parts) in [
        (
            "[client]\nlimt = 5",
            ["tidegate.toml:8", "client.limt", "`limit`"],
        ),
        (
            "[client]\nconnections = \"50\"",
            ["tidegate.toml:8", "client.connections", "\"50\""],
        ),
        (
            "[client]\nlimit = { rate = \"0/s\" }",
            ["tidegate.toml:8", "client.limit.rate", "\"20/s\""],
        ),
        (
            "[client]\ntrusted_proxies = [\"10.0.0.1/8\"]",
            ["tidegate.toml:8", "client.trusted_proxies", "10.0.0.0/8"],
        ),
        (
            "[deadlines]\nkeepalive = \"1 minute\"",
            ["tidegate.toml:8", "deadlines.keepalive", "\"5s\""],
        ),
        (
            "[log]\nbudget = \"lots\"",
            ["tidegate.toml:8", "log.budget", "\"64KiB/s\""],
        ),
        (
            "[[listener]]\naddress = \"127.0.0.1\"",
            ["tidegate.toml:8", "listener.address", "127.0.0.1:8080"],
        ),
        (
            "[[route]]\nupstream = \"shop\"",
            ["tidegate.toml:8", "route.upstream", "\"shop\""],
        ),
    ] {
        let folder = Folder::new();
        folder.write("tidegate.toml", format!("{SMALLEST}\n{lines}\n"));
        assert_says(&refused(&folder), &parts);
    }
}

#[test]
fn two_listeners_on_one_address_are_refused() {
    let folder = Folder::new();
    let listener = "[[listener]]\naddress = \"127.0.0.1:8080\"\n";
    let upstream = "[upstream.app]\nservers = [\"127.0.0.1:9\"]\n";
    folder.write("tidegate.toml", format!("{listener}{listener}{upstream}"));
    assert_says(
        &refused(&folder),
        &["tidegate.toml:4", "listener.address", "127.0.0.1:8080"],
    );
}

#[test]
fn every_error_of_a_file_is_told_at_once() {
    let folder = Folder::new();
    folder.write(
        "tidegate.toml",
        format!("{SMALLEST}\n[client]\nlimt = 5\n\n[deadlines]\ndrain = 7\n"),
    );
    assert_says(
        &refused(&folder),
        &[
            "tidegate.toml:8: client.limt",
            "tidegate.toml:11: deadlines.drain",
        ],
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_reason() {
    let folder = Folder::new();
    assert_says(&refused(&folder), &["tidegate.toml", "o such file"]);
    fs::create_dir(folder.path("tidegate.toml")).unwrap();
    assert_says(&refused(&folder), &["tidegate.toml", "folder"]);
    // Permissions do not stop root, who runs these tests in a container; a file as a folder does.
    let file = folder.write("file", "");
    let output = tidegate(&["validate", &format!("{file}/tidegate.toml")]);
    assert_eq!(output.code, 2, "{output:#?}");
    assert_says(&output.stderr, &["file/tidegate.toml", "ot a directory"]);
}

#[test]
fn a_file_that_is_empty_cut_in_half_or_in_another_encoding_is_refused() {
    for (name, contents, parts) in [
        ("empty", Vec::new(), ["tidegate.toml", "listener"]),
        (
            "comments alone",
            b"# later\n".to_vec(),
            ["tidegate.toml", "listener"],
        ),
        (
            "cut in a string",
            SMALLEST.as_bytes()[..25].to_vec(),
            ["tidegate.toml:2", "\""],
        ),
        (
            "cut before the upstream",
            SMALLEST.as_bytes()[..38].to_vec(),
            ["tidegate.toml", "upstream"],
        ),
        (
            "cut in a list",
            SMALLEST.as_bytes()[..SMALLEST.len() - 5].to_vec(),
            ["tidegate.toml:5", "\""],
        ),
        (
            "UTF-16",
            format!("\u{feff}{SMALLEST}")
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect(),
            ["tidegate.toml", "UTF-8"],
        ),
        (
            "Latin 1",
            [SMALLEST.as_bytes(), b"# caf\xe9\n"].concat(),
            ["tidegate.toml:6", "UTF-8"],
        ),
        ("nulls", vec![0; 4096], ["tidegate.toml", "1"]),
    ] {
        let folder = Folder::new();
        folder.write("tidegate.toml", contents);
        println!("{name}");
        assert_says(&refused(&folder), &parts);
    }
}

#[test]
fn warnings_are_told_and_denied_when_asked() {
    let folder = Folder::new();
    let file = folder.write("tidegate.toml", format!("{SMALLEST}\n[upstream.spare]\nservers = [\"127.0.0.1:9\"]\n[[route]]\nupstream = \"app\"\n"));
    let output = validate(&folder);
    assert_eq!(output.code, 0, "{output:#?}");
    assert!(
        output.stderr.starts_with("warning: "),
        "an upstream without a route: {output:#?}"
    );
    let output = tidegate(&["validate", &file, "--deny-warnings"]);
    assert_eq!(output.code, 2, "{output:#?}");
    let output = tidegate(&["validate", &file, "-o", "json"]).json();
    assert_eq!(output["valid"], true);
    assert_eq!(output["warnings"].as_array().unwrap().len(), 1);
}

#[test]
fn known_files_are_read_and_their_errors_told_with_file_and_line() {
    for (name, contents, parts) in [
        (
            "a word",
            b"192.0.2.1\nexample.com\n".to_vec(),
            ["known.txt:2", "example.com", "192.0.2.7"],
        ),
        (
            "host bits",
            b"# ours\n\n10.0.0.1/8\n".to_vec(),
            ["known.txt:3", "10.0.0.1/8", "10.0.0.0/8"],
        ),
        (
            "two in a line",
            b"192.0.2.1 192.0.2.2\n".to_vec(),
            ["known.txt:1", "192.0.2.1 192.0.2.2", "one address"],
        ),
        (
            "IPv4 as IPv6",
            b"::ffff:192.0.2.0/120\n".to_vec(),
            ["known.txt:1", "::ffff:", "own form"],
        ),
        (
            "too many bits",
            b"192.0.2.0/33\n".to_vec(),
            ["known.txt:1", "192.0.2.0/33", "198.51.100.0/24"],
        ),
        (
            "not UTF-8",
            b"192.0.2.1\n\xff\xfe\n".to_vec(),
            ["known.txt:2", "found", "not UTF-8"],
        ),
        (
            "binary",
            vec![0; 5000],
            ["known.txt:1", "1024 bytes", "found"],
        ),
    ] {
        let folder = Folder::new();
        folder.write("known.txt", contents);
        configure_known(&folder);
        println!("{name}");
        let message = refused(&folder);
        assert_says(&message, &parts);
        assert!(
            !message.contains(['\0', '\x1b']),
            "raw bytes on the terminal: {message:?}"
        );
    }
}

#[test]
fn known_files_that_are_not_files_are_refused() {
    let folder = Folder::new();
    configure_known(&folder);
    assert_says(&refused(&folder), &["known.txt", "does not exist"]);
    fs::create_dir(folder.path("known.txt")).unwrap();
    assert_says(&refused(&folder), &["known.txt", "not a regular file"]);
    fs::remove_dir(folder.path("known.txt")).unwrap();
    std::os::unix::fs::symlink("known.txt", folder.path("known.txt")).unwrap();
    assert_says(&refused(&folder), &["known.txt", "symbolic links"]);
    fs::remove_file(folder.path("known.txt")).unwrap();
    folder.write(
        "known.txt",
        "192.0.2.1\r\n  # a comment\n\n2001:db8::/32 # office\n",
    );
    assert_eq!(
        validate(&folder).code,
        0,
        "comments, empty lines and CR LF are fine"
    );
}

#[test]
fn an_override_from_the_environment_is_checked_like_the_file() {
    let folder = Folder::new();
    let file = folder.write("tidegate.toml", SMALLEST);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["validate", &file])
        .env("TIDEGATE_CLIENT__CONNECTIONS", "many")
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert_says(&message, &["TIDEGATE_CLIENT__CONNECTIONS", "many"]);
}
