//! Where the tenant stands in a request, and how one is listed.

use super::{HostName, Literal, request::is_token, whole_number};
use crate::checked::{LONGEST_TENANT, SHA256, TenantFrom};

/// The deepest segment of a path that can name a tenant.
const DEEPEST_SEGMENT: u64 = 64;

impl Literal for TenantFrom {
    const EXAMPLES: &'static [&'static str] = &[
        "host",
        "header:x-api-key",
        "cookie:session",
        "path:1",
        "client-cert",
    ];
    const PATTERN: Option<&'static str> =
        Some("^(host|header:.+|cookie:.+|path:[0-9]+|client-cert)$");

    fn read(text: &str) -> Result<TenantFrom, String> {
        match text.split_once(':') {
            None if text == "host" => Ok(TenantFrom::Host),
            None if text == "client-cert" => Ok(TenantFrom::ClientCert),
            Some(("header", name)) if is_token(name) => {
                Ok(TenantFrom::Header(name.to_ascii_lowercase()))
            }
            Some(("cookie", name)) if is_token(name) => Ok(TenantFrom::Cookie(name.to_owned())),
            Some(("path", segment)) => segment_number(segment),
            _ => Err(
                "a tenant is told by \"host\", \"header:NAME\", \"cookie:NAME\", \"path:N\" \
                      or \"client-cert\", such as \"header:x-api-key\""
                    .to_owned(),
            ),
        }
    }
}

fn segment_number(text: &str) -> Result<TenantFrom, String> {
    whole_number(text)
        .filter(|segment| (1..=DEEPEST_SEGMENT).contains(segment))
        .and_then(|segment| usize::try_from(segment).ok())
        .map(TenantFrom::Path)
        .ok_or_else(|| {
            format!(
                "a path's segments are counted from 1 to {DEEPEST_SEGMENT}: \"path:1\" is \
                 \"shop\" in /shop/cart"
            )
        })
}

/// See [`TenantFrom::listed`].
pub(crate) fn listed(from: &TenantFrom, text: &str) -> Result<String, String> {
    let length = text.len();
    if !(1..=LONGEST_TENANT).contains(&length) {
        return Err(format!(
            "a tenant is told by 1 to {LONGEST_TENANT} bytes, and this has {length}"
        ));
    }
    if text.trim() != text {
        return Err("a tenant is told by text with no space around it".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err(
            "a tenant is told by text on one line, without tabs or other control \
                    characters"
                .to_owned(),
        );
    }
    match from {
        TenantFrom::Host => HostName::read(text).map(|HostName(host)| host),
        TenantFrom::Path(_) => segment(text),
        TenantFrom::Cookie(_) if text.contains(';') => {
            Err("the value of a cookie ends before \";\"".to_owned())
        }
        TenantFrom::Header(_) | TenantFrom::Cookie(_) => credential(text),
        TenantFrom::ClientCert => Ok(text.to_ascii_lowercase()),
    }
}

/// A segment is compared percent-decoded.
fn segment(text: &str) -> Result<String, String> {
    if text.contains('/') {
        return Err("one segment of a path has no \"/\" in it".to_owned());
    }
    if text.starts_with(SHA256) {
        return Err(format!(
            "\"{SHA256}\" is for what a header or a cookie holds; a segment of a path is \
             listed as it is"
        ));
    }
    if is_encoded(text) {
        return Err("a segment is listed decoded, such as \"café\" for /caf%C3%A9".to_owned());
    }
    Ok(text.to_owned())
}

/// Whether there is a `%` with two hexadecimal digits (RFC 3986, section 2.1).
fn is_encoded(text: &str) -> bool {
    let mut encoded = text.as_bytes().windows(3);
    encoded.any(
        |three| matches!(three, [b'%', digits @ ..] if digits.iter().all(u8::is_ascii_hexdigit)),
    )
}

fn credential(text: &str) -> Result<String, String> {
    let Some(digits) = text.strip_prefix(SHA256) else {
        return Ok(text.to_owned());
    };
    let digits = digits.to_ascii_lowercase();
    if digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Ok(format!("{SHA256}{digits}"));
    }
    Err(format!(
        "after \"{SHA256}\" come the 64 hexadecimal digits of the credential's SHA-256, as \
         printed by `printf %s CREDENTIAL | sha256sum`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_a_tenant_comes_back_as_it_was_written() {
        for text in [
            "host",
            "header:x-api-key",
            "cookie:Session",
            "path:1",
            "path:64",
            "client-cert",
        ] {
            assert_eq!(
                TenantFrom::read(text).map(|from| from.to_string()),
                Ok(text.to_owned())
            );
        }
        assert_eq!(
            TenantFrom::read("header:X-Key"),
            Ok(TenantFrom::Header("x-key".to_owned()))
        );
    }

    #[test]
    fn what_names_no_place_is_refused() {
        for text in [
            "",
            "Host",
            "host:",
            "header",
            "header:",
            "header:a b",
            "cookie:a=b",
            "ip",
        ] {
            assert!(
                TenantFrom::read(text)
                    .unwrap_err()
                    .starts_with("a tenant is told"),
                "{text}"
            );
        }
        for text in ["path:", "path:0", "path:65", "path:-1", "path:x"] {
            assert!(
                TenantFrom::read(text)
                    .unwrap_err()
                    .starts_with("a path's seg"),
                "{text}"
            );
        }
    }
}
