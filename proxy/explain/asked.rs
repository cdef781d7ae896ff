//! The request that is explained, as the bytes that a client would send.

use crate::head::{HeadError, MAX_HEAD};

/// A request as an operator describes it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'text> {
    /// Its method.
    pub method: &'text str,
    /// Its path.
    pub path: &'text str,
    /// The host it asks for.
    pub host: Option<&'text str>,
    /// The name in the certificate that the client proved to have.
    pub certificate: Option<&'text str>,
    /// Its other header fields, one a line.
    pub fields: &'text str,
}

impl Asked<'_> {
    /// The head of the request.
    ///
    /// # Errors
    /// When a part of it would end where it is not meant to, or all of it is too large.
    pub(super) fn head(&self) -> Result<Vec<u8>, String> {
        let Asked { method, path, .. } = *self;
        without_spaces("method", method)?;
        without_spaces("path", path)?;
        if !path.starts_with('/') && !path.contains("://") && path != "*" {
            return Err(format!("a path starts with /, not as {}", quoted(path)));
        }
        let mut head = match self.host {
            Some(host) => {
                without_spaces("host", host)?;
                format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n")
            }
            // The one version that needs no host.
            None => format!("{method} {path} HTTP/1.0\r\n"),
        };
        for line in self.fields.lines() {
            head.push_str(field(line)?);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        match head.len() < MAX_HEAD {
            true => Ok(head.into_bytes()),
            false => Err(why(HeadError::TooLarge)),
        }
    }
}

/// Why the gate refuses a head, for who asks about it.
pub(super) fn why(error: HeadError) -> String {
    match error {
        HeadError::Malformed(rule) => {
            format!("the gate refuses such a request as malformed: {rule}")
        }
        HeadError::TooLarge => {
            "the gate refuses such a request: its header fields are too large or too many"
                .to_owned()
        }
        HeadError::TargetTooLong => {
            "the gate refuses such a request: its path is too long".to_owned()
        }
        HeadError::Version | HeadError::Method => {
            "the gate refuses every request with this method".to_owned()
        }
    }
}

/// What would end a part of the request line or the line itself is an error, and not another request.
fn without_spaces(part: &str, text: &str) -> Result<(), String> {
    let cannot = |sign: &char| sign.is_whitespace() || sign.is_control();
    match text.chars().find(cannot) {
        Some(sign) => Err(format!(
            "the {part} has {sign:?}, which cannot stand there: found {}",
            quoted(text)
        )),
        None => Ok(()),
    }
}

fn field(line: &str) -> Result<&str, String> {
    let is_field = line
        .split_once(':')
        .is_some_and(|(name, _)| !name.is_empty());
    let cannot = |sign: char| sign.is_control() && sign != '\t';
    match is_field && !line.contains(cannot) {
        true => Ok(line),
        false => Err(format!(
            "a header field is written \"NAME: VALUE\", not as {}",
            quoted(line)
        )),
    }
}

/// The beginning of a text that somebody else wrote, without a say in what the terminal does.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if shown.len() < text.len() { "..." } else { "" };
    format!("{shown:?}{more}")
}
