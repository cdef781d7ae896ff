//! What is no server's fault: connections that fail for want of something at the gate, and what a
//! connection from before says of those that fail now.

use std::io::Write;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use super::{gate, servers};
use crate::harness::{App, Gate, Reply, eventually, read_head};

const SWITCHING: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

fn prlimit(gate: &Gate, arguments: &[&str]) -> String {
    let mut command = Command::new("prlimit");
    let pid = gate.pid().to_string();
    let output = command.args(["--pid", &pid]).args(arguments).output();
    let output = output.expect("prlimit runs");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn a_gate_without_a_descriptor_leaves_no_server_out() {
    let closing = |_: &_| Reply::Full(200, vec!["Connection: close".to_owned()], Vec::new());
    let app = App::answering(closing);
    let gate = gate(
        &[app.address],
        "eject = { failures = 1, first = \"1h\", longest = \"1h\" }\n\
         health = { every = \"100ms\", rise = 1, fall = 1 }\n",
    );
    let mut clients = [gate.connect(), gate.connect()];
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    let before = prlimit(
        &gate,
        &["--nofile", "--output=SOFT", "--noheadings", "--raw"],
    );
    prlimit(&gate, &["--nofile=1:"]);
    let [plain, switching] = &mut clients;
    let answers = [plain.get("/"), switching.get_with("/", &SWITCHING)];
    // For some checks, which have nothing to show for it.
    std::thread::sleep(Duration::from_millis(300));
    prlimit(&gate, &[&format!("--nofile={before}:")]);
    for answer in answers {
        let told = (answer.status, answer.reason());
        assert_eq!(told, (502, "upstream_connect".to_owned()));
    }
    assert_eq!(servers(&gate, "available"), 1.0, "{:#}", gate.status());
    assert_eq!(gate.get("/").status, 200);
}

#[test]
fn a_connection_from_before_does_not_excuse_a_server_that_takes_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // One connection that goes on, and nobody there for another.
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        drop(listener);
        while !read_head(&mut stream).is_empty() {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .unwrap();
        }
    });
    let gate = gate(
        &[address],
        "eject = { failures = 3, first = \"1h\", longest = \"1h\" }\n",
    );
    let kept = || eventually("the kept connection", || gate.get("/").status == 200);
    kept();
    for _ in 0..3 {
        // What may become a tunnel never goes over a connection from before.
        assert_eq!(gate.connect().get_with("/", &SWITCHING).status, 502);
        kept();
    }
    assert_eq!(servers(&gate, "ejected"), 1.0, "{:#}", gate.status());
}
