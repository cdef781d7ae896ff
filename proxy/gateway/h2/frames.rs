//! The frames of a client's HTTP/2 connection, counted as they come in, before anything is made of
//! them (RFC 9113 section 4.1).
//!
//! The `h2` crate bounds what it keeps; it does not bound how long a header block may take, nor how
//! many frames that ask for nothing a client may send. Both are seen here, and nowhere else: the
//! accept loop then says goodbye with GOAWAY.

use std::time::Instant;

/// What a client says first (RFC 9113 section 3.4).
const PREFACE: usize = 24;
const FRAME_HEADER: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;
/// The bits of a stream's number that mean anything.
const STREAM_NUMBER: u32 = u32::MAX >> 1;
/// The flag of the last frame of a header block.
const END_HEADERS: u8 = 0x4;
/// The flag of the last frame of a body.
const END_STREAM: u8 = 0x1;

/// Frames that ask for nothing (SETTINGS, PING, PRIORITY, empty DATA, unknown ones): as many at once,
/// and so many more each second. A browser sends ten at its start; a client that measures its line
/// by pings some dozens a second.
const IDLE_BURST: u32 = 500;
const IDLE_PER_SECOND: u32 = 100;
/// CONTINUATION frames of one header block: 64 KiB of it fit into four of the usual size. The `h2`
/// crate ends a connection at the sixth, too, and does not say for what.
const MAX_CONTINUATIONS: u32 = 5;
/// Streams that a client may cancel before they have to be fewer than every second one: rapid reset
/// (CVE-2023-44487) cancels all, people who leave a page a few.
const FREE_RESETS: u64 = 100;
/// Streams that may come to nothing until they have to be fewer than every second one: a client may
/// open more than it may have before it is told how many that are.
const FREE_STREAMS: u64 = 300;
/// Window updates at once, and one more for so many bytes that the client was sent.
const FREE_UPDATES: u64 = 1000;
const BYTES_PER_UPDATE: u64 = 16;

/// What a client did that ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abuse {
    /// A flood of frames that ask for nothing.
    Frames,
    /// Streams opened to be cancelled.
    Resets,
    /// A header block that did not end in time, or in too many pieces.
    HeaderBlock,
    /// Streams that the `h2` crate refused, so that no request came of them.
    Malformed,
}

/// What is known of a connection beside what it sends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Bytes that the client was sent.
    pub(super) sent: u64,
    /// Requests that came of its streams.
    pub(super) requests: u64,
}

/// Where in the stream of frames the next byte is.
#[derive(Clone, Copy, Debug)]
enum At {
    /// In the preface, with so many bytes of it to come.
    Preface(usize),
    /// In a frame's header, with so many bytes of it there.
    Header([u8; FRAME_HEADER], usize),
    /// In a frame's payload, with so many bytes of it to come.
    Payload(usize),
}

/// What was seen of the frames.
#[derive(Debug)]
pub(super) struct Count {
    at: At,
    /// CONTINUATION frames of the header block that is open.
    open_block: Option<u32>,
    /// Header blocks so far.
    blocks: u64,
    /// Whether the frame that is being read closes it.
    closes: bool,
    streams: u64,
    /// The highest number of a stream: other HEADERS are trailers.
    newest: u32,
    resets: u64,
    updates: u64,
    /// Bodies that ended with an empty frame.
    empty_ends: u64,
    idle_left: u32,
    refilled: Instant,
}

impl Count {
    pub(super) fn new() -> Self {
        Count {
            at: At::Preface(PREFACE),
            open_block: None,
            blocks: 0,
            closes: false,
            streams: 0,
            newest: 0,
            resets: 0,
            updates: 0,
            empty_ends: 0,
            idle_left: IDLE_BURST,
            refilled: Instant::now(),
        }
    }

    /// The number of the header block that is open.
    pub(super) fn open_block(&self) -> Option<u64> {
        self.open_block.map(|_| self.blocks)
    }

    /// Goes over what was read.
    pub(super) fn read(&mut self, mut bytes: &[u8], known: Known) -> Result<(), Abuse> {
        while !bytes.is_empty() {
            let taken = self.step(bytes, known)?;
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Goes over the beginning, and says how long it was.
    fn step(&mut self, bytes: &[u8], known: Known) -> Result<usize, Abuse> {
        match self.at {
            At::Preface(left) => {
                let taken = left.min(bytes.len());
                self.at = match left - taken {
                    0 => At::Header([0; FRAME_HEADER], 0),
                    left => At::Preface(left),
                };
                Ok(taken)
            }
            At::Header(mut header, filled) => {
                let taken = (FRAME_HEADER - filled).min(bytes.len());
                for (to, from) in header.iter_mut().skip(filled).zip(bytes) {
                    *to = *from;
                }
                self.at = At::Header(header, filled + taken);
                if filled + taken == FRAME_HEADER {
                    self.begin(header, known)?;
                }
                Ok(taken)
            }
            At::Payload(left) => {
                let taken = left.min(bytes.len());
                self.payload(left - taken);
                Ok(taken)
            }
        }
    }

    fn payload(&mut self, left: usize) {
        self.at = match left {
            0 => At::Header([0; FRAME_HEADER], 0),
            left => At::Payload(left),
        };
        if left == 0 && self.closes {
            self.open_block = None;
            self.closes = false;
        }
    }

    fn begin(&mut self, header: [u8; FRAME_HEADER], known: Known) -> Result<(), Abuse> {
        let [high, middle, low, kind, flags, stream @ ..] = header;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        self.closes = matches!(kind, HEADERS | CONTINUATION) && flags & END_HEADERS != 0;
        match kind {
            HEADERS => {
                let stream = u32::from_be_bytes(stream) & STREAM_NUMBER;
                if stream > self.newest {
                    self.newest = stream;
                    self.streams += 1;
                }
                if self.streams > FREE_STREAMS + 2 * known.requests {
                    return Err(Abuse::Malformed);
                }
                self.blocks += 1;
                self.open_block = Some(0);
            }
            CONTINUATION => {
                let pieces = self.open_block.get_or_insert(0);
                *pieces += 1;
                if *pieces > MAX_CONTINUATIONS {
                    return Err(Abuse::HeaderBlock);
                }
            }
            RST_STREAM => {
                self.resets += 1;
                if self.resets > FREE_RESETS && self.resets * 2 > self.streams {
                    return Err(Abuse::Resets);
                }
            }
            WINDOW_UPDATE => {
                self.updates += 1;
                if self.updates > FREE_UPDATES + known.sent / BYTES_PER_UPDATE {
                    return Err(Abuse::Frames);
                }
            }
            DATA if length > 0 => {}
            // Many clients end a body with an empty frame, of which a stream has one.
            DATA if flags & END_STREAM != 0 && self.empty_ends < self.streams => {
                self.empty_ends += 1;
            }
            _ => self.take_idle()?,
        }
        self.payload(length);
        Ok(())
    }

    fn take_idle(&mut self) -> Result<(), Abuse> {
        if self.idle_left == 0 {
            let since = self.refilled.elapsed().as_millis();
            let more = since * u128::from(IDLE_PER_SECOND) / 1000;
            let more = u32::try_from(more).unwrap_or(IDLE_BURST).min(IDLE_BURST);
            if more == 0 {
                return Err(Abuse::Frames);
            }
            self.idle_left = more;
            self.refilled = Instant::now();
        }
        self.idle_left -= 1;
        Ok(())
    }
}
