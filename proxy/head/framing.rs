//! What the fields say about the connection and the length of the body (RFC 9112 sections 6 and 9).

use super::{HeadError, is_odd, is_read_as};

/// The length of a request's body, as only one reading of the head allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Exactly this many bytes; zero when the head names none.
    Length(u64),
    /// Chunked, the only transfer coding that is let through.
    Chunked,
}

impl Framing {
    /// Whether it announces a body of more bytes. What is chunked announces nothing.
    pub fn exceeds(self, most: u64) -> bool {
        matches!(self, Framing::Length(length) if length > most)
    }
}

/// The fields that decide about the connection, gathered in one walk over the head.
#[derive(Debug)]
pub(super) struct Options<'buffer> {
    pub(super) framing: Framing,
    pub(super) host: Option<&'buffer [u8]>,
    close: bool,
    wants_keep_alive: bool,
    connection_upgrade: bool,
    upgrade_websocket: bool,
}

impl Options<'_> {
    /// Persistent unless closed over HTTP/1.1, closed unless asked otherwise over HTTP/1.0.
    pub(super) fn keep_alive(&self, minor: u8) -> bool {
        !self.close && (minor == 1 || self.wants_keep_alive)
    }

    /// RFC 6455 section 4.1: a GET over HTTP/1.1 without a body.
    pub(super) fn websocket(&self, method: &str, minor: u8) -> bool {
        self.connection_upgrade
            && self.upgrade_websocket
            && method == "GET"
            && minor == 1
            && self.framing == Framing::Length(0)
    }
}

/// Reads the fields that frame the message; what could be read in two ways is an error.
pub(super) fn read<'buffer>(
    fields: &[httparse::Header<'buffer>],
    minor: u8,
) -> Result<Options<'buffer>, HeadError> {
    let mut options = Options {
        framing: Framing::Length(0),
        host: None,
        close: false,
        wants_keep_alive: false,
        connection_upgrade: false,
        upgrade_websocket: false,
    };
    let mut length = None;
    let mut chunked = false;
    for field in fields {
        // The length first: it rules most fields out without comparing a letter.
        match field.name.len() {
            4 if field.name.eq_ignore_ascii_case("host") => {
                once(options.host.replace(field.value), "two Host fields")?;
            }
            7 if field.name.eq_ignore_ascii_case("upgrade") => {
                options.upgrade_websocket |= field.value.eq_ignore_ascii_case(b"websocket");
            }
            10 if field.name.eq_ignore_ascii_case("connection") => {
                connection(&mut options, field.value);
            }
            14 if field.name.eq_ignore_ascii_case("content-length") => {
                let read = content_length(field.value)?;
                once(length.replace(read), "two Content-Length fields")?;
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                transfer_encoding(field.value, minor)?;
                once(chunked.then_some(()), "two Transfer-Encoding fields")?;
                chunked = true;
            }
            14 | 17 if is_framing_in_disguise(field.name) => {
                let problem = "a framing field that is written without its hyphen";
                return Err(HeadError::Malformed(problem));
            }
            _ => {}
        }
    }
    options.framing = match (length, chunked) {
        (Some(_), true) => {
            return Err(HeadError::Malformed(
                "Content-Length together with Transfer-Encoding",
            ));
        }
        (_, true) => Framing::Chunked,
        (length, false) => Framing::Length(length.unwrap_or(0)),
    };
    Ok(options)
}

/// Some apps would have a length that nobody else has.
fn is_framing_in_disguise(name: &str) -> bool {
    let framing = ["content-length", "transfer-encoding"];
    is_odd(name) && framing.iter().any(|framing| is_read_as(name, framing))
}

fn once<T>(earlier: Option<T>, problem: &'static str) -> Result<(), HeadError> {
    match earlier {
        None => Ok(()),
        Some(_) => Err(HeadError::Malformed(problem)),
    }
}

/// Digits and nothing else: a sign, a list and a number over 64 bits are each read differently
/// somewhere. Leading zeros are good (RFC 9110 section 8.6), and some old clients pad with them.
fn content_length(value: &[u8]) -> Result<u64, HeadError> {
    const PROBLEM: HeadError = HeadError::Malformed("Content-Length is not one decimal number");
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(PROBLEM);
    }
    std::str::from_utf8(value)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or(PROBLEM)
}

fn transfer_encoding(value: &[u8], minor: u8) -> Result<(), HeadError> {
    if minor == 0 {
        return Err(HeadError::Malformed("Transfer-Encoding over HTTP/1.0"));
    }
    if !value.eq_ignore_ascii_case(b"chunked") {
        return Err(HeadError::Malformed(
            "a Transfer-Encoding other than a single \"chunked\"",
        ));
    }
    Ok(())
}

fn connection(options: &mut Options, value: &[u8]) {
    for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        options.close |= token.eq_ignore_ascii_case(b"close");
        options.wants_keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
        options.connection_upgrade |= token.eq_ignore_ascii_case(b"upgrade");
    }
}
