//! `tidegate explain`: every fact and rule that decides about a client's request now.

use std::fmt::{self, Write};
use std::net::IpAddr;

use super::{Context, Format, output};
use crate::admin::wire::{ExplainQuery, Explanation, Tokens};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The client's address
    #[arg(value_name = "ADDRESS")]
    address: IpAddr,

    /// The host it asks for
    #[arg(long, value_name = "HOST")]
    host: Option<String>,

    /// The path it asks for
    #[arg(long, value_name = "PATH", default_value = "/")]
    path: String,

    /// The method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    method: String,

    /// Another header field of the request, such as the one that tells the tenant; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = parse_field)]
    fields: Vec<String>,
}

fn parse_field(text: &str) -> Result<String, String> {
    match text.split_once(':') {
        Some((name, _)) if !name.is_empty() && !text.contains(['\r', '\n']) => Ok(text.to_owned()),
        _ => Err("a field is written \"NAME: VALUE\"".to_owned()),
    }
}

pub(super) fn run(arguments: Arguments, context: &Context) -> anyhow::Result<()> {
    let query = ExplainQuery {
        address: arguments.address.to_string(),
        host: arguments.host,
        path: Some(arguments.path),
        method: Some(arguments.method),
        fields: Some(arguments.fields.join("\n")).filter(|fields| !fields.is_empty()),
    };
    let explanation: Explanation = context.client().ask("/v1/explain", &query)?;
    match context.format {
        Format::Json => output::json(&explanation),
        Format::Human => {
            let mut text = String::new();
            write_facts(&explanation, &mut text)?;
            write_limits(&explanation, &mut text)?;
            write_verdict(&explanation, &mut text)?;
            output::text(&text)
        }
    }
}

fn write_facts(said: &Explanation, out: &mut String) -> fmt::Result {
    write!(out, "client       {}", said.address)?;
    if said.client.prefix_len() < said.client.max_prefix_len() {
        write!(out, ", counted as {}", said.client)?;
    }
    match said.network {
        Some(network) => writeln!(out, ", in the network {network}")?,
        None => writeln!(out)?,
    }
    if said.speaks_for_others {
        writeln!(
            out,
            "             a trusted proxy: the clients that it names are judged, not itself"
        )?;
    }
    writeln!(out, "request      {}", output::plain(&said.request))?;
    writeln!(out, "mode         {}", said.mode)?;
    write_known(said, out)?;
    let connections = said.connections;
    let full = if connections.used >= connections.most {
        ": new ones are closed"
    } else {
        ""
    };
    writeln!(
        out,
        "connections  {} open of {}{full}",
        connections.used, connections.most
    )?;
    match &said.route {
        Some(route) => writeln!(
            out,
            "route        {}: {} -> {}; takes {} of each limit{}",
            route.number,
            route.matches,
            route.upstream,
            tokens(route.cost),
            if route.exempt {
                ", and meets its own alone"
            } else {
                ""
            }
        )?,
        None => writeln!(out, "route        none matches")?,
    }
    write_tenant(said, out)
}

fn write_known(said: &Explanation, out: &mut String) -> fmt::Result {
    let exempt = if said.exempt_path {
        "; the path is open to everybody"
    } else {
        ""
    };
    match said.known_by.split_first() {
        None => writeln!(out, "known        no{exempt}"),
        Some((first, more)) => {
            let by = output::plain(&first.source);
            write!(out, "known        yes: {} from {by}", first.prefix)?;
            if let Some(until) = first.until {
                write!(out, " until {}", output::time(until))?;
            }
            match more.len() {
                0 => writeln!(out, "{exempt}"),
                count => writeln!(out, ", and {count} more{exempt}"),
            }
        }
    }
}

fn write_tenant(said: &Explanation, out: &mut String) -> fmt::Result {
    let Some(tenant) = &said.tenant else {
        return Ok(());
    };
    let own = if tenant.own {
        " with numbers of its own"
    } else {
        ""
    };
    let tier = &tenant.tier;
    match (&tenant.name, &tenant.source) {
        (None, _) => writeln!(
            out,
            "tenant       not listed: shares tier {tier} with all others that are not"
        ),
        (Some(name), None) => writeln!(
            out,
            "tenant       {}, tier {tier}: has a route, is not listed",
            output::plain(name)
        ),
        (Some(name), Some(source)) => writeln!(
            out,
            "tenant       {}, tier {tier}{own}: listed by {}",
            output::plain(name),
            output::plain(source)
        ),
    }
}

fn write_limits(said: &Explanation, out: &mut String) -> fmt::Result {
    for limit in &said.limits {
        let Tokens {
            reason,
            rate,
            burst,
            left,
            wait,
        } = limit;
        write!(
            out,
            "limit        {reason:<16} {left} of {burst} left, {rate}"
        )?;
        match *wait > 0.0 {
            true => writeln!(out, ": REFUSES, for another {}", seconds(*wait))?,
            false => writeln!(out)?,
        }
    }
    for cap in &said.in_flight {
        let places = cap.places;
        let full = if places.used >= places.most {
            ": REFUSES"
        } else {
            ""
        };
        writeln!(
            out,
            "in flight    {:<16} {} of {}{full}",
            cap.reason, places.used, places.most
        )?;
    }
    Ok(())
}

fn write_verdict(said: &Explanation, out: &mut String) -> fmt::Result {
    let verdict = &said.verdict;
    let Some(reason) = &verdict.reason else {
        return writeln!(out, "verdict      forwarded");
    };
    match verdict.forward {
        true => write!(out, "verdict      forwarded; normal would refuse: {reason}")?,
        false => write!(out, "verdict      refused: {reason}")?,
    }
    match verdict.wait {
        Some(wait) => writeln!(out, ", for another {}", seconds(wait)),
        None => writeln!(out),
    }
}

fn tokens(count: u32) -> String {
    match count {
        1 => "1 token".to_owned(),
        count => format!("{count} tokens"),
    }
}

/// `0.25 s`, `12 s`, `3h 20m`: fractions only where they matter.
fn seconds(wait: f64) -> String {
    match wait < 10.0 {
        true => format!("{wait:.2} s"),
        false => output::duration(wait.ceil() as u64),
    }
}
