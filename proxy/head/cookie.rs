//! The cookies in `Cookie` fields, which the gate and an app must not read differently (RFC 6265
//! section 5.4).

use memchr::memchr;

/// One cookie of a field.
#[derive(Debug)]
pub struct Cookie<'field> {
    /// Its name without what some apps take for spaces around it, which is not only ASCII.
    pub name: &'field [u8],
    /// Its value; empty where only a name was sent.
    pub value: &'field [u8],
    /// All of it, as it was sent.
    pub sent: &'field [u8],
}

/// The cookies in the value of a field, in their order. Bytes, as one that is not text must not hide
/// the others.
pub fn cookies(field: &[u8]) -> impl Iterator<Item = Cookie<'_>> {
    let mut left = Some(field);
    std::iter::from_fn(move || {
        let (sent, behind) = cut(left?, b';');
        left = behind;
        let (name, value) = cut(sent, b'=');
        Some(Cookie {
            name: trim_unseen(name),
            value: value.unwrap_or_default().trim_ascii(),
            sent: sent.trim_ascii(),
        })
    })
}

/// What stands before the first such byte, and what behind it.
fn cut(bytes: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    let found = memchr(at, bytes).and_then(|at| bytes.split_at_checked(at));
    match found {
        Some((before, [_, behind @ ..])) => (before, Some(behind)),
        _ => (bytes, None),
    }
}

/// Names are visible ASCII (RFC 6265 section 4.1.1), so that nothing of one is lost.
fn trim_unseen(mut name: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = name
        && !first.is_ascii_graphic()
    {
        name = rest;
    }
    while let [rest @ .., last] = name
        && !last.is_ascii_graphic()
    {
        name = rest;
    }
    name
}
