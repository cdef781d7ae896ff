//! Bodies on their way through: byte for byte, as they come, and never kept whole.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{App, Gate, Latch, ROOMY, Reply, eventually, pattern, read_head};

const MIB: usize = 1024 * 1024;
const LARGE: usize = 32 * MIB;

/// An app that sends a body back as it got it.
fn echoing() -> App {
    App::answering(|request| Reply::Full(200, Vec::new(), request.body.clone()))
}

/// A body in chunks of sizes that fit no buffer.
fn chunked(body: &[u8]) -> Vec<u8> {
    let mut chunks = Vec::with_capacity(body.len() + body.len() / 100);
    let (mut rest, mut size) = (body, 1);
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(size.min(rest.len()));
        write!(chunks, "{:x}\r\n", chunk.len()).unwrap();
        chunks.extend_from_slice(chunk);
        chunks.extend_from_slice(b"\r\n");
        (rest, size) = (behind, size * 3 % 99_991);
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    chunks
}

#[test]
fn bodies_of_every_size_come_back_as_they_were_sent() {
    let app = echoing();
    let gate = Gate::before(&app, ROOMY);
    let mut client = gate.connect();
    for size in [0, 1, 100, 1459, 1460, 4095, 4096, 4097, 16_384, 65_537, MIB] {
        let body = pattern(size);
        let response = client.post("/", &body);
        assert_eq!(response.status, 200, "{size} bytes");
        assert!(
            response.body == body,
            "{size} bytes came back as {} others",
            response.body.len()
        );
    }
    assert_eq!(app.connections(), 1);
}

#[test]
fn chunked_bodies_come_back_as_they_were_sent() {
    let app = echoing();
    let gate = Gate::before(&app, ROOMY);
    let mut client = gate.connect();
    for size in [0, 1, 5000, MIB] {
        let body = pattern(size);
        client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(chunked(&body));
        let response = client.response();
        assert_eq!(response.status, 200, "{size} bytes");
        assert!(
            response.body == body,
            "{size} bytes came back as {} others",
            response.body.len()
        );
    }
}

#[test]
fn chunked_bodies_are_read_whatever_the_cuts_between_their_bytes() {
    let app = echoing();
    let gate = Gate::before(&app, ROOMY);
    let mut client = gate.connect();
    let request = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3;ext=1\r\nabc\r\n00002\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n";
    for byte in request.bytes() {
        client.send([byte]);
    }
    assert_eq!(client.response().text(), "abcde");
    assert_eq!(client.post("/", "after").text(), "after");
}

#[test]
fn trailers_do_not_break_the_requests_behind_them() {
    let app = echoing();
    let gate = Gate::before(&app, ROOMY);
    let mut client = gate.connect();
    client.send(
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nTrailer: Checksum\r\n\r\n\
         4\r\nbody\r\n0\r\nChecksum: abc\r\nOther: def\r\n\r\n\
         POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nnext",
    );
    assert_eq!(client.response().text(), "body");
    assert_eq!(client.response().text(), "next");
    assert_eq!(app.requests(), 2);
}

#[test]
fn trailers_of_a_response_do_not_break_the_connection() {
    let app = App::answering(|request| match request.path.as_str() {
        "/trailers" => Reply::Raw(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
              4\r\nbody\r\n0\r\nX-Sum: 7\r\n\r\n"
                .to_vec(),
        ),
        path => Reply::text(path),
    });
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    assert_eq!(client.get("/trailers").text(), "body");
    assert_eq!(client.get("/after").text(), "/after");
}

#[test]
fn a_response_without_length_ends_with_its_connection() {
    let body = pattern(300_000);
    let sent = body.clone();
    let app = App::answering(move |_| {
        Reply::Raw([b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &sent].concat())
    });
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    for _ in 0..2 {
        let response = client.get("/");
        assert_eq!(response.status, 200);
        assert!(
            response.body == body,
            "{} bytes arrived",
            response.body.len()
        );
        if response.field("transfer-encoding").is_none() {
            client = gate.connect();
        }
    }
}

#[test]
fn a_client_that_expects_100_continue_is_told_to_go_on() {
    let app = App::accepting(|mut stream| {
        let head = read_head(&mut stream);
        assert!(head.to_ascii_lowercase().contains("expect: 100-continue"));
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        let mut body = [0; 4];
        stream.read_exact(&mut body).unwrap();
        assert_eq!(&body, b"body");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
            .unwrap();
    });
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    client
        .send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    let interim = client.read_head().expect("an interim response");
    assert_eq!(interim.status, 100);
    client.send("body");
    assert_eq!(client.response().text(), "done");
}

#[test]
fn a_client_that_expects_100_continue_may_be_answered_at_once() {
    let app = App::accepting(|mut stream| {
        read_head(&mut stream);
        stream
            .write_all(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
            .unwrap();
        // The gate decides about the connection.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    client
        .send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (403, "no"));
}

#[test]
fn a_chunk_reaches_the_app_before_the_client_has_sent_the_next() {
    let (started, finish) = (Latch::new(), Latch::new());
    let (starting, finishing) = (started.clone(), finish.clone());
    let app = App::accepting(move |mut stream| {
        read_head(&mut stream);
        let mut chunk = *b"5\r\nfirst\r\n";
        stream.read_exact(&mut chunk).unwrap();
        starting.open();
        let mut rest = *b"5\r\nlater\r\n0\r\n\r\n";
        stream.read_exact(&mut rest).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
            .unwrap();
        finishing.wait();
        stream.write_all(b"later").unwrap();
    });
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("5\r\nfirst\r\n");
    started.wait();
    client.send("5\r\nlater\r\n0\r\n\r\n");
    // And the other way round: a part of the response comes while the app still waits.
    let head = client.read_head().expect("the response's head");
    assert_eq!(head.field("content-length"), Some("10"));
    assert_eq!(client.read_exact(5), b"first");
    finish.open();
    assert_eq!(client.read_exact(5), b"later");
}

#[test]
fn a_body_of_known_length_reaches_the_app_before_the_client_has_sent_all_of_it() {
    const PART: usize = 64 * 1024;
    let started = Latch::new();
    let starting = started.clone();
    let app = App::accepting(move |mut stream| {
        read_head(&mut stream);
        let mut body = vec![0; 2 * PART];
        // Pingora keeps the last 1460 bytes for the next part of a body whose length is known.
        let (most, rest) = body.split_at_mut(PART - 1460);
        stream.read_exact(most).unwrap();
        starting.open();
        stream.read_exact(rest).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
    });
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    let length = 2 * PART;
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"
    ));
    client.send(pattern(PART));
    started.wait();
    client.send(pattern(PART));
    assert_eq!(client.response().status, 200);
}

/// Kilobytes of memory that a process has had in use at most.
fn peak_memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let words = line.expect("a peak").split_whitespace().nth(1);
    words.unwrap().parse().unwrap()
}

/// Writes until the other side takes no more, and says how much it took.
fn write_until_stuck(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    stream
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut taken = 0;
    while taken < bytes.len() {
        match stream.write(&bytes[taken..]) {
            Ok(written) => taken += written,
            Err(_) => break,
        }
    }
    stream
        .set_write_timeout(Some(crate::harness::PATIENCE))
        .unwrap();
    taken
}

#[test]
fn a_large_upload_waits_for_the_app_and_not_in_the_gate() {
    let (read, done) = (Latch::new(), Latch::new());
    let (reading, received) = (read.clone(), done.clone());
    let app = App::accepting(move |mut stream| {
        read_head(&mut stream);
        reading.wait();
        let mut body = vec![0; LARGE];
        stream.read_exact(&mut body).unwrap();
        assert!(body == pattern(LARGE), "the body is another one");
        received.open();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
    });
    let gate = Gate::before(&app, "");
    let before = peak_memory(gate.pid());
    let body = pattern(LARGE);
    let mut client = gate.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {LARGE}\r\n\r\n"
    ));
    let mut stream = client.stream().try_clone().unwrap();
    let taken = write_until_stuck(&mut stream, &body);
    assert!(
        taken < LARGE,
        "the gate took a body that the app does not read"
    );
    read.open();
    client.send(&body[taken..]);
    assert_eq!(client.response().status, 200);
    done.wait();
    let grown = peak_memory(gate.pid()) - before;
    assert!(grown < 8 * 1024, "the gate has grown by {grown} KiB");
}

#[test]
fn a_large_download_waits_for_the_client_and_not_in_the_gate() {
    let stuck = Latch::new();
    let sending = stuck.clone();
    let app = App::accepting(move |mut stream| {
        read_head(&mut stream);
        let body = pattern(LARGE);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let taken = write_until_stuck(&mut stream, &body);
        assert!(taken < LARGE, "the gate took a body that nobody reads");
        sending.open();
        stream.write_all(&body[taken..]).unwrap();
    });
    let gate = Gate::before(&app, "");
    let before = peak_memory(gate.pid());
    let mut client = gate.connect();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    stuck.wait();
    let response = client.response();
    assert!(response.body == pattern(LARGE), "the body is another one");
    let grown = peak_memory(gate.pid()) - before;
    assert!(grown < 8 * 1024, "the gate has grown by {grown} KiB");
}

#[test]
fn a_large_chunked_body_streams_both_ways() {
    let app = echoing();
    let gate = Gate::before(&app, "");
    let body = pattern(LARGE / 2);
    let (mut client, mut sender) = gate.connect().split();
    let sent = chunked(&body);
    let sending = std::thread::spawn(move || {
        sender.send("PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
        sender.send(sent);
    });
    let response = client.response();
    sending.join().expect("all of it is sent");
    assert!(
        response.body == body,
        "{} bytes came back",
        response.body.len()
    );
}

/// Closing with unread bytes in it resets a connection, and takes back what was sent.
#[test]
fn an_answer_to_half_a_body_arrives_while_the_client_goes_on_sending() {
    let app = App::accepting(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(
            b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge",
        );
        let _ = stream.read(&mut [0; 1024]);
    });
    let gate = Gate::before(&app, "[deadlines]\nrequest_body_idle = \"300ms\"");
    for _ in 0..20 {
        let mut client = gate.connect();
        client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\nstart");
        for _ in 0..10 {
            // An error is no news: the answer is what counts.
            let _ = client.try_send([b'x'; 1000]);
        }
        assert_eq!(client.response().status, 413);
    }
}

#[test]
fn an_app_may_answer_before_it_has_the_whole_body() {
    let app = App::accepting(|mut stream| {
        read_head(&mut stream);
        stream
            .write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge")
            .unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let gate = Gate::before(&app, "[deadlines]\nrequest_body_idle = \"300ms\"");
    let mut client = gate.connect();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\nstart");
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (413, "large"));
    // Nothing else can follow on this connection while the rest of the body is missing.
    assert!(
        client.is_closed(),
        "half a body leaves nothing to go on with"
    );
    let lines = gate.log(1);
    assert_eq!(lines.len(), 1, "one outcome: {lines:#?}");
    assert_eq!(lines[0]["http.response.status_code"], 413, "{lines:#?}");
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_body_is_the_clients_failure() {
    let app = App::accepting(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let gate = Gate::before(&app, "");
    let mut client = gate.connect();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nhalf");
    eventually("the app to be reached", || app.connections() == 1);
    drop(client);
    eventually("the failure to be counted", || {
        gate.metric("tidegate_requests_total{outcome=\"failed\",reason=\"client_gone\"}") == 1.0
    });
}
