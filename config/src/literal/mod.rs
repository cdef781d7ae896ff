//! Values that are written as text: durations, rates, addresses, names.
//!
//! Each type knows how it is read, what it looks like, and what to say to
//! somebody who wrote something else.

mod amount;
mod network;
mod request;
mod tenant;
mod time;

use std::path::PathBuf;

pub(crate) use amount::{Bandwidth, BodySize, FileSize, LeastRate};
pub(crate) use network::{HostName, server};
pub(crate) use request::{FieldName, Method, PathPrefix, Target, Token};
pub(crate) use tenant::listed as tenant;
pub(crate) use time::{Deadline, Keep, Stay, duration};

/// A value with a text form.
pub(crate) trait Literal: Sized {
    /// What the text looks like; the first is shown to whoever wrote no text at all.
    const EXAMPLES: &'static [&'static str];

    /// A regular expression for editors. It may let more through than `read`.
    const PATTERN: Option<&'static str> = None;

    /// Reads the text. The error says what would be right, as the second half
    /// of a sentence: "found …, but *a rate is at least 1*".
    fn read(text: &str) -> Result<Self, String>;
}

/// The name of something in the same file.
impl Literal for String {
    const EXAMPLES: &'static [&'static str] = &["app"];

    fn read(text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }
}

/// What an upstream, a tier or a tenant is called: it becomes a label of
/// metrics, a field of the log and an argument of commands.
pub(crate) struct Name(pub(crate) String);

impl Literal for Name {
    const EXAMPLES: &'static [&'static str] = &["app"];
    const PATTERN: Option<&'static str> = Some("^[A-Za-z0-9_.-]{1,64}$");

    fn read(text: &str) -> Result<Name, String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Name(text.to_owned()));
        }
        Err("a name is 1 to 64 letters, digits, `-`, `_` and `.`, such as \"app\"".to_owned())
    }
}

impl Literal for PathBuf {
    const EXAMPLES: &'static [&'static str] = &["/var/lib/tidegate"];

    fn read(text: &str) -> Result<PathBuf, String> {
        if text.is_empty() || text.contains('\0') {
            return Err(r#"a path names a file or a folder, such as "/var/lib/tidegate""#.into());
        }
        Ok(PathBuf::from(text))
    }
}

/// Reads decimal digits and nothing else: no sign, no space, no `_`.
fn whole_number(text: &str) -> Option<u64> {
    let digits_only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits_only.then(|| text.parse().ok()).flatten()
}

/// Splits `64KiB` into `64` and `KiB`.
fn number_and_unit(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at_checked(digits).unwrap_or((text, ""))
}
