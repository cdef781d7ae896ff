//! `tidegate upgrade`: another process goes on with the sockets and counters.

use std::fmt::Write;
use std::time::Duration;

use hyper::Method;

use super::mode::parse_seconds;
use super::{Context, Format, output};
use crate::admin::wire::{MOST_UPGRADE_SECONDS, UpgradeRequest};
use crate::upgrade::Upgraded;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long the new process may take until it serves; if it takes longer, the old one goes on
    #[arg(long, value_name = "DUR", value_parser = parse_within, default_value = "30s")]
    within: Duration,
}

fn parse_within(text: &str) -> Result<Duration, String> {
    let within = parse_seconds(text)?;
    match within.as_secs() <= MOST_UPGRADE_SECONDS {
        true => Ok(within),
        false => Err(format!("the longest is {MOST_UPGRADE_SECONDS}s")),
    }
}

/// For what comes before and after the new process's own time.
const MORE: Duration = Duration::from_secs(15);

pub(super) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<()> {
    let request = UpgradeRequest {
        seconds: Some(arguments.within.as_secs()),
    };
    let deadline = arguments.within + MORE;
    let upgraded: Upgraded =
        context
            .client()
            .send_within(deadline, Method::POST, "/v1/upgrade", &request)?;
    if context.format == Format::Json {
        return output::json(&upgraded);
    }
    let Upgraded { old, new, .. } = &upgraded;
    let mut text = format!(
        "process {} ({}) serves; process {} ({}) finishes its requests within {}\n",
        new.pid,
        output::plain(&new.version),
        old.pid,
        output::plain(&old.version),
        output::duration(upgraded.drain_seconds)
    );
    for (heading, lines) in [
        ("handed over", &upgraded.handed_over),
        ("anew", &upgraded.not_handed_over),
    ] {
        for (line, heading) in lines
            .iter()
            .zip([heading].into_iter().chain([""].into_iter().cycle()))
        {
            writeln!(text, "{heading:<12} {}", output::plain(line))?;
        }
    }
    output::text(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::wire::UPGRADE_SECONDS;

    #[test]
    fn the_time_that_is_named_in_the_help_is_the_one_that_the_gate_has() {
        assert_eq!(parse_within("30s").unwrap().as_secs(), UPGRADE_SECONDS);
        assert!(parse_within("51s").is_err());
    }
}
