//! Floods of frames, each of which is allowed.

use std::time::Instant;

use super::{FLOOD, Siege};
use crate::harness::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GET, HEADERS, OK, Outcome, PING,
    PRIORITY, SETTINGS, block, frame, get, get_path, head, integer, post, reset, settings, string,
    window,
};
use crate::harness::{App, Latch, eventually};

const ENHANCE_YOUR_CALM: u32 = 11;

/// Sends a flood on one connection: it ends for this reason, and leaves nothing behind.
#[track_caller]
fn ends(siege: &Siege, reason: &str, times: usize, bytes: impl FnMut(usize) -> Vec<u8>) {
    let before = siege.gate.memory();
    let ended = siege.gate.ended(reason);
    let started = Instant::now();
    let mut frames = siege.frames();
    let sent = frames.flood(times, bytes);
    siege.ends_as(reason, ended + 1.0);
    let grown = siege.gate.memory().saturating_sub(before);
    assert!(grown < FLOOD, "{grown} kB more behind {sent} times");
    let taken = started.elapsed();
    assert!(taken.as_secs() < 10, "{sent} times took {taken:?}");
}

#[test]
fn frames_that_ask_for_nothing_end_the_connection() {
    let unknown = frame(0x55, 0xff, 77, b"unknown");
    let priority = frame(PRIORITY, 0, 7, &[0, 0, 0, 0, 1]);
    let ping = frame(PING, 0, 0, &[0; 8]);
    for bytes in [
        ping,
        settings(&[]),
        settings(&[(1, 0), (1, 4096), (4, 1), (5, 16_384)]),
        priority,
        window(0, 1),
        unknown,
    ] {
        let siege = Siege::begin();
        ends(&siege, "http2_frames", 100_000, |_| bytes.repeat(10));
        assert_eq!(siege.app.requests(), 1);
    }
}

#[test]
fn a_client_that_reads_what_its_flood_is_answered_with_is_told() {
    let siege = Siege::begin();
    let mut frames = siege.frames();
    let mut acknowledged = 0;
    // A few are answered before the rest begins to be too much, which may be before the last.
    frames.send(settings(&[]).repeat(10));
    let answer = frames.next().expect("an answer");
    acknowledged += u32::from((answer.kind, answer.flags) == (SETTINGS, ACK));
    frames.flood(600, |_| settings(&[]));
    while let Some(next) = frames.next() {
        match (next.kind, next.flags) {
            (SETTINGS, ACK) => acknowledged += 1,
            (7, _) => assert_eq!(next.payload[7], ENHANCE_YOUR_CALM as u8),
            _ => {}
        }
    }
    assert!(acknowledged > 0);
    siege.ends_as("http2_frames", 1.0);
}

#[test]
fn empty_parts_of_a_body_end_the_connection() {
    let siege = Siege::begin();
    ends(&siege, "http2_frames", 100_000, |at| match at {
        0 => post(1),
        _ => frame(DATA, 0, 1, b"").repeat(10),
    });
    // Nothing but padding is empty, too.
    ends(&siege, "http2_frames", 100_000, |at| match at {
        0 => post(1),
        _ => frame(DATA, 8, 1, &[0]).repeat(10),
    });
    // The end of a body that the gate has reset, again and again: the first window is too large.
    ends(&siege, "http2_frames", 100_000, |at| match at {
        0 => [post(1), window(1, i32::MAX as u32)].concat(),
        _ => frame(DATA, END_STREAM, 1, b"").repeat(10),
    });
    ends(&siege, "http2_frames", 100_000, |at| match at {
        0 => [post(1), window(1, i32::MAX as u32)].concat(),
        _ => frame(DATA, 8, 1, &[0]).repeat(10),
    });
}

#[test]
fn bodies_that_end_with_an_empty_frame_are_served_however_many() {
    let siege = Siege::begin();
    let mut frames = siege.frames();
    for at in 0..700 {
        frames.send([post(id(at)), frame(DATA, END_STREAM, id(at), b"")].concat());
        assert_eq!(frames.outcome(id(at)), OK, "request {at}");
    }
}

#[test]
fn small_parts_of_a_body_that_nobody_takes_do_not_pile_up() {
    let latch = Latch::new();
    let held = latch.clone();
    let app = App::accepting(move |stream| {
        held.wait();
        drop(stream);
    });
    let siege = Siege::of(app);
    let before = siege.gate.memory();
    let mut frames = siege.frames();
    // What the sockets on the way to the app take.
    for stream in 0..50_u32 {
        frames.send(post(2 * stream + 1));
    }
    let piece = |at: usize| {
        let stream = 2 * (at as u32 % 50) + 1;
        frame(DATA, 0, stream, b"x")
    };
    let sent = frames.flood(200_000, piece);
    let grown = siege.gate.memory().saturating_sub(before);
    assert!(grown < 2 * FLOOD, "{grown} kB more behind {sent} bytes");
    latch.open();
}

#[test]
fn streams_that_are_opened_to_be_reset_end_the_connection() {
    let siege = Siege::begin();
    ends(&siege, "http2_resets", 10_000, |at| {
        [get(id(at)), reset(id(at))].concat()
    });
    // Trailers are no stream.
    let trailers = |at| {
        frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            id(at),
            &block(&[("x", "1")]),
        )
    };
    ends(&siege, "http2_resets", 10_000, |at| {
        [post(id(at)), trailers(at), reset(id(at))].concat()
    });
    // A stream that is over can be reset again and again.
    ends(&siege, "http2_resets", 10_000, |at| match at {
        0 => get(1),
        _ => reset(1),
    });
    assert!(
        siege.app.requests() < 1000,
        "{} requests",
        siege.app.requests()
    );
}

/// The number of a client's first, second ... stream.
fn id(at: usize) -> u32 {
    2 * at as u32 + 1
}

/// A stream that stays open.
fn open(at: usize) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, id(at), &block(GET))
}

/// What a flood sends the first, second ... time.
type Flood = Box<dyn Fn(usize) -> Vec<u8>>;

#[test]
fn streams_that_make_the_gate_reset_them_end_the_connection() {
    let most = i32::MAX as u32;
    let errors: [(&str, Flood); 5] = [
        (
            "windows that overflow",
            Box::new(move |at| [open(at), window(id(at), most)].concat()),
        ),
        (
            "windows that grow by nothing",
            Box::new(move |at| [open(at), window(id(at), 0)].concat()),
        ),
        (
            "DATA behind the end",
            Box::new(move |at| [get(id(at)), frame(DATA, 0, id(at), b"x")].concat()),
        ),
        (
            "HEADERS behind the end",
            Box::new(move |at| [get(id(at)), get(id(at))].concat()),
        ),
        (
            "a stream on itself",
            Box::new(move |at| {
                let on_itself = id(at).to_be_bytes();
                let priority = frame(PRIORITY, 0, id(at), &[&on_itself[..], &[1]].concat());
                [open(at), priority].concat()
            }),
        ),
    ];
    for (what, error) in errors {
        let (app, latch) = App::waiting_at_slow();
        let siege = Siege::of(app);
        let mut frames = siege.frames();
        let sent = frames.flood(10_000, &error);
        let code = frames.goodbye();
        assert!(
            code.is_none_or(|code| code != 0),
            "{what}: {code:?} behind {sent}"
        );
        siege.serves_others();
        eventually("it ends", || {
            let gate = &siege.gate;
            gate.ended("http2_frames") + gate.ended("http2_malformed") == 1.0
        });
        let requests = siege.app.requests();
        assert!(requests < 200, "{what}: {requests} requests");
        latch.open();
    }
}

#[test]
fn a_header_block_without_end_ends_the_connection() {
    let siege = Siege::begin();
    for piece in [b"".as_slice(), &[0; 16_384]] {
        ends(&siege, "http2_header_block", 10_000, |at| match at {
            0 => frame(HEADERS, END_STREAM, 1, &block(GET)),
            _ => frame(CONTINUATION, 0, 1, piece),
        });
    }
}

#[test]
fn fields_that_point_at_a_large_one_are_not_written_out() {
    let siege = Siege::begin();
    let before = siege.gate.memory();
    // A field of 4,000 bytes goes into the table (RFC 7541 section 6.2.1); an octet each asks for it.
    let mut bomb = block(GET);
    bomb.push(0x40);
    bomb.extend(string(b"x"));
    bomb.extend(string(&[b'a'; 4000]));
    bomb.extend(integer(7, 0x80, 62).repeat(10_000));
    for count in 1..=20 {
        let mut frames = siege.frames();
        frames.send(head(END_STREAM, 1, &bomb));
        assert_eq!(frames.goodbye(), Some(ENHANCE_YOUR_CALM));
        eventually("it ends", || {
            siege.gate.ended("http2_frames") == f64::from(count)
        });
    }
    let grown = siege.gate.memory().saturating_sub(before);
    assert!(grown < FLOOD, "{grown} kB behind 800 MB");
    assert_eq!(siege.app.requests(), 0);
    siege.serves_others();
}

#[test]
fn absurd_settings_harm_nobody() {
    let siege = Siege::begin();
    let before = siege.gate.memory();
    for (name, value, fails) in [
        (1, u32::MAX, false),
        (1, 0, false),
        (2, 7, true),
        (3, 0, false),
        (4, u32::MAX, true),
        (5, 0, true),
        (5, u32::MAX, true),
        (6, 0, false),
        (6, u32::MAX, false),
        (8, 1, false),
        (0xffff, u32::MAX, false),
    ] {
        let mut frames = Frames::open(&siege.gate, &siege.trust, &[(name, value)]);
        let _ = frames.0.try_send(get(1));
        let outcome = frames.outcome(1);
        match fails {
            true => assert!(matches!(outcome, Outcome::Over(_)), "{name}: {outcome:?}"),
            // A change of the table's size may stand before the status.
            false => assert!(matches!(outcome, Outcome::Status(_)), "{name}: {outcome:?}"),
        }
    }
    let grown = siege.gate.memory().saturating_sub(before);
    assert!(grown < FLOOD, "{grown} kB");
    siege.serves_others();
}

#[test]
fn a_flood_beside_a_good_client_does_not_end_it() {
    let siege = Siege::patient();
    let mut good = siege.frames();
    for at in 0..10 {
        let mut bad = siege.frames();
        let _ = bad.flood(1000, |_| frame(PING, 0, 0, &[0; 8]));
        good.send(get(2 * at + 1));
        assert_eq!(good.outcome(2 * at + 1), OK);
    }
}

#[test]
fn a_client_that_does_not_go_when_told_is_cut_off() {
    let app = App::echoing_paths();
    let limited = super::IMPATIENT.replace("1_000_000_000", "10");
    let (gate, trust) = crate::http2::serving(&app, &limited);
    let mut frames = Frames::open(&gate, &trust, &[]);
    // It never answers the PING that goes with the GOAWAY.
    let served = (0..1000).take_while(|at| {
        let stream = 2 * at + 1;
        frames.0.try_send(get(stream)).is_ok() && frames.outcome(stream) == OK
    });
    let served = served.count();
    assert!((10..=110).contains(&served), "{served} requests");
    eventually("it ends", || gate.ended("requests_limit") == 1.0);
    assert!(app.requests() <= 110, "{} requests", app.requests());
}

#[test]
fn more_streams_than_may_be_are_refused_and_end_the_connection() {
    let (app, latch) = App::waiting_at_slow();
    let siege = Siege::of(app);
    let slow = |at: usize| get_path(id(at), "/slow");
    let mut frames = siege.frames();
    frames.flood(110, slow);
    for stream in (201..=219).step_by(2) {
        assert_eq!(frames.outcome(stream), Outcome::Reset(7), "REFUSED_STREAM");
    }
    eventually("the others reach the app", || siege.app.requests() == 100);
    drop(frames);
    ends(&siege, "http2_frames", 1000, slow);
    assert!(siege.app.requests() <= 201, "{}", siege.app.requests());
    latch.open();
}
