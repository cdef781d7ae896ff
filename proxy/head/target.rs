//! The request target and the host it belongs to (RFC 9112 section 3.2, RFC 9110 section 7.2).

use std::net::Ipv6Addr;

use super::{HeadError, path};

/// Checks the target against the method and the `Host` field, and gives the authority and the path.
pub(super) fn check<'buffer>(
    method: &str,
    target: &'buffer str,
    host: Option<&'buffer [u8]>,
    minor: u8,
) -> Result<(&'buffer str, &'buffer str), HeadError> {
    let host = match host {
        Some(value) => Some(authority(value)?),
        None if minor == 0 => None,
        None => return Err(HeadError::Malformed("no Host field over HTTP/1.1")),
    };
    check_characters(target)?;
    if target == "*" {
        return match method {
            "OPTIONS" => Ok((host.unwrap_or_default(), target)),
            _ => Err(HeadError::Malformed("the target * is for OPTIONS alone")),
        };
    }
    let (authority, rest) = match absolute(target) {
        Some((named, rest)) => (agree(named, host)?, rest),
        None => (host.unwrap_or_default(), target),
    };
    let path = before(rest, b'?').unwrap_or(rest);
    if !path.starts_with('/') && (!path.is_empty() || absolute(target).is_none()) {
        return Err(HeadError::Malformed("the target does not start with /"));
    }
    if path::has_dot_segment(path) {
        return Err(HeadError::Malformed("the path has . or .. segments"));
    }
    Ok((authority, if path.is_empty() { "/" } else { path }))
}

/// Refuses what is not a character of a URI, and what Pingora's own parser would refuse without a
/// reason: browsers encode each of them.
fn check_characters(target: &str) -> Result<(), HeadError> {
    let mut bad = b'`';
    let good = target.bytes().all(|byte| {
        if byte == b'?' {
            bad = b'"';
        }
        byte.is_ascii_graphic() && !b"#<>".contains(&byte) && byte != bad
    });
    match good {
        true => Ok(()),
        false => Err(HeadError::Malformed(
            "the target has a character that must be percent-encoded",
        )),
    }
}

/// The target as an app is asked for it, when it was sent in absolute form (RFC 9112 section 3.2.1).
pub(super) fn origin_form(method: &str, target: &str) -> Option<String> {
    let (_, rest) = absolute(target)?;
    Some(match rest {
        // RFC 9112 section 3.2.4.
        "" if method == "OPTIONS" => "*".to_owned(),
        rest if rest.starts_with('/') => rest.to_owned(),
        rest => format!("/{rest}"),
    })
}

/// Splits `http://authority/rest`.
fn absolute(target: &str) -> Option<(&str, &str)> {
    if target.starts_with('/') {
        return None;
    }
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    Some(rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())))
}

/// An absolute target must say what `Host` says: the gate, the app and a cache between them would
/// otherwise each believe another one.
fn agree<'buffer>(named: &'buffer str, host: Option<&str>) -> Result<&'buffer str, HeadError> {
    authority(named.as_bytes())?;
    if named.is_empty() || host.is_some_and(|host| !named.eq_ignore_ascii_case(host)) {
        return Err(HeadError::Malformed(
            "the target contradicts the Host field",
        ));
    }
    Ok(named)
}

/// A host and port, or nothing. Narrower than RFC 3986 section 3.2: no user information, which has
/// no place in HTTP (RFC 9110 section 4.2.4), and of a name only what names of hosts are made of; a
/// comma or a percent sign is read as something else somewhere.
fn authority(value: &[u8]) -> Result<&str, HeadError> {
    const PROBLEM: HeadError = HeadError::Malformed("the host is not a host and port");
    let value = std::str::from_utf8(value).map_err(|_| PROBLEM)?;
    let host = without_port(value);
    let port = value.strip_prefix(host).unwrap_or_default();
    let literal = || host.strip_prefix('[')?.strip_suffix(']');
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let good_host = match literal() {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.bytes().all(named),
    };
    let good_port = match port.strip_prefix(':') {
        Some(digits) => !host.is_empty() && is_port(digits),
        None => port.is_empty(),
    };
    match good_host && good_port {
        true => Ok(value),
        false => Err(PROBLEM),
    }
}

/// RFC 3986 section 3.2.3: digits, or none.
fn is_port(digits: &str) -> bool {
    digits.len() <= 5
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits.is_empty() || digits.parse::<u16>().is_ok())
}

/// The host of `host:port` or `[::1]:port`.
pub(super) fn without_port(authority: &str) -> &str {
    let end = match authority.strip_prefix('[').and_then(|rest| rest.find(']')) {
        Some(bracket) => bracket + 2,
        None => return before(authority, b':').unwrap_or(authority),
    };
    authority.get(..end).unwrap_or(authority)
}

/// What stands before the first of these bytes. These texts are short: setting up a faster search takes
/// longer than this one.
fn before(text: &str, byte: u8) -> Option<&str> {
    text.get(..text.bytes().position(|at| at == byte)?)
}
