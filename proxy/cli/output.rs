//! Printing: JSON for programs, words for people.

use std::io::{self, Write};

use serde::Serialize;

use super::{Context, Format};
use crate::admin::wire::Changed;

/// Prints a value as JSON.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    Ok(())
}

/// Prints text; a reader that closed the pipe is not an error of ours.
pub(super) fn text(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Prints what a change has put in force, after what the operator should know beside it.
pub(super) fn changed<T: Serialize>(
    changed: &Changed<T>,
    context: &Context,
    sentence: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    if let Some(warning) = &changed.warning {
        eprintln!("warning: {warning}");
    }
    match context.format {
        Format::Json => json(&changed.now),
        Format::Human => text(&sentence(&changed.now)),
    }
}

/// ` until` a point in time; nothing where there is none.
pub(super) fn until(seconds: Option<u64>) -> String {
    let end = seconds.map(time);
    end.map_or_else(String::new, |end| format!(" until {end}"))
}

/// Whether printing failed only because the reader had enough, as `head` does.
pub(super) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let json = error.downcast_ref::<serde_json::Error>();
    io.or_else(|| json.and_then(serde_json::Error::io_error_kind))
        == Some(io::ErrorKind::BrokenPipe)
}

/// Text that somebody else wrote, on one line, and without a say in what the terminal does, or in which
/// direction it is read.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|letter| if is_unseen(letter) { ' ' } else { letter })
        .collect()
}

/// Controls, and what changes how the letters around it look (Unicode's formats and separators).
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// A number of seconds as a person says it: `42s`, `12m 5s`, `3h 20m`, `2d 4h`.
pub(super) fn duration(seconds: u64) -> String {
    let parts = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut left = seconds;
    let mut words = Vec::new();
    for (size, unit) in parts {
        if left >= size {
            words.push(format!("{}{unit}", left / size));
            left %= size;
        }
    }
    words.truncate(2);
    match words.is_empty() {
        true => "0s".to_owned(),
        false => words.join(" "),
    }
}

/// A point in time, in this machine's zone; seconds since the epoch when that cannot be told.
pub(super) fn time(seconds: u64) -> String {
    formatted(seconds, "%Y-%m-%d %H:%M:%S %Z")
}

/// The hour and minute of it.
pub(super) fn clock(seconds: u64) -> String {
    formatted(seconds, "%H:%M")
}

fn formatted(seconds: u64, format: &str) -> String {
    let timestamp = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    timestamp.map_or_else(
        || seconds.to_string(),
        |at| {
            let zoned = at.to_zoned(jiff::tz::TimeZone::system());
            zoned.strftime(format).to_string()
        },
    )
}

/// How long ago a point in time was; `never` for zero.
pub(super) fn ago(seconds: u64, now: u64) -> String {
    match seconds {
        0 => "never".to_owned(),
        at => format!("{} ago", duration(now.saturating_sub(at))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_parts_at_most() {
        for (seconds, said) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (725, "12m 5s"),
            (12_003, "3h 20m"),
            (187_200, "2d 4h"),
        ] {
            assert_eq!(duration(seconds), said);
        }
    }
}
