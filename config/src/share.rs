//! Shares of a whole, in percent.

use std::fmt;
use std::str::FromStr;

use crate::literal::Literal;

/// A share from nothing to all, in hundredths of a percent.
///
/// Written as a percentage with at most two places: `5%`, `0.5%`, `12.25%`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

impl Share {
    /// Nothing.
    pub const NONE: Share = Share(0);

    /// All.
    pub const ALL: Share = Share(Share::WHOLE);

    /// How many parts the whole has.
    pub const WHOLE: u16 = 10_000;

    /// So many parts of the whole; all of it for more than there are.
    #[must_use]
    pub const fn of_parts(parts: u16) -> Share {
        match parts < Share::WHOLE {
            true => Share(parts),
            false => Share::ALL,
        }
    }

    /// Its parts, at most [`Share::WHOLE`].
    #[must_use]
    pub const fn parts(self) -> u16 {
        self.0
    }

    /// As a number from 0 to 1.
    #[must_use]
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / f64::from(Share::WHOLE)
    }
}

const FORM: &str =
    r#"a share is a percentage from 0% to 100% with at most two places, such as "5%" or "0.5%""#;

impl Literal for Share {
    const EXAMPLES: &'static [&'static str] = &["5%", "0.5%", "100%"];
    const PATTERN: Option<&'static str> = Some(r"^[0-9]{1,3}(\.[0-9]{1,2})?%$");

    fn read(text: &str) -> Result<Share, String> {
        parts(text)
            .filter(|parts| *parts <= Share::WHOLE)
            .map(Share)
            .ok_or_else(|| FORM.to_owned())
    }
}

/// Reads `12.5%` as 1250.
fn parts(text: &str) -> Option<u16> {
    let number = text.strip_suffix('%')?;
    let (percent, places) = match number.split_once('.') {
        Some((percent, places)) => (percent, Some(places)),
        None => (number, None),
    };
    let digits = |text: &str, most: usize| {
        let fits = (1..=most).contains(&text.len()) && text.bytes().all(|one| one.is_ascii_digit());
        fits.then(|| text.parse::<u32>().ok()).flatten()
    };
    let hundredths = match places {
        None => 0,
        Some(places) => digits(places, 2)? * if places.len() == 1 { 10 } else { 1 },
    };
    u16::try_from(digits(percent, 3)? * 100 + hundredths).ok()
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        Share::read(text)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, rest) = (self.0 / 100, self.0 % 100);
        match (rest, rest % 10) {
            (0, _) => write!(f, "{percent}%"),
            (_, 0) => write!(f, "{percent}.{}%", rest / 10),
            _ => write!(f, "{percent}.{rest:02}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_read_as_they_are_written() {
        for (text, parts) in [
            ("0%", 0),
            ("5%", 500),
            ("0.5%", 50),
            ("0.01%", 1),
            ("12.25%", 1225),
            ("100%", 10_000),
        ] {
            let share: Share = text.parse().unwrap();
            assert_eq!((share.parts(), share.to_string().as_str()), (parts, text));
        }
        assert_eq!("5.50%".parse::<Share>().unwrap().to_string(), "5.5%");
    }

    #[test]
    fn anything_else_is_no_share() {
        for text in [
            "", "5", "%", "-5%", "+5%", "5 %", "5%%", ".5%", "5.%", "0.005%", "100.01%", "101%",
            "1000%", "65541%", "1e1%", "５%", "5.%5",
        ] {
            let problem = text.parse::<Share>().unwrap_err();
            assert!(problem.contains("from 0% to 100%"), "{text:?}: {problem}");
        }
    }
}
