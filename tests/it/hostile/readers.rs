//! Clients that do not read what they asked for, or slowly, or at last.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;

use super::*;

#[test]
fn a_client_that_does_not_read_is_closed_and_costs_no_memory() {
    let (ended, app_ended) = mpsc::channel();
    let app = App::answering(move |request| match request.path.as_str() {
        "/large" => {
            let ended = ended.clone();
            Reply::Takeover(Box::new(move |mut stream: TcpStream| {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n");
                let piece = vec![b'x'; 1 << 20];
                let sent = (0..64)
                    .take_while(|_| stream.write_all(&piece).is_ok())
                    .count();
                let _ = ended.send(sent);
            }))
        }
        path => Reply::text(path),
    });
    let gate = Gate::before(&app, IMPATIENT);
    assert_eq!(gate.get("/").status, 200);
    let before = gate.memory();
    let mut connection = gate.connect();
    connection.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("it is counted", || {
        gate.requests("failed", "response_stalled") == 1.0
    });
    let sent = app_ended
        .recv_timeout(Duration::from_secs(5))
        .expect("the app is let go");
    assert!(sent < 64, "the app could send all of it: {sent} MiB");
    let grown = gate.memory().saturating_sub(before);
    assert!(
        grown < 32 * 1024,
        "the gate holds {grown} kB for one client"
    );
    drop(connection);
    assert_unharmed(&gate);
}

#[test]
fn a_client_that_reads_slowly_gets_all_of_it() {
    let app = App::answering(|_| Reply::Full(200, Vec::new(), vec![b'x'; 6 << 20]));
    let gate = Gate::before(&app, IMPATIENT);
    let mut connection = gate.connect();
    connection.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut piece = vec![0; 1 << 20];
    let mut read = 0;
    while read < 6 << 20 {
        std::thread::sleep(Duration::from_millis(60));
        let here = connection.stream().read(&mut piece).unwrap();
        assert!(here > 0, "closed after {read} bytes");
        read += here;
    }
}

#[test]
fn a_thousand_pipelined_requests_are_answered_when_the_client_reads_at_last() {
    let app = App::echoing_paths();
    let patient = IMPATIENT.replace("300ms", "10s");
    let gate = Gate::before(&app, &patient);
    let mut connection = gate.connect();
    let requests: String = (0..1_000)
        .map(|n| format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n"))
        .collect();
    connection.send(requests);
    for n in 0..1_000 {
        assert_eq!(connection.response().text(), format!("/{n}"));
    }
    assert_eq!(accounted(&gate), 1_000.0);
    drop(connection);
    assert_unharmed(&gate);
}
