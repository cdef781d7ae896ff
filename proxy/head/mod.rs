//! The request head over HTTP/1.1: bounded, and checked for everything that two parsers could read
//! differently, before any other stage or the upstream sees it (RFC 9112).
//!
//! The rule is that what is ambiguous is refused and the connection closed, never repaired: the
//! bytes that pass are handed on as they are, but for a target in absolute form, which an app gets
//! in origin form.

mod chunked;
mod cookie;
mod framing;
mod http2;
mod name;
mod path;
mod target;

pub use chunked::{ChunkError, Chunks};
pub use cookie::{Cookie, cookies};
pub use framing::Framing;
pub use http2::from_http2;
pub use name::{begins_as, is_odd, is_read_as};
pub use path::{has_prefix, segment};

use std::mem::MaybeUninit;

use arrayvec::ArrayString;
use bytes::BytesMut;
use httparse::Status;
use memchr::memchr_iter;

/// Bytes of a whole head, request line and fields.
pub const MAX_HEAD: usize = 64 * 1024;
/// Fields of a head.
pub const MAX_FIELDS: usize = 100;
/// Room for the fields of a head that is parsed.
pub type Space<'buffer> = [MaybeUninit<httparse::Header<'buffer>>; MAX_FIELDS];
/// Room in which nothing is yet: to fill it would cost a request more than its fields do.
pub const NO_FIELDS: Space<'static> = [MaybeUninit::uninit(); MAX_FIELDS];
/// Bytes of the request line (RFC 9112 section 3 asks for at least 8,000).
pub const MAX_REQUEST_LINE: usize = 16 * 1024;

/// Bytes of a host that rules can name; DNS allows 253.
pub const MAX_HOST: usize = 256;

/// Why a head was refused; every one of these ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// Not HTTP, or HTTP that can be read in two ways; the text says which rule it broke.
    Malformed(&'static str),
    /// More than [`MAX_HEAD`] bytes or [`MAX_FIELDS`] fields.
    TooLarge,
    /// A request line of more than [`MAX_REQUEST_LINE`] bytes.
    TargetTooLong,
    /// HTTP, but neither 1.0 nor 1.1.
    Version,
    /// `CONNECT`, which a gate in front of an app has no use for, and `TRACE`, which echoes
    /// credentials.
    Method,
}

/// A request head that passed every check, borrowed from the connection's buffer.
#[derive(Debug)]
pub struct Head<'buffer> {
    /// The method, as sent: it is case-sensitive.
    pub method: &'buffer str,
    /// The target as sent, in origin, absolute or asterisk form.
    pub target: &'buffer str,
    /// The path of the target, without query.
    pub path: &'buffer str,
    /// The host that was asked for, as sent, with its port when it has one; empty over HTTP/1.0
    /// without a `Host`.
    pub authority: &'buffer str,
    /// How long the body is.
    pub framing: Framing,
    /// Whether the client wants the connection to stay open.
    pub keep_alive: bool,
    /// Whether the client asks for a WebSocket, after which the bytes are no longer HTTP.
    pub websocket: bool,
    /// The fields, in the order in which they were sent.
    pub fields: &'buffer [httparse::Header<'buffer>],
}

impl<'buffer> Head<'buffer> {
    /// The query of the target; empty without one.
    pub fn query(&self) -> &'buffer str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The values of a field, in the order in which they were sent. `name` is lower case.
    pub fn values(&self, name: &'static str) -> impl DoubleEndedIterator<Item = &'buffer [u8]> {
        self.fields
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }

    /// The values of the cookies of this name, in the order in which they were sent.
    pub fn cookies(&self, name: &str) -> impl Iterator<Item = &'buffer [u8]> {
        let all = self.values("cookie").flat_map(cookies);
        let named = all.filter(move |cookie| cookie.name == name.as_bytes());
        named.map(|cookie| cookie.value)
    }

    /// The head as an app is to see it when `bytes`, which it was parsed from, are not: with the
    /// target in origin form, and with the `Host` that only the target named.
    pub fn in_origin_form(&self, bytes: &[u8]) -> Option<BytesMut> {
        let target = target::origin_form(self.method, self.target)?;
        let behind = bytes.get(self.method.len() + 1 + self.target.len()..)?;
        let line = first_line(behind).len() + 1;
        let mut head = BytesMut::with_capacity(bytes.len() + self.authority.len() + 16);
        head.extend_from_slice(self.method.as_bytes());
        head.extend_from_slice(b" ");
        head.extend_from_slice(target.as_bytes());
        head.extend_from_slice(behind.get(..line)?);
        if self.values("host").next().is_none() {
            head.extend_from_slice(b"Host: ");
            head.extend_from_slice(self.authority.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(behind.get(line..)?);
        Some(head)
    }

    /// Whether `Connection` names this field, so that the app will not see it (RFC 9110 section
    /// 7.6.1).
    pub fn nominates(&self, name: &str) -> bool {
        let tokens = self
            .values("connection")
            .flat_map(|value| value.split(|byte| *byte == b','));
        let mut tokens = tokens.map(<[u8]>::trim_ascii);
        tokens.any(|token| token.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The host without port and without the dot of a fully qualified name, as rules name it.
    pub fn host(&self) -> &'buffer str {
        let host = target::without_port(self.authority);
        host.strip_suffix('.').unwrap_or(host)
    }

    /// [`Head::host`] in lower case, as configured hosts are; `None` when it is longer than any name
    /// can be. `space` is only written to where a letter has to change.
    pub fn lowercase_host<'host>(
        &self,
        space: &'host mut ArrayString<MAX_HOST>,
    ) -> Option<&'host str>
    where
        'buffer: 'host,
    {
        let host = self.host();
        if !host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Some(host);
        }
        space.try_push_str(host).ok()?;
        space.make_ascii_lowercase();
        Some(space)
    }
}

/// Where the head ends in `buffer`, counted from its start, or `None` while it is incomplete.
///
/// `searched` is how many bytes an earlier call has seen: the search goes on from there, so that a
/// head that arrives byte by byte is not searched again and again.
pub fn find_end(buffer: &[u8], searched: usize) -> Option<usize> {
    let from = searched.saturating_sub(3);
    let tail = buffer.get(from..)?;
    memchr_iter(b'\n', tail)
        .map(|at| from + at + 1)
        .find(|&end| {
            buffer
                .get(..end)
                .is_some_and(|head| head.ends_with(b"\r\n\r\n"))
        })
}

/// Checks that an unfinished head can still become a good one, so that a hostile one is refused
/// when it crosses a bound and not at its end, and one whose lines end in LF alone is told so
/// instead of being waited for. `searched` is how many bytes an earlier call has seen.
pub fn check_partial(buffer: &[u8], searched: usize) -> Result<(), HeadError> {
    let fresh = buffer.get(searched..).unwrap_or_default();
    let mut feeds = memchr_iter(b'\n', fresh).map(|at| searched + at);
    if feeds.any(|at| !follows_return(buffer, at)) {
        return Err(BARE_FEED);
    }
    if buffer.len() > MAX_REQUEST_LINE && first_line(buffer).len() > MAX_REQUEST_LINE {
        return Err(HeadError::TargetTooLong);
    }
    if buffer.len() >= MAX_HEAD {
        return Err(HeadError::TooLarge);
    }
    match buffer.first() {
        Some(first) if !first.is_ascii_alphabetic() && !b"\r\n!#$%&'*+-.^_`|~".contains(first) => {
            Err(HeadError::Malformed("a request starts with a method"))
        }
        _ => Ok(()),
    }
}

const BARE_FEED: HeadError = HeadError::Malformed("a line ends in LF without CR");

/// Whether the byte before the one at `at` is a CR.
fn follows_return(bytes: &[u8], at: usize) -> bool {
    at.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'\r')
}

fn first_line(buffer: &[u8]) -> &[u8] {
    buffer.split(|byte| *byte == b'\n').next().unwrap_or(buffer)
}

/// Parses one whole head: `bytes` ends with its empty line.
pub fn parse<'buffer>(
    bytes: &'buffer [u8],
    space: &'buffer mut Space<'buffer>,
) -> Result<Head<'buffer>, HeadError> {
    check_lines(bytes)?;
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, space) {
        Ok(Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return Err(HeadError::Malformed("the head ends before its empty line")),
        Err(error) => return Err(explain(error, bytes)),
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(HeadError::Malformed("the request line is incomplete"));
    };
    known_method(method)?;
    let fields: &[httparse::Header] = request.headers;
    let options = framing::read(fields, minor)?;
    let (authority, path) = target::check(method, target, options.host, minor)?;
    Ok(Head {
        method,
        target,
        path,
        authority,
        framing: options.framing,
        keep_alive: options.keep_alive(minor),
        websocket: options.websocket(method, minor),
        fields,
    })
}

fn known_method(method: &str) -> Result<(), HeadError> {
    match method {
        "CONNECT" | "TRACE" => Err(HeadError::Method),
        _ => Ok(()),
    }
}

/// Every line ends in CR LF, and neither stands anywhere else: a lone LF or CR is a line end to one
/// parser and a character to the next (RFC 9112 section 2.2).
fn check_lines(bytes: &[u8]) -> Result<(), HeadError> {
    let (mut feeds, mut first_line) = (0, bytes.len());
    for at in memchr_iter(b'\n', bytes) {
        if feeds == 0 {
            first_line = at;
        }
        feeds += 1;
        if !follows_return(bytes, at) {
            return Err(BARE_FEED);
        }
    }
    if memchr_iter(b'\r', bytes).count() != feeds {
        return Err(HeadError::Malformed("a CR stands without LF"));
    }
    if first_line > MAX_REQUEST_LINE {
        return Err(HeadError::TargetTooLong);
    }
    Ok(())
}

fn explain(error: httparse::Error, bytes: &[u8]) -> HeadError {
    match error {
        httparse::Error::TooManyHeaders => HeadError::TooLarge,
        httparse::Error::Version if names_a_version(first_line(bytes)) => HeadError::Version,
        httparse::Error::HeaderName => HeadError::Malformed("a field name is not a token"),
        httparse::Error::HeaderValue => {
            HeadError::Malformed("a field value has a control character")
        }
        _ => HeadError::Malformed("the request line is not HTTP"),
    }
}

/// Whether a request line has its three parts, the third of them a version of HTTP.
fn names_a_version(line: &[u8]) -> bool {
    let mut parts = line.split(|byte| *byte == b' ').skip(1);
    let target = parts.next().is_some_and(|target| !target.is_empty());
    let version = parts.next().is_some_and(|word| word.starts_with(b"HTTP/"));
    target && version && parts.next().is_none()
}

#[cfg(test)]
mod tests;
