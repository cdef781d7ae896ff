//! Names of fields as CGI-like interfaces hand them to an app: as names of variables, in which one
//! spelling cannot be told from the other. `X_Forwarded-For` is `HTTP_X_FORWARDED_FOR` there, and
//! behind some servers (lighttpd) `X.Forwarded.For` is it, too.

/// Whether a name has letters for which a variable has others. Few have.
pub fn is_odd(name: &str) -> bool {
    !name
        .bytes()
        .all(|letter| letter.is_ascii_alphanumeric() || letter == b'-')
}

/// Whether such an app may read a field of this name as the other field.
pub fn is_read_as(name: &str, other: &str) -> bool {
    name.len() == other.len() && begins_as(name, other)
}

/// Whether such an app may read the beginning of a name as this one.
pub fn begins_as(name: &str, beginning: &str) -> bool {
    let mut letters = name.bytes().map(in_variable);
    let mut beginning = beginning.bytes().map(in_variable);
    beginning.all(|letter| letters.next() == Some(letter))
}

fn in_variable(letter: u8) -> u8 {
    match letter.is_ascii_alphanumeric() {
        true => letter.to_ascii_uppercase(),
        false => b'_',
    }
}
