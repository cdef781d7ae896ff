//! Rates and sizes.

use std::{num::NonZeroU32, time::Duration};

use super::{Literal, number_and_unit, whole_number};
use crate::checked::Rate;

const RATES: &str = r#"such as "20/s", "100/m" or "1000/h""#;

/// The most tokens in one second, minute or hour.
const MOST_TOKENS: u32 = 1_000_000;

impl Literal for Rate {
    const EXAMPLES: &'static [&'static str] = &["20/s", "100/m", "1000/h"];
    const PATTERN: Option<&'static str> = Some("^[0-9]+/[smh]$");

    fn read(text: &str) -> Result<Rate, String> {
        let per = match text.split_once('/') {
            Some((_, "s")) => 1,
            Some((_, "m")) => 60,
            Some((_, "h")) => 3600,
            _ => 0,
        };
        let (digits, _) = number_and_unit(text);
        if per == 0
            || digits.is_empty()
            || !text
                .get(digits.len()..)
                .is_some_and(|rest| rest.starts_with('/'))
        {
            return Err(format!(
                "a rate is a whole number per second, minute or hour, {RATES}"
            ));
        }
        let count = whole_number(digits)
            .and_then(|count| u32::try_from(count).ok())
            .filter(|count| *count <= MOST_TOKENS)
            .ok_or_else(|| format!("a rate is at most {MOST_TOKENS}, {RATES}"))?;
        let count =
            NonZeroU32::new(count).ok_or_else(|| format!("a rate is at least 1, {RATES}"))?;
        Ok(Rate {
            count,
            per: Duration::from_secs(per),
        })
    }
}

const SIZES: &str = r#"such as "64KiB/s" or "1MiB/s""#;

/// Bytes per second, from 1 KiB/s to 1,024 GiB/s.
#[derive(Debug, PartialEq)]
pub(crate) struct Bandwidth(pub(crate) u64);

impl Literal for Bandwidth {
    const EXAMPLES: &'static [&'static str] = &["64KiB/s", "1MiB/s"];
    const PATTERN: Option<&'static str> = Some("^[0-9]+(KiB|MiB|GiB)/s$");

    fn read(text: &str) -> Result<Bandwidth, String> {
        let (number, unit) = number_and_unit(text);
        let scale: u64 = match unit {
            "KiB/s" => 1 << 10,
            "MiB/s" => 1 << 20,
            "GiB/s" => 1 << 30,
            _ => 0,
        };
        if scale == 0 || number.is_empty() {
            return Err(format!(
                "this is a whole number of KiB, MiB or GiB per second, {SIZES}"
            ));
        }
        let bytes = whole_number(number).and_then(|number| number.checked_mul(scale));
        match bytes {
            Some(0) => Err(format!("this is at least 1KiB/s, {SIZES}")),
            Some(bytes) if bytes <= 1 << 40 => Ok(Bandwidth(bytes)),
            _ => Err(format!("this is at most 1024GiB/s, {SIZES}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_comes_back_as_it_was_written() {
        for text in ["1/s", "20/s", "100/m", "1000/h", "1000000/s"] {
            assert_eq!(
                Rate::read(text).map(|rate| rate.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn a_wrong_rate_is_told_what_is_wrong_with_it() {
        for (text, right) in [
            ("0/s", "a rate is at least 1"),
            ("1000001/h", "a rate is at most 1000000"),
            ("99999999999999999999999/s", "a rate is at most 1000000"),
            ("20", "a rate is a whole number per"),
            ("20/d", "a rate is a whole number per"),
            ("20 /s", "a rate is a whole number per"),
            ("/s", "a rate is a whole number per"),
            ("-1/s", "a rate is a whole number per"),
            ("1.5/s", "a rate is a whole number per"),
        ] {
            let message = Rate::read(text).unwrap_err();
            assert!(message.starts_with(right), "{text}: {message}");
        }
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(Bandwidth::read("64KiB/s"), Ok(Bandwidth(65_536)));
        assert_eq!(Bandwidth::read("3GiB/s"), Ok(Bandwidth(3 << 30)));
        for text in [
            "64",
            "64KB/s",
            "64KiB",
            "KiB/s",
            "0MiB/s",
            "1025GiB/s",
            "9999999999999GiB/s",
        ] {
            assert!(Bandwidth::read(text).is_err(), "{text}");
        }
    }
}
