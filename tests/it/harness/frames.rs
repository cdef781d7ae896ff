//! A client that sends exactly the frames it is told to (RFC 9113 section 4.1).

use super::{Connection, Gate, Trust};

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const PRIORITY: u8 = 0x2;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const PING: u8 = 0x6;
pub const GOAWAY: u8 = 0x7;
pub const WINDOW_UPDATE: u8 = 0x8;
pub const CONTINUATION: u8 = 0x9;

pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const ACK: u8 = 0x1;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const INITIAL_WINDOW_SIZE: u16 = 0x4;

/// The pseudo-fields of a GET.
pub const GET: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "one.example"),
    (":path", "/"),
];
/// The pseudo-fields of a POST.
pub const POST: &[(&str, &str)] = &[
    (":method", "POST"),
    (":scheme", "https"),
    (":authority", "one.example"),
    (":path", "/"),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// How a stream was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a response; its first field is the status, as HPACK has it.
    Status(u8),
    /// With RST_STREAM and this code.
    Reset(u32),
    /// The connection ended with this code of GOAWAY, if there was one.
    Over(Option<u32>),
}

/// 200, 400 and 404 in HPACK's static table (RFC 7541 appendix A).
pub const OK: Outcome = Outcome::Status(0x88);
pub const BAD_REQUEST: Outcome = Outcome::Status(0x8c);

/// A frame as it goes over the wire.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header block of literals that are never indexed, without Huffman's code (RFC 7541 section 6.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        bytes.extend(string(name.as_bytes()));
        bytes.extend(string(value.as_bytes()));
    }
    bytes
}

/// A string literal (RFC 7541 section 5.2).
pub fn string(text: &[u8]) -> Vec<u8> {
    let mut bytes = integer(7, 0, text.len());
    bytes.extend(text);
    bytes
}

/// An integer behind some bits (RFC 7541 section 5.1).
pub fn integer(bits: u32, first: u8, mut value: usize) -> Vec<u8> {
    let most = (1_usize << bits) - 1;
    if value < most {
        return vec![first | value as u8];
    }
    let mut bytes = vec![first | most as u8];
    value -= most;
    while value >= 128 {
        bytes.push(value as u8 | 128);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A header block in as many frames as it takes.
pub fn head(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    let mut pieces = block.chunks(16_384).enumerate().peekable();
    let mut bytes = Vec::new();
    while let Some((at, piece)) = pieces.next() {
        let (kind, flags) = if at == 0 {
            (HEADERS, flags)
        } else {
            (CONTINUATION, 0)
        };
        let end = if pieces.peek().is_none() {
            END_HEADERS
        } else {
            0
        };
        bytes.extend(frame(kind, flags | end, stream, piece));
    }
    bytes
}

/// SETTINGS with these values.
pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in values {
        payload.extend(name.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

/// Opens a stream that has no body.
pub fn get(stream: u32) -> Vec<u8> {
    get_path(stream, "/")
}

/// Opens a stream that has no body and asks for this path.
pub fn get_path(stream: u32, path: &str) -> Vec<u8> {
    let mut fields = GET.to_vec();
    fields[3].1 = path;
    head(END_STREAM, stream, &block(&fields))
}

/// Opens a stream that has one.
pub fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(POST))
}

pub fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

pub fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

/// One connection to the gate.
pub struct Frames(pub Connection);

impl Frames {
    /// A connection over TLS that agreed on HTTP/2 and has not said a word.
    pub fn silent(gate: &Gate, trust: &Trust) -> Frames {
        Frames(gate.encrypted(&trust.clone().speaking(&["h2"]), "one.example"))
    }

    /// A connection that has said hello, with these settings.
    pub fn open(gate: &Gate, trust: &Trust, values: &[(u16, u32)]) -> Frames {
        let mut frames = Frames::silent(gate, trust);
        frames.send([PREFACE, &settings(values)].concat());
        frames
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.send(bytes);
    }

    /// Sends the same again and again, until it was sent so often or the gate takes no more.
    pub fn flood(&mut self, times: usize, mut bytes: impl FnMut(usize) -> Vec<u8>) -> usize {
        for at in 0..times {
            if self.0.try_send(bytes(at)).is_err() {
                return at;
            }
        }
        times
    }

    /// The next frame; `None` at the end of the connection.
    pub fn next(&mut self) -> Option<Frame> {
        let mut header = [0; 9];
        for byte in &mut header {
            *byte = self.0.try_read().ok()?;
        }
        let [high, middle, low, kind, flags, stream @ ..] = header;
        let length = u32::from_be_bytes([0, high, middle, low]);
        let payload = (0..length).map(|_| self.0.try_read().ok());
        Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes(stream),
            payload: payload.collect::<Option<_>>()?,
        })
    }

    /// Reads up to the answer on a stream.
    pub fn outcome(&mut self, stream: u32) -> Outcome {
        let mut goodbye = None;
        while let Some(frame) = self.next() {
            match frame.kind {
                HEADERS if frame.stream == stream => return Outcome::Status(frame.payload[0]),
                RST_STREAM if frame.stream == stream => return Outcome::Reset(word(&frame, 0)),
                GOAWAY => goodbye = Some(word(&frame, 4)),
                _ => {}
            }
        }
        Outcome::Over(goodbye)
    }

    /// Reads up to the end of the connection, past the answers to what was asked, and gives the code
    /// of its last GOAWAY.
    pub fn goodbye(&mut self) -> Option<u32> {
        match self.outcome(u32::MAX) {
            Outcome::Over(code) => code,
            other => panic!("no stream has this number: {other:?}"),
        }
    }
}

fn word(frame: &Frame, at: usize) -> u32 {
    u32::from_be_bytes(frame.payload[at..at + 4].try_into().unwrap())
}
