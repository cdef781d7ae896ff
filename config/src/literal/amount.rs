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

const LEAST_RATES: &str = r#"such as "500B/s" or "4KiB/s", or "off""#;

/// The fewest bytes per second, from 1 B/s to 1 GiB/s; 0 for "off".
#[derive(Debug, PartialEq)]
pub(crate) struct LeastRate(pub(crate) u64);

impl Literal for LeastRate {
    const EXAMPLES: &'static [&'static str] = &["500B/s", "4KiB/s", "off"];
    const PATTERN: Option<&'static str> = Some("^([0-9]+(B|KiB|MiB|GiB)/s|off)$");

    fn read(text: &str) -> Result<LeastRate, String> {
        if text == "off" {
            return Ok(LeastRate(0));
        }
        let bytes = text.strip_suffix("/s").and_then(bytes).ok_or_else(|| {
            format!("this is a whole number of B, KiB, MiB or GiB per second, {LEAST_RATES}")
        })?;
        match bytes {
            Some(1..=0x4000_0000) => Ok(LeastRate(bytes.unwrap_or_default())),
            Some(0) => Err(format!("this is at least 1B/s, {LEAST_RATES}")),
            _ => Err(format!("this is at most 1GiB/s, {LEAST_RATES}")),
        }
    }
}

const BODY_SIZES: &str = r#"such as "10MiB" or "1GiB", or "off""#;

/// The most bytes of a body, from 1 B to 1,048,576 GiB; [`u64::MAX`] for "off".
#[derive(Debug, PartialEq)]
pub(crate) struct BodySize(pub(crate) u64);

impl Literal for BodySize {
    const EXAMPLES: &'static [&'static str] = &["10MiB", "1GiB", "off"];
    const PATTERN: Option<&'static str> = Some("^([0-9]+(B|KiB|MiB|GiB)|off)$");

    fn read(text: &str) -> Result<BodySize, String> {
        if text == "off" {
            return Ok(BodySize(u64::MAX));
        }
        let bytes = bytes(text)
            .ok_or_else(|| format!("this is a whole number of B, KiB, MiB or GiB, {BODY_SIZES}"))?;
        match bytes {
            Some(0) => Err(format!("this is at least 1B, {BODY_SIZES}")),
            Some(bytes) if bytes <= 1 << 50 => Ok(BodySize(bytes)),
            _ => Err(format!("this is at most 1048576GiB, {BODY_SIZES}")),
        }
    }
}

const FILE_SIZES: &str = r#"such as "1MiB" or "64MiB""#;

/// The most bytes of a file, from 4 KiB to 1,024 GiB.
#[derive(Debug, PartialEq)]
pub(crate) struct FileSize(pub(crate) u64);

impl Literal for FileSize {
    const EXAMPLES: &'static [&'static str] = &["1MiB", "64MiB"];
    const PATTERN: Option<&'static str> = Some("^[0-9]+(KiB|MiB|GiB)$");

    fn read(text: &str) -> Result<FileSize, String> {
        let written = bytes(text).filter(|_| !number_and_unit(text).1.eq("B"));
        let written = written
            .ok_or_else(|| format!("this is a whole number of KiB, MiB or GiB, {FILE_SIZES}"))?;
        match written {
            Some(bytes) if bytes < 4 << 10 => Err(format!("this is at least 4KiB, {FILE_SIZES}")),
            Some(bytes) if bytes <= 1 << 40 => Ok(FileSize(bytes)),
            _ => Err(format!("this is at most 1024GiB, {FILE_SIZES}")),
        }
    }
}

/// Reads `64KiB`: `None` when it has another form, `Some(None)` when no counter holds it.
fn bytes(text: &str) -> Option<Option<u64>> {
    let (number, unit) = number_and_unit(text);
    let scale: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let digits_only = !number.is_empty();
    digits_only.then(|| whole_number(number).and_then(|number| number.checked_mul(scale)))
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
    fn a_least_rate_is_bytes_or_off() {
        assert_eq!(LeastRate::read("500B/s"), Ok(LeastRate(500)));
        assert_eq!(LeastRate::read("4KiB/s"), Ok(LeastRate(4096)));
        assert_eq!(LeastRate::read("1GiB/s"), Ok(LeastRate(1 << 30)));
        assert_eq!(LeastRate::read("off"), Ok(LeastRate(0)));
        for text in [
            "0B/s",
            "500",
            "500/s",
            "500B",
            "B/s",
            "2GiB/s",
            "500b/s",
            "Off",
            "",
            "99999999999999999999B/s",
        ] {
            assert!(LeastRate::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_body_size_is_bytes_or_off() {
        assert_eq!(BodySize::read("1B"), Ok(BodySize(1)));
        assert_eq!(BodySize::read("10MiB"), Ok(BodySize(10 << 20)));
        assert_eq!(BodySize::read("1048576GiB"), Ok(BodySize(1 << 50)));
        assert_eq!(BodySize::read("off"), Ok(BodySize(u64::MAX)));
        for text in [
            "0B",
            "10",
            "10MB",
            "MiB",
            "10MiB/s",
            "1048577GiB",
            "none",
            "",
        ] {
            assert!(BodySize::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_holds_some_lines_at_least() {
        assert_eq!(FileSize::read("4KiB"), Ok(FileSize(4096)));
        assert_eq!(FileSize::read("1024GiB"), Ok(FileSize(1 << 40)));
        for text in [
            "3KiB", "0KiB", "8192B", "1MB", "64", "MiB", "1025GiB", "1MiB/s", "off", "",
        ] {
            assert!(FileSize::read(text).is_err(), "{text}");
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
