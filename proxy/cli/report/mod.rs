//! `tidegate report`: an incident's timeline, as the first draft of its post-mortem.

mod chart;
mod heaviest;
mod timeline;

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

use super::mode::parse_seconds;
use super::{Context, Format, output};
use crate::admin::wire::ReportQuery;
use crate::minutes::{self, Ends, Minute, Report};

/// How far back it can look.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How far back, such as 30m or 12h; at most 7d, and as far as there is room for in the state directory
    #[arg(long, value_name = "DUR", default_value = "2h", value_parser = parse_span)]
    since: Duration,
}

fn parse_span(text: &str) -> Result<Duration, String> {
    let span = parse_seconds(text)?;
    match span > LONGEST {
        true => Err("the longest is 7d".to_owned()),
        false => Ok(span),
    }
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<()> {
    let query = ReportQuery {
        seconds: Some(arguments.since.as_secs()),
    };
    let report: Report = context.client().ask("/v1/report", &query)?;
    if context.format == Format::Json {
        return output::json(&report);
    }
    let mut out = String::new();
    write_report(&report, &mut out)?;
    output::text(&out)
}

fn write_report(report: &Report, out: &mut String) -> fmt::Result {
    let (from, until) = (output::time(report.from), output::time(report.until));
    writeln!(out, "# Incident report: {from} to {until}\n")?;
    writeln!(
        out,
        "Made by tidegate {} from what it counted and wrote down. What it cannot know is yours to add: the cause, and what it meant for whom.\n",
        report.version
    )?;
    write_summary(report, out)?;
    writeln!(out, "## Traffic\n")?;
    chart::write(&report.minutes, out)?;
    writeln!(out, "## What happened\n")?;
    timeline::write(report, out)?;
    writeln!(out, "## Who sent the most\n")?;
    heaviest::write(&report.minutes, out)
}

fn write_summary(report: &Report, out: &mut String) -> fmt::Result {
    let (mut all, mut known, mut closed) = (Ends::default(), Ends::default(), BTreeMap::new());
    for minute in &report.minutes {
        all.add(&minute.requests);
        known.add(&minute.known);
        minutes::add(&mut closed, &minute.closed);
    }
    writeln!(out, "## In short\n")?;
    if let Some(gap) = gap(report) {
        writeln!(out, "- **{gap}**")?;
    }
    write_ends("Requests", &all, out)?;
    write_ends("Of known customers", &known, out)?;
    let busiest = report
        .minutes
        .iter()
        .max_by(|one, other| rate(one).total_cmp(&rate(other)));
    if let Some(busiest) = busiest.filter(|busiest| rate(busiest) > 0.0) {
        writeln!(
            out,
            "- The busiest minute ended at {}: {:.0} requests/s.",
            output::time(busiest.until),
            rate(busiest)
        )?;
    }
    write_reasons("Connections closed at the door", &closed, out)?;
    write_reasons("Requests refused", &all.refused, out)?;
    write_reasons("Requests failed", &all.failed, out)?;
    writeln!(out)
}

/// Whether there is less than was asked for.
fn gap(report: &Report) -> Option<String> {
    let first = report.minutes.first()?;
    let begin = first.until.saturating_sub(first.seconds);
    let missing = begin.saturating_sub(report.from);
    (missing > 120).then(|| {
        format!(
            "Nothing was written down before {}: the gate was not running, or it is too long ago.",
            output::time(begin)
        )
    })
}

/// Requests a second.
fn rate(minute: &Minute) -> f64 {
    minute.requests.all() as f64 / minute.seconds.max(1) as f64
}

fn write_ends(what: &str, ends: &Ends, out: &mut String) -> fmt::Result {
    let (all, refused, failed) = (ends.all(), ends.refused(), ends.failed());
    if all == 0 {
        return writeln!(out, "- {what}: none.");
    }
    writeln!(
        out,
        "- {what}: {all}, of which {} were served ({:.1}%), {refused} refused, {failed} failed.",
        ends.forwarded,
        100.0 * ends.forwarded as f64 / all as f64
    )
}

fn write_reasons(what: &str, reasons: &BTreeMap<String, u64>, out: &mut String) -> fmt::Result {
    if reasons.is_empty() {
        return Ok(());
    }
    let mut reasons: Vec<_> = reasons.iter().collect();
    reasons.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), *reason));
    let named: Vec<String> = reasons
        .iter()
        .map(|(reason, count)| format!("{} {count}", code(reason)))
        .collect();
    writeln!(out, "- {what}: {}.", named.join(", "))
}

/// Text that somebody else wrote, so that it is read as it is in Markdown, in tables too.
fn code(text: &str) -> String {
    let plain: String = output::plain(text)
        .chars()
        .map(|letter| match letter {
            '`' => '\'',
            '|' => '¦',
            other => other,
        })
        .collect();
    match plain.trim() {
        "" => "(none)".to_owned(),
        plain => format!("`{plain}`"),
    }
}

#[cfg(test)]
mod tests;
