//! Request smuggling: forms of length, transfer coding and chunking that a front and an app are known
//! to have read differently, each with a second request behind it that must not come to be.
//!
//! Beside the tables in `heads` and `chunks`, which go through the grammar, these go through the ways
//! of the attack: a length for one side and a coding for the other, a coding that one side does not
//! recognise, a chunk that ends elsewhere. The app here records every byte and answers nothing.

use std::io::Read;
use std::sync::{Arc, Mutex};

use crate::harness::{App, Gate, ROOMY, eventually};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";

/// An app that keeps what it gets.
fn recording() -> (App, Arc<Mutex<Vec<u8>>>) {
    let record = Arc::new(Mutex::new(Vec::new()));
    let recorded = record.clone();
    let app = App::accepting(move |mut stream| {
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut piece) {
            recorded.lock().unwrap().extend_from_slice(&piece[..read]);
        }
    });
    (app, record)
}

/// Sends each form on a connection of its own: it is answered with 400, told to close, and closed.
fn refused<T: AsRef<[u8]>>(gate: &Gate, forms: &[(String, T)]) {
    let mut wrong = Vec::new();
    for (name, bytes) in forms {
        let mut connection = gate.connect();
        // The gate may close before it has read all of it.
        let _ = connection.try_send(bytes.as_ref());
        match connection.try_response() {
            Some(response) if response.status != 400 => {
                wrong.push(format!("{name:?}: answered {}", response.status));
            }
            Some(response) if !response.closes() => wrong.push(format!("{name:?}: kept open")),
            Some(_) if !connection.is_closed() => wrong.push(format!("{name:?}: not closed")),
            Some(_) => {}
            None => wrong.push(format!("{name:?}: no answer")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The lines of a POST, and behind them what is a body to one side and a request to the other.
fn post(lines: &[u8], behind: &str) -> Vec<u8> {
    let start = b"POST / HTTP/1.1\r\nHost: test\r\n".as_slice();
    [start, lines, b"\r\n\r\n", behind.as_bytes()].concat()
}

fn named(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Asserts that the head alone is the reason: the app gets not even a connection.
fn refused_by_its_head(forms: Vec<(String, Vec<u8>)>) {
    let (app, _) = recording();
    let gate = Gate::before(&app, ROOMY);
    refused(&gate, &forms);
    assert_eq!(app.connections(), 0, "the app got a connection");
    assert_eq!(
        gate.requests("refused", "malformed"),
        forms.len() as f64,
        "each form is one refused request, and nothing behind it is another"
    );
}

#[test]
fn a_length_for_one_side_and_a_coding_for_the_other() {
    let ends_early = format!("0\r\n\r\n{SMUGGLED}");
    let size = SMUGGLED.len();
    let in_a_chunk = format!("{size:x}\r\n{SMUGGLED}\r\n0\r\n\r\n");
    let mut forms = Vec::new();
    for (lines, behind) in [
        // The front by the length, the app by the coding.
        (
            "Content-Length: 43\r\nTransfer-Encoding: chunked",
            &ends_early,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 43",
            &ends_early,
        ),
        // The other way round: a length that ends within the first chunk's line.
        (
            "Content-Length: 4\r\nTransfer-Encoding: chunked",
            &in_a_chunk,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 4",
            &in_a_chunk,
        ),
        (
            "Content-Length: 0\r\nTransfer-Encoding: chunked",
            &in_a_chunk,
        ),
        (
            "Content-Length: 4\r\nTransfer-Encoding: identity",
            &in_a_chunk,
        ),
        ("Content-Length: 4\r\nTransfer-Encoding: gzip", &in_a_chunk),
        ("Content-Length: 4\r\nTransfer-Encoding:", &in_a_chunk),
        (
            "Content-Length: 4\r\ntransfer-encoding:chunked",
            &in_a_chunk,
        ),
        (
            "Content-Length: 4\r\nTRANSFER-ENCODING: CHUNKED",
            &in_a_chunk,
        ),
        (
            "Connection: Content-Length\r\nContent-Length: 4\r\nTransfer-Encoding: chunked",
            &in_a_chunk,
        ),
        (
            "Connection: Transfer-Encoding\r\nContent-Length: 4\r\nTransfer-Encoding: chunked",
            &in_a_chunk,
        ),
        // Applications of the CGI kind read an underscore as a hyphen, and behind some servers every
        // other character that is not a letter, too.
        (
            "Content-Length: 4\r\nTransfer_Encoding: chunked",
            &in_a_chunk,
        ),
        ("Transfer_Encoding: chunked", &in_a_chunk),
        ("Content-Length: 4\r\nContent_Length: 43", &ends_early),
        ("Content_Length: 43", &ends_early),
        ("Content.Length: 43", &ends_early),
        ("TRANSFER~ENCODING: chunked", &in_a_chunk),
        (
            "Transfer-Encoding: chunked\r\nContent_Length: 43",
            &ends_early,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer_Encoding: identity",
            &ends_early,
        ),
        // Two lengths that only one side tells apart.
        (
            "Content-Length: 4\r\nX: y\r\nContent-Length: 43",
            &ends_early,
        ),
        ("Content-Length: 0\r\nContent-length: 43", &ends_early),
        ("Content-Length: 0\r\n content-length: 43", &ends_early),
    ] {
        forms.push((lines.to_owned(), post(lines.as_bytes(), behind)));
    }
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let head = "Content-Length: 4\r\nTransfer-Encoding: chunked";
        let bytes = format!("{method} / HTTP/1.1\r\nHost: test\r\n{head}\r\n\r\n{in_a_chunk}");
        forms.push((format!("{method} with both"), bytes.into_bytes()));
    }
    refused_by_its_head(forms);
}

#[test]
fn a_coding_that_one_side_does_not_recognise() {
    let lines: [&[u8]; 36] = [
        b"Transfer-Encoding: chunked\x0b",
        b"Transfer-Encoding: chunked\x0c",
        b"Transfer-Encoding: \x0cchunked",
        b"Transfer-Encoding: \x00chunked",
        b"Transfer-Encoding: \x01chunked",
        b"Transfer-Encoding: \x7fchunked",
        b"Transfer-Encoding: \x1achunked",
        b"Transfer-Encoding: \xa0chunked",
        b"Transfer-Encoding: chunked\xa0",
        b"Transfer-Encoding: \xc2\xa0chunked",
        b"Transfer-Encoding: \x85chunked",
        b"Transfer-Encoding: \xffchunked",
        b"Transfer-Encoding: \xe3\x80\x80chunked",
        b"Transfer-Encoding: \xef\xbb\xbfchunked",
        b"Transfer-Encoding: 'chunked'",
        b"Transfer-Encoding: [chunked]",
        b"Transfer-Encoding: chunk",
        b"Transfer-Encoding: chunked chunked",
        b"Transfer-Encoding: chunked; x",
        b"Transfer-Encoding: chunked;",
        b"Transfer-Encoding: chunked=1",
        b"Transfer-Encoding: x, chunked",
        b"Transfer-Encoding: compress, deflate, chunked",
        b"Transfer-Encoding: chunked\r\n , identity",
        b"Transfer-Encoding:\r\n\tchunked",
        b"Transfer-Encoding\r\n: chunked",
        b"Transfer-Encoding\x00: chunked",
        b"Transfer-Encoding\x0b: chunked",
        b"Transfer-Encoding\xa0: chunked",
        b"Transfer-Encoding;: chunked",
        b"Transfer-Encoding=chunked",
        b"Transfer Encoding: chunked",
        b"\x00Transfer-Encoding: chunked",
        b"X: y\r\rTransfer-Encoding: chunked",
        b"X: y\n\rTransfer-Encoding: chunked",
        b"X: y\x00\nTransfer-Encoding: chunked",
    ];
    let behind = format!("0\r\n\r\n{SMUGGLED}");
    let mut forms = Vec::new();
    for line in lines {
        // Alone, and with a length that the side goes by which sees no coding.
        forms.push((named(line), post(line, &behind)));
        let both = [b"Content-Length: 43\r\n", line].concat();
        forms.push((named(&both), post(&both, &behind)));
    }
    refused_by_its_head(forms);
}

#[test]
fn a_length_that_is_another_number_to_somebody() {
    let lines: [&[u8]; 21] = [
        b"Content-Length: -0",
        b"Content-Length: +0",
        b"Content-Length: 43.",
        b"Content-Length: 43,",
        b"Content-Length: ,43",
        b"Content-Length: 43;",
        b"Content-Length: 43 43",
        b"Content-Length: 4 3",
        b"Content-Length: 43\x00",
        b"Content-Length: 43\x0b",
        b"Content-Length: \x0c43",
        b"Content-Length: \xa043",
        b"Content-Length: 43\xa0",
        b"Content-Length: \xd9\xa4\xd9\xa3",
        // What is left of them when 64 or 32 bits overflow is 43.
        b"Content-Length: 18446744073709551659",
        b"Content-Length: 340282366920938463463374607431768211499",
        b"Content-Length: 43\r\n 0",
        b"Content-Length:\r\n\t43",
        b"Content-Length\x00: 43",
        b"Content Length: 43",
        b"X: y\rContent-Length: 43",
    ];
    let behind = format!("0\r\n\r\n{SMUGGLED}");
    let forms = lines.map(|line| (named(line), post(line, &behind)));
    refused_by_its_head(forms.to_vec());
}

#[test]
fn a_chunk_that_ends_elsewhere() {
    let (app, record) = recording();
    let gate = Gate::before(&app, ROOMY);
    let bodies: [&[u8]; 44] = [
        b"5\r\r\nhello\r\n0\r\n\r\n",
        b"5\n\nhello\r\n0\r\n\r\n",
        b"5\n\rhello\r\n0\r\n\r\n",
        b"5;\nhello\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"5;a\r\r\nhello\r\n0\r\n\r\n",
        b"5;\x0b\r\nhello\r\n0\r\n\r\n",
        b"5;\x7f\r\nhello\r\n0\r\n\r\n",
        b"5\x00\r\nhello\r\n0\r\n\r\n",
        b"5\x0b\r\nhello\r\n0\r\n\r\n",
        b"5\x0c\r\nhello\r\n0\r\n\r\n",
        b"5\xa0\r\nhello\r\n0\r\n\r\n",
        b"\xef\xbb\xbf5\r\nhello\r\n0\r\n\r\n",
        b"\xef\xbc\x95\r\nhello\r\n0\r\n\r\n",
        b"\t5\r\nhello\r\n0\r\n\r\n",
        b"\x005\r\nhello\r\n0\r\n\r\n",
        b"5\t;a\r\nhello\r\n0\r\n\r\n",
        b"5h\r\nhello\r\n0\r\n\r\n",
        b"5,5\r\nhello\r\n0\r\n\r\n",
        b"5.0\r\nhello\r\n0\r\n\r\n",
        b"5e0\x20\r\nhello\r\n0\r\n\r\n",
        b"0x0\r\n\r\n",
        b"0X5\r\nhello\r\n0\r\n\r\n",
        b"-0\r\n\r\n",
        b"+0\r\n\r\n",
        b"0 \r\n\r\n",
        b"0,\r\n\r\n",
        b"\r\n0\r\n\r\n",
        b"\n0\r\n\r\n",
        b"100000000000000005\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\r\n0\r\n\r\n",
        b"5\r\nhello\n\r0\r\n\r\n",
        b"5\r\nhello\r\n\r\n0\r\n\r\n",
        b"5\r\nhello;0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"0\r\n\r\r",
        b"0\r\n\rX",
        b"0\r\n\n",
        b"0\r\nx : y\r\n\r\n",
        b"0\r\n\tx: y\r\n\r\n",
        b"0\r\nx: y\n\r\n",
        b"0\r\nx: y\rz\r\n\r\n",
        b"0\r\n\x00: y\r\n\r\n",
        b"0\r\nx\x00: y\r\n\r\n",
    ];
    let forms = bodies.map(|body| {
        let mut bytes = post(b"Transfer-Encoding: chunked", "");
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(SMUGGLED.as_bytes());
        (named(body), bytes)
    });
    refused(&gate, &forms);
    eventually("each of them is counted once", || {
        gate.requests("failed", "body_malformed") == forms.len() as f64
    });
    let record = record.lock().unwrap();
    let seen = String::from_utf8_lossy(&record);
    assert!(!seen.contains("smuggled"), "the app saw {seen}");
    assert!(!seen.contains("\r\n0\r\n\r\n"), "a body was whole: {seen}");
}
