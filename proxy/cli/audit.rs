//! `tidegate audit`: who changed what, when, why and until when.

use std::fmt::{self, Write};

use clap::Args;

use super::{Context, Format, output};
use crate::audit::{Record, Traffic};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Show so many changes, the latest ones
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 50)]
    limit: usize,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<()> {
    let records: Vec<Record> = context
        .client()
        .ask("/v1/audit", &[("limit", arguments.limit)])?;
    match context.format {
        Format::Json => output::json(&records),
        Format::Human if records.is_empty() => output::text("nothing was changed so far\n"),
        Format::Human => {
            let mut out = String::new();
            for record in &records {
                write_record(record, &mut out)?;
            }
            output::text(&out)
        }
    }
}

fn write_record(record: &Record, out: &mut String) -> fmt::Result {
    let (by, to) = (output::plain(&record.by), output::plain(&record.to));
    write!(
        out,
        "{}  {by}: {} {to}",
        output::time(record.time),
        record.what
    )?;
    if let Some(until) = record.until {
        write!(out, " until {}", output::time(until))?;
    }
    if let Some(reason) = &record.reason {
        write!(out, ": {}", output::plain(reason))?;
    }
    writeln!(out)?;
    for (when, traffic) in [
        ("before", &record.before),
        ("a minute later", &record.after),
    ] {
        if let Some(traffic) = traffic {
            write_traffic(when, traffic, out)?;
        }
    }
    Ok(())
}

fn write_traffic(when: &str, traffic: &Traffic, out: &mut String) -> fmt::Result {
    let Traffic {
        forwarded,
        refused,
        failed,
        connections,
    } = traffic;
    writeln!(
        out,
        "    {when}: {forwarded:.1}/s forwarded, {refused:.1}/s refused, {failed:.1}/s failed, {connections} connections"
    )
}
