//! Programs that were not written for this, as clients.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{NAME, serving};
use crate::harness::{App, Gate, PATIENCE, Process, ROOMY, Reply, pattern, tool};

/// curl over HTTP/2, to the gate by its name.
fn curl(gate: &Gate) -> Command {
    let mut curl = tool("curl", "curl");
    let patience = PATIENCE.as_secs().to_string();
    let resolve = format!("{NAME}:{}:127.0.0.1", gate.address.port());
    curl.args([
        "--silent",
        "--show-error",
        "--fail",
        "--insecure",
        "--http2",
    ])
    .args([
        "--noproxy",
        "*",
        "--max-time",
        &patience,
        "--resolve",
        &resolve,
    ]);
    curl
}

fn url(gate: &Gate, path: &str) -> String {
    format!("https://{NAME}:{}{path}", gate.address.port())
}

/// What a program wrote that must succeed.
fn good(command: &mut Command) -> String {
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn curl_sends_and_gets_a_large_file() {
    let app = App::answering(|request| Reply::Full(200, Vec::new(), request.body.clone()));
    let (gate, _) = serving(&app, ROOMY);
    let body = pattern(10_000_000);
    let (up, down) = (gate.folder.write("up", &body), gate.folder.path("down"));
    let said = good(
        curl(&gate)
            .arg("--data-binary")
            .arg(format!("@{up}"))
            .arg("--output")
            .arg(&down)
            .args(["--write-out", "%{http_version} %{response_code}"])
            .arg(url(&gate, "/")),
    );
    assert_eq!(said, "2 200");
    assert!(fs::read(&down).unwrap() == body, "another file came back");
    assert!(app.last().body == body, "another file went up");
}

#[test]
fn curl_uses_one_connection_for_many_requests_at_once() {
    let app = App::echoing_paths();
    let (gate, _) = serving(&app, ROOMY);
    let said = good(
        curl(&gate)
            .args(["--parallel", "--parallel-max", "50"])
            .args(["--write-out", " %{http_version}\n"])
            .arg(url(&gate, "/[1-200]")),
    );
    assert_eq!(
        said.lines().filter(|line| line.ends_with(" 2")).count(),
        200
    );
    assert_eq!(gate.requests("forwarded", "none"), 200.0);
}

#[test]
fn nghttp_gets_what_it_asks_for() {
    let app = App::answering(|_| Reply::Full(200, Vec::new(), pattern(1_000_000)));
    let (gate, _) = serving(&app, ROOMY);
    let said = good(
        tool("nghttp", "nghttp2-client")
            .args(["--null-out", "--stat", "--no-verify-peer", "--multiply=20"])
            .arg(url(&gate, "/").replace(NAME, "127.0.0.1")),
    );
    assert_eq!(said.matches(" 200 ").count(), 20, "{said}");
    assert_eq!(gate.requests("forwarded", "none"), 20.0);
}

/// h2load, which asks until the end; it tells then what it saw.
fn h2load(gate: &Gate, duration: Duration) -> Command {
    let mut h2load = tool("h2load", "nghttp2-client");
    h2load
        .args(["--clients=4", "--threads=1", "--max-concurrent-streams=10"])
        .arg(format!("--duration={}", duration.as_secs()))
        .arg(url(gate, "/").replace(NAME, "127.0.0.1"));
    h2load
}

/// How many requests h2load completed; it must have seen no failure.
fn unfailed(said: &str) -> u64 {
    let line = said.lines().find(|line| line.starts_with("requests:"));
    let line = line.unwrap_or_else(|| panic!("no count: {said}"));
    for nothing in [" 0 failed,", " 0 errored,", " 0 timeout"] {
        assert!(line.contains(nothing), "{said}");
    }
    let mut parts = line.split(", ");
    let succeeded = parts.find_map(|part| part.strip_suffix(" succeeded"));
    succeeded.unwrap().trim().parse().unwrap()
}

fn run_beside(command: &mut Command, mut meanwhile: impl FnMut()) -> String {
    let child: Child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut process = Process(child);
    while process.0.try_wait().unwrap().is_none() {
        meanwhile();
    }
    let mut said = String::new();
    let stdout = process.0.stdout.take().unwrap();
    std::io::Read::read_to_string(&mut std::io::BufReader::new(stdout), &mut said).unwrap();
    said
}

#[test]
fn h2load_sees_no_failure_while_certificates_are_read_again() {
    let app = App::echoing_paths();
    let (gate, _) = serving(&app, ROOMY);
    let mut reloads = 0;
    let said = run_beside(&mut h2load(&gate, Duration::from_secs(2)), || {
        let next = Instant::now() + Duration::from_millis(100);
        gate.verb(&["reload"]).good();
        reloads += 1;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    });
    assert!(unfailed(&said) > 100, "{said}");
    assert!(reloads > 5, "{reloads} reloads");
}
