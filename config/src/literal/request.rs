//! Parts of a request: methods and paths.

use super::Literal;

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
        as_in_a_request(text)?;
        Ok(PathPrefix(text.to_owned()))
    }
}

/// What is asked for: a path, and a query if there is one (RFC 9112, section 3.2.1).
pub(crate) struct Target(pub(crate) String);

impl Literal for Target {
    const EXAMPLES: &'static [&'static str] = &["/healthz"];
    const PATTERN: Option<&'static str> = Some("^/");

    fn read(text: &str) -> Result<Target, String> {
        if !text.starts_with('/') {
            return Err(r#"a path starts with "/", such as "/healthz""#.to_owned());
        }
        if text.contains('#') {
            return Err("what follows \"#\" is never sent".to_owned());
        }
        as_in_a_request(text)?;
        Ok(Target(text.to_owned()))
    }
}

fn as_in_a_request(path: &str) -> Result<(), String> {
    if path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(
        "a path is written as in a request: ASCII without spaces, the rest \
                percent-encoded, such as \"/caf%C3%A9\""
            .to_owned(),
    )
}

/// A header field of the gate's own, in lower case.
pub(crate) struct FieldName(pub(crate) String);

impl Literal for FieldName {
    const EXAMPLES: &'static [&'static str] = &["x-tidegate-known"];
    const PATTERN: Option<&'static str> = Some("^[Xx]-");

    /// The field is taken out of requests and responses, so that it must not be one
    /// that means something to anybody else: those of its own kind begin with "x-".
    fn read(text: &str) -> Result<FieldName, String> {
        let lower = text.to_ascii_lowercase();
        let forwarded = lower.starts_with("x-forwarded-") || lower == "x-real-ip";
        if !is_token(&lower) || !lower.starts_with("x-") || lower.len() < 3 || forwarded {
            return Err(
                "this header is the app's word to the gate alone, so it has a name of its \
                        own that begins with \"x-\", such as \"x-tidegate-known\""
                    .to_owned(),
            );
        }
        Ok(FieldName(lower))
    }
}

/// The name of a cookie.
pub(crate) struct Token(pub(crate) String);

impl Literal for Token {
    const EXAMPLES: &'static [&'static str] = &["tidegate_pass"];
    const PATTERN: Option<&'static str> = Some("^[A-Za-z0-9_.-]{1,64}$");

    fn read(text: &str) -> Result<Token, String> {
        if is_token(text) && text.len() <= 64 {
            return Ok(Token(text.to_owned()));
        }
        Err(
            "the name of a cookie is one word of at most 64 letters, digits, `-`, `_` and `.`, \
             such as \"tidegate_pass\""
                .to_owned(),
        )
    }
}

/// RFC 9110, section 5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
