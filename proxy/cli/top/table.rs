//! The words and numbers that the terminal and the text have in common.

use super::output;
use crate::top::{Kind, Measure, Source, Sources};

/// What came, in a line.
pub(super) fn summary(sources: &Sources) -> String {
    let (all, seconds) = (&sources.all, sources.seconds.max(1) as f64);
    let refused = 100.0 * all.refused as f64 / all.requests.max(1) as f64;
    format!(
        "last {}: {} requests/s, {refused:.1}% of them refused; {}/s; {:.1} upstream connections busy",
        output::duration(sources.seconds),
        count(all.requests as f64 / seconds),
        bytes(all.bytes as f64 / seconds),
        all.upstream_seconds / seconds
    )
}

/// How far the numbers can be relied on; nothing while they are exact.
pub(super) fn note(sources: &Sources) -> Option<String> {
    let mut words = Vec::new();
    if sources.one_in > 1 {
        words.push(format!(
            "one request in {} was looked at, and counted for all of them",
            sources.one_in
        ));
    }
    if sources.missed > 0 {
        words.push(format!("{} came too fast to be looked at", sources.missed));
    }
    (!words.is_empty()).then(|| words.join("; "))
}

/// The head of a table: of its rows' names, and of their numbers.
pub(super) fn headings(kind: Kind, by: Measure) -> [&'static str; 6] {
    let title = match kind {
        Kind::Client => "client",
        Kind::Network => "network",
        Kind::System => "AS",
        Kind::Country => "country",
        Kind::Tenant => "tenant",
        Kind::Path => "path",
        Kind::Agent => "user agent",
    };
    let share = match by {
        Measure::Requests => "% requests",
        Measure::Refused => "% refused",
        Measure::Bytes => "% bytes",
        Measure::Upstream => "% upstream",
    };
    [
        title,
        "requests/s",
        "refused/s",
        "bytes/s",
        "upstream",
        share,
    ]
}

/// A row of it.
pub(super) fn row(source: &Source, seconds: u64) -> [String; 6] {
    let (seconds, measured) = (seconds.max(1) as f64, &source.measured);
    let name = match source.name.as_str() {
        "" => "(none)".to_owned(),
        name => output::plain(name),
    };
    let share = match 100.0 * source.error {
        exact if exact < 0.05 => format!("{:.1}", 100.0 * source.share),
        off => format!("{:.1} ±{off:.1}", 100.0 * source.share),
    };
    [
        name,
        count(measured.requests as f64 / seconds),
        count(measured.refused as f64 / seconds),
        bytes(measured.bytes as f64 / seconds),
        format!("{:.1}", measured.upstream_seconds / seconds),
        share,
    ]
}

/// What is to be known before somebody is blocked.
pub(super) fn standing(source: &Source) -> &'static str {
    match (source.known, source.blocked) {
        (true, true) => "  known, blocked",
        (true, false) => "  known",
        (false, true) => "  blocked",
        (false, false) => "",
    }
}

/// A number that need not be exact to be read: `0.4`, `37`, `12.3k`.
fn count(number: f64) -> String {
    scaled(number, 1000.0, ["", "k", "M", "G"])
}

fn bytes(number: f64) -> String {
    scaled(number, 1024.0, [" B", " KiB", " MiB", " GiB"])
}

fn scaled(number: f64, step: f64, units: [&str; 4]) -> String {
    let [mut unit, larger @ ..] = units;
    let mut number = number;
    for next in larger {
        if number < 0.9995 * step {
            break;
        }
        (number, unit) = (number / step, next);
    }
    // A decimal only where it says something.
    match number.abs() > 0.04 && (number < 10.0 || unit.len() > units.len()) {
        true => format!("{number:.1}{unit}"),
        false => format!("{number:.0}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_are_of_use() {
        for (number, said) in [
            (0.0, "0"),
            (0.25, "0.2"),
            (3.0, "3.0"),
            (37.4, "37"),
            (999.9, "1.0k"),
            (12_345.0, "12k"),
            (2_500_000.0, "2.5M"),
        ] {
            assert_eq!(count(number), said, "{number}");
        }
        assert_eq!(bytes(0.0), "0 B");
        assert_eq!(bytes(3.5 * 1024.0 * 1024.0), "3.5 MiB");
    }
}
