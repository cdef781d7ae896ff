//! The cookie that a pass is carried in (RFC 6265).

use std::fmt::Write;

use http::header::{CACHE_CONTROL, COOKIE, HeaderValue, SET_COOKIE};
use pingora_error::{ErrorType, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};

use crate::head::{Cookie, cookies};

/// Takes every cookie of this name out of a request: an app must not see a pass, let alone log it.
///
/// # Errors
/// When what is left of a field cannot be written back.
pub fn take_out(request: &mut RequestHeader, name: &str) -> Result<()> {
    let is_named = |cookie: &Cookie| cookie.name == name.as_bytes();
    let fields = request.headers.get_all(COOKIE);
    let is_in = |field: &HeaderValue| cookies(field.as_bytes()).any(|cookie| is_named(&cookie));
    if !fields.iter().any(is_in) {
        return Ok(());
    }
    let fields: Vec<HeaderValue> = fields.iter().cloned().collect();
    request.remove_header(&COOKIE);
    for field in &fields {
        let left = cookies(field.as_bytes()).filter(|cookie| !is_named(cookie));
        let left = left
            .map(|cookie| cookie.sent)
            .filter(|sent| !sent.is_empty());
        let left = left.collect::<Vec<_>>().join(&b"; "[..]);
        if !left.is_empty() {
            let value = HeaderValue::try_from(left);
            let value = value.or_err(ErrorType::InvalidHTTPHeader, "cookies")?;
            request.append_header(COOKIE, value)?;
        }
    }
    Ok(())
}

/// Gives a pass to a client with a response.
///
/// # Errors
/// When the name of the cookie cannot stand in a field, which the configuration rules out.
pub(super) fn give(
    response: &mut ResponseHeader,
    name: &str,
    text: &str,
    seconds: u64,
    secure: bool,
) -> Result<()> {
    let mut value = format!("{name}={text}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Lax");
    if secure {
        // Writing into memory does not fail.
        let _ = value.write_str("; Secure");
    }
    response.append_header(SET_COOKIE, value)?;
    // A cache that is shared would give it to everybody (RFC 9111 section 5.2.2.7).
    response.append_header(CACHE_CONTROL, "private")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(fields: &[&str]) -> Vec<String> {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for field in fields {
            request.append_header(COOKIE, *field).unwrap();
        }
        take_out(&mut request, "p").unwrap();
        let left = request.headers.get_all(COOKIE).iter();
        left.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    }

    #[test]
    fn only_the_pass_is_taken_out() {
        assert_eq!(left(&["a=1; p=x; b=2"]), ["a=1; b=2"]);
        assert_eq!(left(&["p=x"]), [""; 0]);
        assert_eq!(left(&["p=x", "a=1", " p =y;P=2"]), ["a=1", "P=2"]);
        assert_eq!(left(&["p; a=p=x;  ; pp=1;p="]), ["a=p=x; pp=1"]);
        assert_eq!(left(&["p =x; \u{a0}p\u{a0}=x; a=1"]), ["a=1"]);
        let untouched = ["a=1;b=2;  c", "\"odd\""];
        assert_eq!(left(&untouched), untouched);
    }
}
