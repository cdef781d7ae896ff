//! `tidegate known`: show or change who is a known customer.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use hyper::Method;

use super::mode::parse_seconds;
use super::{Context, Format, output};
use crate::admin::wire::{Changed, ImportQuery, Imported, KnownList, KnownRequest};
use crate::learn::Confirmed;
use crate::prefixes::Added;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List known customers with the source of each
    List {
        /// Only the entries that make this address known
        #[arg(value_name = "ADDRESS")]
        address: Option<IpAddr>,

        /// How many entries at most
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Make a customer known, from the next request on
    Add {
        /// An address or a prefix, such as 192.0.2.7 or 198.51.100.0/24
        #[arg(value_name = "ADDRESS")]
        prefix: String,

        /// How long, such as 2h; without it, until removed
        #[arg(long = "for", value_name = "DUR", value_parser = parse_seconds)]
        lasting: Option<Duration>,

        /// Why, for whoever looks later
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Make many customers known at once, all or none
    Import {
        /// One address or prefix a line, or CSV with a column address, ip, cidr, prefix or network; - for
        /// the standard input
        #[arg(value_name = "FILE|-")]
        file: PathBuf,

        /// How long, such as 2h; without it, until removed
        #[arg(long = "for", value_name = "DUR", value_parser = parse_seconds)]
        lasting: Option<Duration>,

        /// Why, for whoever looks later
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Take a customer out who was added or learned
    Remove {
        /// The address or prefix, as it was added
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
        } => {
            let request = KnownRequest {
                prefix,
                seconds: lasting.map(|lasting| lasting.as_secs()),
                reason,
            };
            change(Method::POST, &request, "known", context)
        }
        Verb::Import {
            file,
            lasting,
            reason,
        } => {
            let asked = ImportQuery {
                name: name(&file),
                seconds: lasting.map(|lasting| lasting.as_secs()),
                reason,
            };
            import(&file, &asked, context)
        }
        Verb::Remove { prefix } => {
            let request = KnownRequest {
                prefix,
                ..KnownRequest::default()
            };
            change(Method::DELETE, &request, "no longer known", context)
        }
    }
}

fn change(
    method: Method,
    request: &KnownRequest,
    word: &str,
    context: &Context,
) -> anyhow::Result<()> {
    let changed: Changed<Added> = context.client().send(method, "/v1/known", request)?;
    output::changed(&changed, context, |entry| {
        let until = output::until(entry.note.until);
        format!("{} is {word}{until}\n", entry.prefix)
    })
}

/// How often and when the app confirmed somebody.
pub(super) fn confirmations(confirmed: &Confirmed) -> String {
    let Confirmed {
        first, last, times, ..
    } = confirmed;
    match times {
        1 => format!("confirmed once, {}", output::time(*last)),
        _ => format!(
            "confirmed {times} times, first {}, last {}",
            output::time(*first),
            output::time(*last)
        ),
    }
}

/// What errors call it.
fn name(file: &Path) -> String {
    match file == "-" {
        true => "standard input".to_owned(),
        false => file.display().to_string(),
    }
}

fn import(file: &Path, asked: &ImportQuery, context: &Context) -> anyhow::Result<()> {
    let from: Box<dyn Read + Send> = match file == "-" {
        true => Box::new(io::stdin()),
        false => {
            let opened = File::open(file).with_context(|| asked.name.clone())?;
            let is_folder = opened.metadata().is_ok_and(|meta| meta.is_dir());
            anyhow::ensure!(!is_folder, "{}: it is a folder", asked.name);
            Box::new(opened)
        }
    };
    let client = context.client();
    let changed: Changed<Imported> = client.stream("/v1/known/import", asked, from)?;
    output::changed(&changed, context, |Imported(facts)| {
        let until = output::until(facts.note.until);
        format!(
            "{} prefixes are known{until}, as import {}\n",
            facts.prefixes, facts.number
        )
    })
}

fn list(address: Option<IpAddr>, limit: usize, context: &Context) -> anyhow::Result<()> {
    let mut query = vec![("limit", limit.to_string())];
    query.extend(address.map(|address| ("address", address.to_string())));
    let list: KnownList = context.client().ask("/v1/known", &query)?;
    if context.format == Format::Json {
        return output::json(&list);
    }
    let mut text = String::new();
    for entry in &list.entries {
        write!(
            text,
            "{:<43} {}",
            entry.prefix.to_string(),
            output::plain(&entry.place())
        )?;
        if let Some(until) = entry.until {
            write!(text, "  until {}", output::time(until))?;
        }
        if let Some(reason) = &entry.reason {
            write!(text, "  {}", output::plain(reason))?;
        }
        if let Some(confirmed) = &entry.confirmed {
            write!(text, "  {}", confirmations(confirmed))?;
        }
        text.push('\n');
    }
    output::text(&text)?;
    match (address, list.entries.len()) {
        (Some(address), 0) => eprintln!("{address} is not known"),
        (Some(_), _) => {}
        (None, shown) if shown < list.prefixes => {
            eprintln!("{shown} of {} prefixes; more with --limit", list.prefixes);
        }
        (None, _) => eprintln!("{} prefixes", list.prefixes),
    }
    Ok(())
}
