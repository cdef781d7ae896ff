//! `tidegate tail`: what is decided, as it happens.

use std::io::{self, Write};

use clap::Args;
use serde::Deserialize;

use super::{Context, Format, output};
use crate::tail::TailQuery;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only of this client: an address or a prefix
    #[arg(long, value_name = "ADDRESS")]
    client: Option<String>,

    /// Only of this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,

    /// Only of this path and those below it
    #[arg(long, value_name = "PATH")]
    path: Option<String>,

    /// Only with this outcome: forwarded, refused or failed
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,

    /// Only for this reason, such as client_rate
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,

    /// Only with this status, or class of them, such as 429 or 5xx
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,

    /// How many lines a second at most; what is left out is told as a number
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    lines: u32,
}

/// What people are shown of a line.
#[derive(Debug, Deserialize)]
struct Line {
    time: jiff::Timestamp,
    #[serde(rename = "event.name", default)]
    event: Option<String>,
    #[serde(default)]
    outcome: String,
    #[serde(default)]
    reason: String,
    #[serde(rename = "client.address", default)]
    client: String,
    #[serde(rename = "http.request.method", default)]
    method: String,
    #[serde(rename = "server.address", default)]
    host: String,
    #[serde(rename = "url.path", default)]
    path: String,
    #[serde(rename = "http.response.status_code", default)]
    status: u16,
    #[serde(default)]
    tenant: Option<String>,
    #[serde(default)]
    upstream: Option<String>,
    #[serde(rename = "http.server.request.duration", default)]
    duration: f64,
    #[serde(default)]
    over_rate: u64,
    #[serde(default)]
    not_looked_at: u64,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> anyhow::Result<()> {
    let query = TailQuery {
        client: arguments.client,
        tenant: arguments.tenant,
        path: arguments.path,
        outcome: arguments.outcome,
        reason: arguments.reason,
        status: arguments.status,
        lines: Some(arguments.lines),
    };
    let print = |line: &[u8]| match context.format {
        Format::Json => write(line),
        Format::Human => show(serde_json::from_slice(line)?),
    };
    context.client().follow("/v1/tail", &query, print)?;
    anyhow::bail!("the gate has ended this: it goes down, or this did not read")
}

/// At once: who follows does not wait for a buffer to be full.
fn write(line: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line)?;
    out.flush()?;
    Ok(())
}

fn show(line: Line) -> anyhow::Result<()> {
    let zoned = line.time.to_zoned(jiff::tz::TimeZone::system());
    let time = zoned.strftime("%H:%M:%S%.3f");
    if line.event.as_deref() == Some("tail.left_out") {
        eprintln!(
            "{time}  left out: {} beyond --lines, {} that came too fast to be looked at",
            line.over_rate, line.not_looked_at
        );
        return Ok(());
    }
    let mut text = format!("{time}  {:<9}", line.outcome);
    let status = match line.status {
        0 => "-".to_owned(),
        status => status.to_string(),
    };
    let asked = match line.event {
        Some(_) => "a connection".to_owned(),
        None => format!("{} {}{}", line.method, line.host, line.path),
    };
    text.push_str(&format!(
        " {status:<3}  {:<20} {:<15}  {asked}",
        line.reason, line.client
    ));
    if let Some(tenant) = line.tenant {
        text.push_str(&format!("  tenant {tenant}"));
    }
    if let Some(upstream) = line.upstream {
        text.push_str(&format!("  {upstream} {:.1} ms", line.duration * 1e3));
    }
    write(format!("{}\n", output::plain(&text)).as_bytes())
}
