//! `tidegate block`: show or change who is shut out.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use clap::Subcommand;
use hyper::Method;

use super::mode::parse_seconds;
use super::{Context, Format, output};
use crate::admin::wire::{BlockList, BlockRequest, Changed, Unblock};
use crate::clock;
use crate::prefixes::Added;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List blocks with their ends and reasons
    List {
        /// Only the blocks that this address lies in
        #[arg(value_name = "ADDRESS")]
        address: Option<IpAddr>,

        /// How many entries at most
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Close new connections of a client at once, and open ones at their next request
    Add {
        /// An address or a prefix, such as 192.0.2.7 or 198.51.100.0/24
        #[arg(value_name = "ADDRESS")]
        prefix: String,

        /// How long, such as 10m; an hour without it, 30d at most
        #[arg(long = "for", value_name = "DUR", value_parser = parse_seconds)]
        lasting: Option<Duration>,

        /// Why, for whoever looks later
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,

        /// Block this machine, a trusted proxy, or more than an IPv4 /8 or an IPv6 /16
        #[arg(long)]
        force: bool,
    },
    /// Let a client in again
    Remove {
        /// The address or prefix, as it was blocked
        #[arg(value_name = "ADDRESS")]
        prefix: String,
    },
}

pub(super) fn run(verb: Verb, context: &Context) -> anyhow::Result<()> {
    match verb {
        Verb::List { address, limit } => list(address, limit, context),
        Verb::Add {
            prefix,
            lasting,
            reason,
            force,
        } => {
            let request = BlockRequest {
                prefix,
                seconds: lasting.map(|lasting| lasting.as_secs()),
                reason,
                force,
            };
            let client = context.client();
            let blocked: Changed<Added> = client.send(Method::POST, "/v1/blocks", &request)?;
            output::changed(&blocked, context, |entry| {
                let until = entry.note.until.unwrap_or(0);
                let left = output::duration(until.saturating_sub(clock::unix_seconds()));
                let until = output::time(until);
                format!("{} is blocked for {left} (until {until})\n", entry.prefix)
            })
        }
        Verb::Remove { prefix } => {
            let client = context.client();
            let request = Unblock { prefix };
            let lifted: Changed<Added> = client.send(Method::DELETE, "/v1/blocks", &request)?;
            output::changed(&lifted, context, |entry| {
                format!("{} is no longer blocked\n", entry.prefix)
            })
        }
    }
}

fn list(address: Option<IpAddr>, limit: usize, context: &Context) -> anyhow::Result<()> {
    let mut query = vec![("limit", limit.to_string())];
    query.extend(address.map(|address| ("address", address.to_string())));
    let list: BlockList = context.client().ask("/v1/blocks", &query)?;
    if context.format == Format::Json {
        return output::json(&list);
    }
    let mut text = String::new();
    for entry in &list.entries {
        writeln!(
            text,
            "{:<43} {}",
            entry.prefix.to_string(),
            end_and_reason(entry)
        )?;
    }
    output::text(&text)?;
    match (address, list.entries.len()) {
        (Some(address), 0) => eprintln!("{address} is not blocked"),
        (Some(_), _) => {}
        (None, shown) if shown < list.blocks => {
            eprintln!("{shown} of {} blocks; more with --limit", list.blocks);
        }
        (None, 1) => eprintln!("1 block"),
        (None, _) => eprintln!("{} blocks", list.blocks),
    }
    Ok(())
}

/// Until when, by whom and why.
pub(super) fn end_and_reason(entry: &Added) -> String {
    let mut said = format!("until {}", output::time(entry.note.until.unwrap_or(0)));
    if let Some(by) = &entry.note.set_by {
        said.push_str(&format!(", set by {}", output::plain(by)));
    }
    if let Some(reason) = &entry.note.reason {
        said.push_str(&format!(": {}", output::plain(reason)));
    }
    said
}
