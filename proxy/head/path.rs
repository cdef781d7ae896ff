//! Paths as an upstream may come to read them: percent-decoded, with empty segments folded away.
//!
//! A rule about `/search` must hold for `/%73earch` and `//search` as well, or it is no rule. All of
//! it works on the bytes as they came, without building a second string.

/// Whether `path` lies under `prefix`, both decoded and on whole segments: `/search` covers
/// `/search` and `/search/x` but not `/searching`; a prefix that ends in `/` covers all that begins
/// with it.
pub fn has_prefix(path: &str, prefix: &str) -> bool {
    let mut bytes = Plain::new(path);
    let mut last = None;
    for expected in Plain::new(prefix) {
        if bytes.next() != Some(expected) {
            return false;
        }
        last = Some(expected);
    }
    // Some servers serve /search at /search;x, too.
    last == Some(b'/') || matches!(bytes.next(), None | Some(b'/' | b';'))
}

/// The segment with this number, counted from 1, as [`has_prefix`] reads the path: `/%61cme` and
/// `//acme` have the same first one. `None` when it is not text or does not fit into `space`.
pub fn segment<'space>(path: &str, number: usize, space: &'space mut [u8]) -> Option<&'space str> {
    let (mut slashes, mut length) = (0, 0);
    for byte in Plain::new(path) {
        match byte {
            b'/' if slashes == number => break,
            b'/' => slashes += 1,
            _ if slashes == number => {
                *space.get_mut(length)? = byte;
                length += 1;
            }
            _ => {}
        }
    }
    std::str::from_utf8(space.get(..length)?).ok()
}

/// Whether a segment is `.` or `..` in any spelling (RFC 3986 section 5.2.4). A backslash counts as a
/// slash, and what follows a semicolon does not count, as some servers read them.
pub(super) fn has_dot_segment(path: &str) -> bool {
    let mut dots = 0;
    let mut other = false;
    let mut parameter = false;
    for byte in Plain::new(path).chain([b'/']) {
        match byte {
            b'/' | b'\\' => {
                if !other && (dots == 1 || dots == 2) {
                    return true;
                }
                (dots, other, parameter) = (0, false, false);
            }
            _ if parameter => {}
            b';' => parameter = true,
            b'.' => dots += 1,
            _ => other = true,
        }
    }
    false
}

/// The bytes of a path, percent-decoded, runs of slashes as one.
struct Plain<'path> {
    rest: &'path [u8],
    last: u8,
}

impl<'path> Plain<'path> {
    fn new(path: &'path str) -> Self {
        Plain {
            rest: path.as_bytes(),
            last: 0,
        }
    }

    fn decoded(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        if let (b'%', [high, low, after @ ..]) = (first, rest)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            self.rest = after;
            return Some(high << 4 | low);
        }
        self.rest = rest;
        Some(first)
    }
}

impl Iterator for Plain<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = self.decoded()?;
            let repeats = byte == b'/' && self.last == b'/';
            self.last = byte;
            if !repeats {
                return Some(byte);
            }
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}
