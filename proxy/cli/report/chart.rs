//! Traffic as bars, one a minute, or one for several where there are many.

use std::fmt::{self, Write};

use super::output;
use crate::minutes::{Ends, Minute};

/// Rows, at most, and letters of the longest bar.
const ROWS: usize = 60;
const WIDTH: f64 = 40.0;

/// Some minutes in one.
struct Row {
    until: u64,
    seconds: u64,
    requests: Ends,
    known: Ends,
    closed: u64,
    mode: String,
}

/// Writes the chart.
pub(super) fn write(minutes: &[Minute], out: &mut String) -> fmt::Result {
    let each = minutes.len().div_ceil(ROWS).max(1);
    let rows: Vec<Row> = minutes.chunks(each).filter_map(row).collect();
    let peak = rows.iter().map(rate).fold(1.0, f64::max);
    writeln!(
        out,
        "Requests a second until the time given: `█` served, `▒` failed, `░` refused.\n\n```"
    )?;
    writeln!(
        out,
        "{:<7}{:>10}{:>9}{:>9}{:>10}{:>14}  {:<40}  mode",
        "until", "all/s", "refused", "failed", "closed/s", "known served", ""
    )?;
    for row in &rows {
        write_row(row, peak, out)?;
    }
    writeln!(out, "```\n")
}

fn row(minutes: &[Minute]) -> Option<Row> {
    let last = minutes.last()?;
    let mut row = Row {
        until: last.until,
        seconds: 0,
        requests: Ends::default(),
        known: Ends::default(),
        closed: 0,
        mode: last.mode.clone(),
    };
    for minute in minutes {
        row.seconds += minute.seconds;
        row.requests.add(&minute.requests);
        row.known.add(&minute.known);
        row.closed += minute.closed.values().sum::<u64>();
    }
    Some(row)
}

fn rate(row: &Row) -> f64 {
    row.requests.all() as f64 / row.seconds.max(1) as f64
}

fn write_row(row: &Row, peak: f64, out: &mut String) -> fmt::Result {
    let (requests, known) = (&row.requests, &row.known);
    let share = |part: u64, all: u64| match all {
        0 => "-".to_owned(),
        all => format!("{:.1}%", 100.0 * part as f64 / all as f64),
    };
    let all = requests.all();
    writeln!(
        out,
        "{:<7}{:>10.1}{:>9}{:>9}{:>10.1}{:>14}  {:<40}  {}",
        output::clock(row.until),
        rate(row),
        share(requests.refused(), all),
        share(requests.failed(), all),
        row.closed as f64 / row.seconds.max(1) as f64,
        share(known.forwarded, known.all()),
        bar(row, peak),
        output::plain(&row.mode)
    )
}

/// Each part is as long as it should be when all of it is looked at from the left, so that rounding adds
/// nothing up.
fn bar(row: &Row, peak: f64) -> String {
    let per = WIDTH / peak / row.seconds.max(1) as f64;
    let (mut bar, mut so_far) = (String::new(), 0);
    for (count, letter) in [
        (row.requests.forwarded, '█'),
        (row.requests.failed(), '▒'),
        (row.requests.refused(), '░'),
    ] {
        so_far += count;
        let end = (so_far as f64 * per).round() as usize;
        let drawn = bar.chars().count();
        bar.extend(std::iter::repeat_n(letter, end.saturating_sub(drawn)));
    }
    bar
}
