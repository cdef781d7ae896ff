//! `tidegate mode`: show the mode or switch it.

use std::time::Duration;

use hyper::Method;
use tidegate_config::{Mode, Share};

use super::{Context, output};
use crate::admin::wire::{Changed, ModeRequest};
use crate::clock;
use crate::mode::Record;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// observe, normal or known-only; without it, the mode in force is shown
    #[arg(value_name = "MODE", value_parser = ["observe", "normal", "known-only"])]
    mode: Option<String>,

    /// How long it lasts, such as 30m; "forever" for until it is switched again
    #[arg(long = "for", value_name = "DUR", requires = "mode", value_parser = parse_lasting)]
    lasting: Option<Lasting>,

    /// Let a fixed share of the unknown clients in, such as 5% or 0.5%: the same ones stay in as it
    /// grows. Changes nothing else of a known-only that is in force
    #[arg(long, value_name = "SHARE", requires = "mode")]
    admit_unknown: Option<Share>,

    /// Why, for whoever looks later
    #[arg(long, value_name = "TEXT", requires = "mode")]
    reason: Option<String>,

    /// Switch although the known set is empty and every client would be refused
    #[arg(long, requires = "mode")]
    force: bool,
}

#[derive(Clone, Copy, Debug)]
enum Lasting {
    For(Duration),
    Forever,
}

fn parse_lasting(text: &str) -> Result<Lasting, String> {
    match text {
        "forever" => Ok(Lasting::Forever),
        _ => parse_seconds(text).map(Lasting::For),
    }
}

/// A duration of at least a second.
pub(super) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let duration = tidegate_config::parse_duration(text)?;
    match duration < Duration::from_secs(1) {
        true => Err("the shortest is 1s".to_owned()),
        false => Ok(duration),
    }
}

pub(super) fn run(arguments: Arguments, context: &Context) -> anyhow::Result<()> {
    let changed: Changed<Record> = match arguments.mode {
        None => Changed {
            now: context.client().get("/v1/mode")?,
            warning: None,
        },
        Some(mode) => {
            let request = ModeRequest {
                mode,
                seconds: match arguments.lasting {
                    Some(Lasting::For(duration)) => Some(duration.as_secs()),
                    Some(Lasting::Forever) | None => None,
                },
                forever: matches!(arguments.lasting, Some(Lasting::Forever)),
                reason: arguments.reason,
                admit_unknown: arguments.admit_unknown.map(|share| share.to_string()),
                force: arguments.force,
            };
            context.client().send(Method::POST, "/v1/mode", &request)?
        }
    };
    output::changed(&changed, context, |record| {
        format!("{}\n", sentence(record))
    })
}

/// The mode with its share, its end and its reason in one line.
pub(super) fn sentence(record: &Record) -> String {
    let mut said = record.to_string();
    if let Some(until) = record.until {
        let left = until.saturating_sub(clock::unix_seconds());
        said.push_str(&format!(
            " for another {} (until {}, then {})",
            output::duration(left),
            output::time(until),
            record.before
        ));
    } else if record.mode == Mode::KnownOnly {
        said.push_str(", until it is switched");
    }
    if let Some(plan) = &record.reopening {
        said.push_str(&match plan.steps.last() > Some(&record.admit_unknown) {
            true => format!(
                ", opening in steps, the next at {} if it is calm",
                output::time(plan.next)
            ),
            false => ", at the last step, and back if the attack goes on".to_owned(),
        });
    }
    if let Some(by) = &record.set_by {
        said.push_str(&format!(", set by {by} at {}", output::time(record.since)));
    }
    if let Some(reason) = &record.reason {
        said.push_str(&format!(": {}", output::plain(reason)));
    }
    said
}
