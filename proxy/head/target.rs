//! The request target and the host it belongs to (RFC 9112 section 3.2, RFC 9110 section 7.2).

use super::{HeadError, path};

/// Checks the target against the method and the `Host` field, and gives the authority and the path.
pub(super) fn check<'buffer>(
    method: &str,
    target: &'buffer str,
    host: Option<&'buffer [u8]>,
    minor: u8,
) -> Result<(&'buffer str, &'buffer str), HeadError> {
    let host = match host {
        Some(value) => authority(value)?,
        None if minor == 0 => "",
        None => return Err(HeadError::Malformed("no Host field over HTTP/1.1")),
    };
    // RFC 3986 has none of these unencoded; the `http` crate, and so Pingora, takes the first four
    // from nobody, and browsers send others that it does not have either, such as | and {.
    let never =
        |byte: u8| !byte.is_ascii_graphic() || matches!(byte, b'"' | b'<' | b'>' | b'`' | b'#');
    if target.bytes().any(never) {
        return Err(HeadError::Malformed(
            "the target has a character that must be percent-encoded",
        ));
    }
    if target == "*" {
        return match method {
            "OPTIONS" => Ok((host, target)),
            _ => Err(HeadError::Malformed("the target * is for OPTIONS alone")),
        };
    }
    let (authority, rest) = match absolute(target) {
        Some((named, rest)) => (agree(named, host)?, rest),
        None => (host, target),
    };
    let path = rest.split('?').next().unwrap_or(rest);
    if !path.starts_with('/') && (!path.is_empty() || absolute(target).is_none()) {
        return Err(HeadError::Malformed("the target does not start with /"));
    }
    if path::has_dot_segment(path) {
        return Err(HeadError::Malformed("the path has . or .. segments"));
    }
    Ok((authority, if path.is_empty() { "/" } else { path }))
}

/// Splits `http://authority/rest`.
fn absolute(target: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    Some(rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())))
}

/// An absolute target must say what `Host` says: the gate, the app and a cache between them would
/// otherwise each believe another one.
fn agree<'buffer>(named: &'buffer str, host: &str) -> Result<&'buffer str, HeadError> {
    authority(named.as_bytes())?;
    if !host.is_empty() && !named.eq_ignore_ascii_case(host) {
        return Err(HeadError::Malformed(
            "the target contradicts the Host field",
        ));
    }
    Ok(named)
}

/// The characters that a host and port are made of (RFC 3986 section 3.2, without user
/// information, which has no place in HTTP: RFC 9110 section 4.2.4).
fn authority(value: &[u8]) -> Result<&str, HeadError> {
    const PROBLEM: HeadError = HeadError::Malformed("the host is not a host and port");
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte);
    if !value.iter().all(plain) {
        return Err(PROBLEM);
    }
    let value = std::str::from_utf8(value).map_err(|_| PROBLEM)?;
    let port = value.strip_prefix(without_port(value)).unwrap_or("");
    match port.strip_prefix(':') {
        Some(digits) if !digits.bytes().all(|byte| byte.is_ascii_digit()) => Err(PROBLEM),
        None if !port.is_empty() => Err(PROBLEM),
        _ => Ok(value),
    }
}

/// The host of `host:port` or `[::1]:port`.
pub(super) fn without_port(authority: &str) -> &str {
    let end = match authority.strip_prefix('[').and_then(|rest| rest.find(']')) {
        Some(bracket) => bracket + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    authority.get(..end).unwrap_or(authority)
}
