//! The admin API over TCP: for who has the token, and not for pages in a browser of this machine.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::handing_over::{gate_in, upgrade};
use crate::harness::{
    App, Connection, Folder, Gate, Output, Response, eventually, tidegate, with_upstream,
};

const TOKEN: &str = "4f0f1d6a8d0b4c2e9a7c5b3d1e8f6a2c";

struct Tcp {
    _app: App,
    gate: Gate,
    admin: SocketAddr,
    token_file: String,
}

fn secret(folder: &Folder, name: &str, text: &str) -> String {
    let file = folder.write(name, text);
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    file
}

fn configuration(folder: &Folder, token_file: &str) -> String {
    let socket = folder.path("admin.sock");
    format!(
        "[client]\nmax_tracked = 1000\n[admin]\nsocket = \"{}\"\naddress = \"127.0.0.1:0\"\ntoken_file = \"{token_file}\"",
        socket.display()
    )
}

fn start() -> Tcp {
    let app = App::echoing_paths();
    let folder = Folder::new();
    let token_file = secret(&folder, "token", &format!("{TOKEN}\n"));
    let text = configuration(&folder, &token_file);
    let gate = gate_in(folder, &app, &text);
    let admin = gate.announced("admin API on ")[0];
    Tcp {
        _app: app,
        gate,
        admin,
        token_file,
    }
}

impl Tcp {
    fn ask(&self, fields: &[&str]) -> Response {
        Connection::open(self.admin).get_with("/v1/mode", fields)
    }

    fn verb(&self, arguments: &[&str]) -> Output {
        let admin = format!("http://{}", self.admin);
        tidegate(
            &[
                &["--admin", &admin, "--admin-token-file", &self.token_file],
                arguments,
            ]
            .concat(),
        )
    }
}

#[test]
fn who_has_the_token_is_an_operator_and_called_so() {
    let tcp = start();
    assert_eq!(tcp.verb(&["mode", "-o", "json"]).json()["mode"], "normal");
    tcp.verb(&["mode", "observe", "--reason", "a drill"]).good();
    let audit = tcp.gate.verb(&["audit", "-o", "json"]).json();
    let last = audit.as_array().unwrap().last().unwrap();
    assert_eq!(last["by"], "token over TCP", "{audit:#}");
    let status = tcp.gate.status();
    assert_eq!(status["admin"]["address"], tcp.admin.to_string());
    let host = format!("Host: localhost:{}", tcp.admin.port());
    let token = format!("authorization: bEARER {TOKEN}");
    let origin = format!("Origin: http://localhost:{}", tcp.admin.port());
    assert_eq!(tcp.ask(&[&host, &token, &origin]).status, 200);
}

#[test]
fn without_the_token_or_from_a_page_of_another_origin_nothing_is_answered() {
    let tcp = start();
    let port = tcp.admin.port();
    let host = format!("Host: 127.0.0.1:{port}");
    let token = format!("Authorization: Bearer {TOKEN}");
    let wrong = format!("Authorization: Bearer {TOKEN}x");
    let [elsewhere, portless, other_port, user] = [
        format!("Host: evil.example:{port}"),
        "Host: 127.0.0.1".to_owned(),
        format!("Host: 127.0.0.1:{}", port ^ 1),
        format!("Host: evil@127.0.0.1:{port}"),
    ];
    let [named, not_encrypted, another_name] = [
        "Origin: http://evil.example".to_owned(),
        format!("Origin: https://127.0.0.1:{port}"),
        format!("Origin: http://localhost:{port}"),
    ];
    for (fields, status, part) in [
        (&[host.as_str()][..], 401, "--admin-token-file"),
        (&[&host, &wrong], 401, "admin.token_file"),
        (&[&host, "Authorization: Bearer"], 401, "Bearer"),
        (&[&host, &token, &token], 401, "Bearer"),
        (&[&elsewhere, &token], 421, "evil.example"),
        (&[&portless, &token], 421, "Host"),
        (&[&other_port, &token], 421, "Host"),
        (&[&user, &token], 421, "Host"),
        (&[&host, &token, &named], 403, "evil.example"),
        (&[&host, &token, &not_encrypted], 403, "Origin"),
        (&[&host, &token, &another_name], 403, "Origin"),
        (&[&host, &token, "Origin: null"], 403, "null"),
        (&[&host, &token, &named, &named], 403, "Origin"),
    ] {
        let answer = tcp.ask(fields);
        let problem = answer.problem();
        assert_eq!(answer.status, status, "{fields:?}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains(part),
            "no {part:?} for {fields:?}: {detail}"
        );
        assert!(answer.closes(), "{fields:?}: {answer:?}");
    }
    let refused = tcp.gate.status()["admin"]["refused_over_tcp"].clone();
    assert_eq!(
        refused,
        serde_json::json!({ "host": 4, "origin": 5, "token": 4 }),
        "each is counted"
    );
    eventually("refusals to be in the audit log", || {
        let audit = tcp.gate.verb(&["audit", "-o", "json"]).good();
        audit.contains("refused over TCP")
    });
    let answer = tcp.ask(&[&host, &wrong]);
    assert_eq!(answer.field("www-authenticate"), Some("Bearer"));
}

#[test]
fn guessing_is_slow_and_holds_up_nobody_who_has_the_token() {
    let tcp = start();
    let host = format!("Host: {}", tcp.admin);
    let guess = format!("GET /v1/mode HTTP/1.1\r\n{host}\r\nAuthorization: Bearer x\r\n\r\n");
    let began = Instant::now();
    let mut guessing: Vec<_> = (0..200).map(|_| Connection::open(tcp.admin)).collect();
    for connection in &mut guessing {
        let _ = connection.try_send(&guess);
    }
    let token = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(tcp.ask(&[&host, &token]).status, 200);
    let took = began.elapsed();
    assert!(
        took < Duration::from_secs(3),
        "beside those who guess: {took:?}"
    );
    drop(guessing);
    let began = Instant::now();
    assert_eq!(tcp.ask(&[&host, "Authorization: Bearer x"]).status, 401);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(900), "a guess takes {took:?}");
}

#[test]
fn the_token_is_read_again_on_a_reload_and_the_address_stays_through_an_upgrade() {
    let tcp = start();
    fs::write(&tcp.token_file, "short").unwrap();
    let refused = tcp.gate.verb(&["reload"]);
    assert!(refused.stderr.contains("at least 32"), "{refused:#?}");
    let next = TOKEN.to_ascii_uppercase();
    fs::write(&tcp.token_file, &next).unwrap();
    let host = format!("Host: {}", tcp.admin);
    let [before, after] = [TOKEN, &next].map(|token| format!("Authorization: Bearer {token}"));
    assert_eq!(tcp.ask(&[&host, &before]).status, 200, "not reloaded yet");
    let said = tcp.gate.verb(&["reload"]).good();
    assert!(said.contains("admin.token_file"), "{said}");
    assert_eq!(tcp.ask(&[&host, &before]).status, 401);
    assert_eq!(tcp.ask(&[&host, &after]).status, 200);
    let told = upgrade(&tcp.gate)["handed_over"].to_string();
    assert!(told.contains("admin.address 127.0.0.1:0"), "{told}");
    assert_eq!(tcp.ask(&[&host, &after]).status, 200, "by the new process");
    let config = tcp.gate.folder.path("tidegate.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace("\"127.0.0.1:0\"\ntoken", "\"127.0.0.1:1\"\ntoken"),
    )
    .unwrap();
    let refused = tcp.gate.verb(&["reload"]);
    assert!(refused.stderr.contains("admin.address"), "{refused:#?}");
}

#[test]
fn a_token_that_is_none_or_no_secret_keeps_the_gate_from_starting() {
    for (text, mode, part) in [
        ("", 0o600, "at least 32"),
        ("0123456789abcdef0123456789abcde", 0o600, "at least 32"),
        ("0123456789abcdef 0123456789abcdef", 0o600, "one line"),
        ("0123456789abcdef0123456789abcdef\nmore", 0o600, "one line"),
        (TOKEN, 0o644, "chmod 600"),
    ] {
        let folder = Folder::new();
        let file = secret(&folder, "token", text);
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let text = with_upstream(
            &["127.0.0.1:1".parse().unwrap()],
            &configuration(&folder, &file),
        );
        let config = folder.configure(&text);
        for verb in [&["run", "--config"][..], &["validate"]] {
            let output = tidegate(&[verb, &[config.to_str().unwrap()]].concat());
            assert_eq!(output.code, 2, "{output:#?}");
            assert!(output.stderr.contains(part), "no {part:?} in {output:#?}");
            assert!(
                !output.stderr.contains("0123456789"),
                "it tells: {output:#?}"
            );
        }
    }
}

#[test]
fn the_command_says_what_is_missing() {
    let tcp = start();
    let admin = format!("http://{}", tcp.admin);
    let files = [("empty", ""), ("wrong", &TOKEN.to_uppercase())];
    let [empty, wrong] = files.map(|(name, text)| secret(&tcp.gate.folder, name, text));
    let absent = "/nonexistent/token";
    for (arguments, code, part) in [
        (
            &["--admin", admin.as_str(), "mode"][..],
            1,
            "--admin-token-file",
        ),
        (
            &["--admin", &admin, "--admin-token-file", absent, "mode"],
            1,
            absent,
        ),
        (
            &["--admin", &admin, "--admin-token-file", &empty, "mode"],
            1,
            &empty,
        ),
        (
            &["--admin", &admin, "--admin-token-file", &wrong, "mode"],
            1,
            "admin.token_file",
        ),
        (&["--admin", "http://192.0.2.1:9903", "mode"], 2, "ssh -L"),
        (&["--admin", "https://127.0.0.1:9903", "mode"], 2, "http://"),
        (
            &["--admin", "http://127.0.0.1:9903/v1", "mode"],
            2,
            "http://",
        ),
        (&["--admin", &admin, "run"], 1, "admin.address"),
    ] {
        let output = tidegate(arguments);
        assert_eq!(output.code, code, "{arguments:?}: {output:#?}");
        assert!(
            output.stderr.contains(part),
            "{arguments:?}: no {part:?} in {output:#?}"
        );
    }
}
