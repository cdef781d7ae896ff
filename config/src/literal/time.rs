//! Durations.

use std::time::Duration;

use super::{Literal, number_and_unit, whole_number};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Ten years: so far from overflow that adding it to any clock is safe.
const LONGEST: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

const FORM: &str =
    r#"a duration is a whole number and a unit, such as "500ms", "5s", "30m", "2h" or "1d""#;

const PATTERN: &str = "^[0-9]+(ms|s|m|h|d)$";

/// Reads a duration such as `500ms`, `5s`, `30m`, `2h` or `1d`: see
/// [`parse_duration`](crate::parse_duration).
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = number_and_unit(text);
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => return Err(FORM.to_owned()),
    };
    if number.is_empty() {
        return Err(FORM.to_owned());
    }
    whole_number(number)
        .and_then(|number| number.checked_mul(milliseconds))
        .map(Duration::from_millis)
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| r#"a duration is at most "3650d""#.to_owned())
}

/// A time in which something has to happen: more than 0, at most one day.
pub(crate) struct Deadline(pub(crate) Duration);

impl Literal for Deadline {
    const EXAMPLES: &'static [&'static str] = &["10s", "500ms", "2m"];
    const PATTERN: Option<&'static str> = Some(PATTERN);

    fn read(text: &str) -> Result<Deadline, String> {
        match duration(text)? {
            Duration::ZERO => Err(r#"this is more than 0, such as "10s""#.to_owned()),
            length if length > DAY => Err(r#"this is at most one day: "1d" or "24h""#.to_owned()),
            length => Ok(Deadline(length)),
        }
    }
}

/// How long an emergency measure stays: more than 0, at most 30 days, so that
/// a forgotten one ends.
pub(crate) struct Stay(pub(crate) Duration);

impl Literal for Stay {
    const EXAMPLES: &'static [&'static str] = &["30m", "2h", "1d"];
    const PATTERN: Option<&'static str> = Some(PATTERN);

    fn read(text: &str) -> Result<Stay, String> {
        match duration(text)? {
            Duration::ZERO => Err(r#"this is more than 0, such as "30m""#.to_owned()),
            length if length > DAY * 30 => Err(r#"this is at most "30d""#.to_owned()),
            length => Ok(Stay(length)),
        }
    }
}

/// How long something is remembered: at least a minute, at most a year.
pub(crate) struct Keep(pub(crate) Duration);

impl Literal for Keep {
    const EXAMPLES: &'static [&'static str] = &["30d", "12h"];
    const PATTERN: Option<&'static str> = Some(PATTERN);

    fn read(text: &str) -> Result<Keep, String> {
        match duration(text)? {
            length if length < Duration::from_secs(60) => {
                Err(r#"this is at least "1m", such as "30d""#.to_owned())
            }
            length if length > DAY * 365 => Err(r#"this is at most "365d""#.to_owned()),
            length => Ok(Keep(length)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("5s", 5_000),
            ("30m", 1_800_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("0s", 0),
            ("3650d", 315_360_000_000),
        ] {
            assert_eq!(
                duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn anything_else_is_told_the_form() {
        for text in [
            "", "5", "s", "5 s", " 5s", "-5s", "+5s", "1.5h", "5S", "5m30s", "1w", "५s",
        ] {
            assert_eq!(duration(text), Err(FORM.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn a_duration_that_no_clock_can_hold_is_refused() {
        for text in ["3651d", "18446744073709551615d", "99999999999999999999ms"] {
            assert_eq!(
                duration(text),
                Err(r#"a duration is at most "3650d""#.to_owned())
            );
        }
    }
}
