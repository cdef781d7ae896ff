//! Silence, and what comes too slowly.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{IN_TIME, Siege};
use crate::harness::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GET, HEADERS, INITIAL_WINDOW_SIZE, OK,
    Outcome, PING, PREFACE, block, frame, get, get_path, post, settings, window,
};
use crate::harness::{App, Reply, eventually};

/// Kilobytes that a hundred responses may take whose client does not: what Pingora reads ahead.
const PILE: u64 = 100 * 1024;

/// An app that answers with the path, and sends without end at `/large`.
fn app() -> App {
    App::answering(|request| match request.path.as_str() {
        "/large" => Reply::Takeover(Box::new(send_on)),
        _ => Reply::text(&request.path),
    })
}

fn send_on(mut stream: TcpStream) {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
    let _ = stream.write_all(head);
    let piece = vec![b'x'; 1 << 20];
    let _ = (0..1024).try_for_each(|_| stream.write_all(&piece));
}

/// A connection that begins with these words, and says nothing more, ends for this reason.
#[track_caller]
fn ends_behind(words: &[u8], reason: &str) {
    let siege = Siege::begin();
    let mut frames = Frames::silent(&siege.gate, &siege.trust);
    frames.send(words);
    siege.ends_in_time(frames, Instant::now(), reason);
}

#[test]
fn a_greeting_that_does_not_come_ends_the_connection() {
    for words in [
        b"".as_slice(),
        &PREFACE[..12],
        PREFACE,
        &[PREFACE, &[0, 0]].concat(),
    ] {
        ends_behind(words, "no_request");
    }
}

#[test]
fn a_greeting_byte_by_byte_ends_the_connection() {
    let siege = Siege::begin();
    let mut frames = Frames::silent(&siege.gate, &siege.trust);
    let started = Instant::now();
    let hello = [PREFACE, &settings(&[])].concat();
    for byte in hello.iter().cycle() {
        if started.elapsed() > IN_TIME || frames.0.try_send([*byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    siege.ends_in_time(frames, started, "no_request");
}

#[test]
fn another_greeting_ends_the_connection() {
    for words in [
        "GET / HTTP/1.1\r\nHost: test\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ] {
        ends_behind(words.as_bytes(), "http2_malformed");
    }
}

#[test]
fn silence_behind_the_greeting_ends_the_connection() {
    let siege = Siege::begin();
    let frames = siege.frames();
    siege.ends_in_time(frames, Instant::now(), "no_request");
}

#[test]
fn frames_that_ask_for_nothing_do_not_keep_a_connection() {
    let siege = Siege::begin();
    let mut frames = siege.frames();
    frames.send(get(1));
    assert_eq!(frames.outcome(1), OK);
    let started = Instant::now();
    let late = IN_TIME + Duration::from_secs(1);
    while started.elapsed() < late && frames.0.try_send(frame(PING, 0, 0, &[0; 8])).is_ok() {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(started.elapsed() < late, "{:?}", started.elapsed());
    drop(frames);
    siege.ends_as("keepalive_idle", 1.0);
}

#[test]
fn a_header_block_that_does_not_end_ends_the_connection() {
    let block = block(GET);
    let begun = frame(HEADERS, END_STREAM, 3, &block[..10]);
    let part = frame(HEADERS, END_STREAM | END_HEADERS, 3, &block);
    for words in [begun.as_slice(), &part[..12]] {
        let (app, latch) = App::waiting_at_slow();
        let siege = Siege::of(app);
        let mut frames = siege.frames();
        // One that is being served, so that the connection is not idle.
        frames.send(get_path(1, "/slow"));
        eventually("it to reach the app", || siege.app.requests() == 1);
        let started = Instant::now();
        frames.send(words);
        siege.ends_in_time(frames, started, "http2_header_block");
        latch.open();
    }
}

#[test]
fn a_header_block_byte_by_byte_ends_the_connection() {
    let (app, latch) = App::waiting_at_slow();
    let siege = Siege::of(app);
    let mut frames = siege.frames();
    frames.send(get_path(1, "/slow"));
    eventually("it to reach the app", || siege.app.requests() == 1);
    let started = Instant::now();
    frames.send(frame(HEADERS, END_STREAM, 3, b""));
    while started.elapsed() < IN_TIME {
        let byte = frame(CONTINUATION, 0, 3, b"");
        if frames.0.try_send(byte).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    siege.ends_in_time(frames, started, "http2_header_block");
    latch.open();
}

#[test]
fn a_body_that_stops_ends_its_stream() {
    let siege = Siege::begin();
    let mut frames = siege.frames();
    frames.send([post(1), frame(DATA, 0, 1, b"begun"), post(3)].concat());
    let started = Instant::now();
    assert!(matches!(frames.outcome(1), Outcome::Status(_)));
    assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());
    eventually("both are counted", || {
        siege.gate.requests("failed", "body_timeout") == 2.0
    });
    frames.send(get(5));
    assert_eq!(frames.outcome(5), OK, "its siblings are served");
    assert_eq!(siege.app.requests(), 1);
}

#[test]
fn a_body_that_drips_ends_its_stream() {
    let siege = Siege::begin();
    let mut frames = siege.frames();
    frames.send(post(1));
    let started = Instant::now();
    while started.elapsed() < IN_TIME {
        frames.send(frame(DATA, 0, 1, b"x"));
        if siege.gate.requests("failed", "body_too_slow") == 1.0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());
    assert!(matches!(frames.outcome(1), Outcome::Status(_)));
    frames.send(get(3));
    assert_eq!(frames.outcome(3), OK, "its siblings are served");
}

#[test]
fn a_response_that_the_client_has_no_window_for_is_ended() {
    let siege = Siege::of(app());
    let before = siege.gate.memory();
    let mut frames = siege.frames_with(&[(INITIAL_WINDOW_SIZE, 0)]);
    let started = Instant::now();
    for at in 0..100 {
        frames.send(get_path(2 * at + 1, "/large"));
    }
    eventually("all are counted", || {
        siege.gate.requests("failed", "response_stalled") == 100.0
    });
    let taken = started.elapsed();
    assert!(taken < 2 * IN_TIME, "{taken:?}");
    let grown = siege.gate.memory().saturating_sub(before);
    assert!(grown < PILE, "{grown} kB for a hundred responses");
    siege.ends_as("keepalive_idle", 1.0);
}

#[test]
fn a_window_that_opens_byte_by_byte_is_too_slow() {
    let siege = Siege::of(app());
    let mut frames = siege.frames_with(&[(INITIAL_WINDOW_SIZE, 0)]);
    frames.send(get_path(1, "/large"));
    let started = Instant::now();
    while started.elapsed() < IN_TIME {
        frames.send(window(1, 1));
        if siege.gate.requests("failed", "response_too_slow") == 1.0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());
    siege.serves_others();
}

#[test]
fn a_client_that_never_reads_is_let_go() {
    let siege = Siege::of(app());
    let before = siege.gate.memory();
    let most = i32::MAX as u32;
    let mut frames = siege.frames_with(&[(INITIAL_WINDOW_SIZE, most)]);
    frames.send(window(0, most - 65_535));
    for at in 0..100 {
        frames.send(get_path(2 * at + 1, "/large"));
    }
    eventually("it is let go", || siege.gate.ended("not_reading") == 1.0);
    let grown = siege.gate.memory().saturating_sub(before);
    assert!(grown < PILE, "{grown} kB for a hundred responses");
    siege.ends_as("not_reading", 1.0);
    eventually("its requests are counted", || {
        let gate = &siege.gate;
        let ends = ["response_stalled", "client_gone", "response_too_slow"];
        ends.map(|reason| gate.requests("failed", reason))
            .iter()
            .sum::<f64>()
            == 100.0
    });
}
