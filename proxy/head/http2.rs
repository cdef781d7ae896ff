//! The request head over HTTP/2 (RFC 9113 section 8), with the same checks as over HTTP/1.1: an app
//! gets it as HTTP/1.1.
//!
//! The `h2` crate has refused by then what HTTP/2 itself forbids: fields of a connection, names with
//! capitals, pseudo-fields that are missing, twice there or in the wrong place.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::Header;

use super::{
    Framing, Head, HeadError, MAX_FIELDS, MAX_HEAD, MAX_REQUEST_LINE, framing, known_method, target,
};

/// The head of a request. `ended`: whether it has no body.
///
/// # Errors
/// As for a head of HTTP/1.1.
pub fn from_http2<'buffer>(
    parts: &'buffer Parts,
    ended: bool,
    space: &'buffer mut [Header<'buffer>; MAX_FIELDS],
) -> Result<Head<'buffer>, HeadError> {
    let method = parts.method.as_str();
    known_method(method)?;
    let target = parts.uri.path_and_query().map_or("", |path| path.as_str());
    if target.len() > MAX_REQUEST_LINE {
        return Err(HeadError::TargetTooLong);
    }
    // The other forms are HTTP/1.1's.
    if !target.starts_with('/') && target != "*" {
        return Err(HeadError::Malformed("the :path does not start with /"));
    }
    let fields = fields(&parts.headers, space)?;
    let options = framing::read(fields, 1)?;
    let named = parts.uri.authority().map(|authority| authority.as_str());
    let host = match (named, options.host) {
        (Some(named), Some(host)) if !named.as_bytes().eq_ignore_ascii_case(host) => {
            return Err(HeadError::Malformed(
                "the :authority contradicts the Host field",
            ));
        }
        (Some(named), _) => Some(named.as_bytes()),
        (None, host) => host,
    };
    let (authority, path) = target::check(method, target, host, 1)?;
    Ok(Head {
        method,
        target,
        path,
        authority,
        framing: match (options.framing, ended) {
            (Framing::Chunked, _) => {
                return Err(HeadError::Malformed("Transfer-Encoding over HTTP/2"));
            }
            (_, true) => Framing::Length(0),
            (length, false) if parts.headers.contains_key("content-length") => length,
            // As long as the stream.
            (_, false) => Framing::Chunked,
        },
        keep_alive: true,
        websocket: false,
        fields,
    })
}

/// The fields as HTTP/1.1 has them.
fn fields<'buffer>(
    headers: &'buffer HeaderMap,
    space: &'buffer mut [Header<'buffer>; MAX_FIELDS],
) -> Result<&'buffer [Header<'buffer>], HeadError> {
    let length = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    if headers.iter().map(length).sum::<usize>() > MAX_HEAD {
        return Err(HeadError::TooLarge);
    }
    let count = headers.len();
    let fields = space.get_mut(..count).ok_or(HeadError::TooLarge)?;
    for (field, (name, value)) in fields.iter_mut().zip(headers) {
        let value = value.as_bytes();
        // RFC 9113 section 8.2.1.
        if value.trim_ascii().len() != value.len() {
            return Err(HeadError::Malformed("a field value has space around it"));
        }
        *field = Header {
            name: name.as_str(),
            value,
        };
    }
    Ok(fields)
}
