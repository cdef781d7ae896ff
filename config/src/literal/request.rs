//! Parts of a request: methods, paths, and where the tenant stands.

use super::{Literal, whole_number};
use crate::checked::TenantFrom;

/// A method, in upper case.
pub(crate) struct Method(pub(crate) String);

impl Literal for Method {
    const EXAMPLES: &'static [&'static str] = &["POST", "PUT"];

    /// Methods are case-sensitive: `post` would silently match nothing.
    fn read(text: &str) -> Result<Method, String> {
        let upper = text.to_ascii_uppercase();
        if !is_token(text) {
            return Err(r#"a method is one word, such as "GET" or "POST""#.to_owned());
        }
        if upper != text {
            return Err(format!("a method is in upper case: write \"{upper}\""));
        }
        Ok(Method(upper))
    }
}

/// A path that stands for itself and everything below it.
pub(crate) struct PathPrefix(pub(crate) String);

impl Literal for PathPrefix {
    const EXAMPLES: &'static [&'static str] = &["/search"];
    const PATTERN: Option<&'static str> = Some("^/");

    /// A path that no request can have is refused: requests carry
    /// printable ASCII, and neither a query nor a fragment is matched.
    fn read(text: &str) -> Result<PathPrefix, String> {
        if !text.starts_with('/') {
            return Err(r#"a path starts with "/", such as "/search""#.to_owned());
        }
        if let Some(sign) = text.chars().find(|sign| "?#*".contains(*sign)) {
            return Err(format!(
                "a path is matched with all below it and without \"{sign}\""
            ));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "a path is written as in a request: ASCII without spaces, the rest \
                        percent-encoded, such as \"/caf%C3%A9\""
                    .to_owned(),
            );
        }
        Ok(PathPrefix(text.to_owned()))
    }
}

/// The deepest segment of a path that can name a tenant.
const DEEPEST_SEGMENT: u64 = 64;

impl Literal for TenantFrom {
    const EXAMPLES: &'static [&'static str] =
        &["host", "header:x-api-key", "cookie:session", "path:1"];
    const PATTERN: Option<&'static str> = Some("^(host|header:.+|cookie:.+|path:[0-9]+)$");

    fn read(text: &str) -> Result<TenantFrom, String> {
        match text.split_once(':') {
            None if text == "host" => Ok(TenantFrom::Host),
            Some(("header", name)) if is_token(name) => {
                Ok(TenantFrom::Header(name.to_ascii_lowercase()))
            }
            Some(("cookie", name)) if is_token(name) => Ok(TenantFrom::Cookie(name.to_owned())),
            Some(("path", segment)) => segment_number(segment),
            _ => Err(
                "a tenant is told by \"host\", \"header:NAME\", \"cookie:NAME\" or \
                      \"path:N\", such as \"header:x-api-key\""
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

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
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
