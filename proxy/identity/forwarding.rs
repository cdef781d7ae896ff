//! What proxies say about the way of a request, nearest hop first.

use std::net::{IpAddr, SocketAddr};

use crate::head::Head;

/// The addresses in `X-Forwarded-For`; `None` for an entry that is not one.
pub(super) fn x_forwarded_for(head: &Head) -> impl Iterator<Item = Option<IpAddr>> {
    let values = head.values("x-forwarded-for").rev();
    let entries = values.flat_map(|value| value.rsplit(|byte| *byte == b','));
    entries.map(|entry| address(entry.trim_ascii()))
}

/// The addresses in the `for` parameters of `Forwarded` (RFC 7239 section 4); `None` for an element
/// that has none, or that hides it (section 6).
pub(super) fn forwarded(head: &Head) -> impl Iterator<Item = Option<IpAddr>> {
    let values = head.values("forwarded").rev();
    values
        .flat_map(|value| FromRight::new(value, b','))
        .map(node)
}

fn node(element: &[u8]) -> Option<IpAddr> {
    let mut named = FromRight::new(element, b';').filter_map(|pair| {
        let (name, value) = pair.trim_ascii().split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    });
    // The standard allows one; of two, nobody knows which the proxy meant.
    let value = named.next().filter(|_| named.next().is_none())?;
    match value {
        [b'"', quoted @ .., b'"'] => address(quoted),
        plain => address(plain),
    }
}

/// The parts of a list from right to left; a separator between quotation marks is none.
///
/// What is escaped between them is not looked at: no address needs it, and a part that is cut wrongly
/// for it is not one.
struct FromRight<'list> {
    rest: Option<&'list [u8]>,
    separator: u8,
}

impl<'list> FromRight<'list> {
    fn new(list: &'list [u8], separator: u8) -> Self {
        FromRight {
            rest: Some(list),
            separator,
        }
    }
}

impl<'list> Iterator for FromRight<'list> {
    type Item = &'list [u8];

    fn next(&mut self) -> Option<&'list [u8]> {
        let rest = self.rest.take()?;
        let mut quoted = false;
        let at = rest.iter().rposition(|byte| {
            quoted ^= *byte == b'"';
            *byte == self.separator && !quoted
        });
        let Some(at) = at else {
            return Some(rest);
        };
        self.rest = rest.get(..at);
        rest.get(at + 1..)
    }
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse()
        .ok()
        .or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
        .or_else(bracketed)
        .map(|address: IpAddr| address.to_canonical())
}
