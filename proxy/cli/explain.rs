//! `tidegate explain`: every fact and rule that decides about a client's request now.

mod advice;

use std::fmt::{self, Write};
use std::net::IpAddr;

use tidegate_config::Share;

use super::{Context, Format, block, known, mode, output};
use crate::admin::wire::{ExplainQuery, Explanation, Pass, Route, Tokens};
use crate::door::DoorReason;

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

    /// The name in the certificate that the client shows, where that tells the tenant
    #[arg(long, value_name = "NAME")]
    certificate: Option<String>,

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
        certificate: arguments.certificate,
        fields: Some(arguments.fields.join("\n")).filter(|fields| !fields.is_empty()),
    };
    let explanation: Explanation = context.client().ask("/v1/explain", &query)?;
    match context.format {
        Format::Json => output::json(&explanation),
        Format::Human => {
            let mut text = String::new();
            write_client(&explanation, &mut text)?;
            write_request(&explanation, &mut text)?;
            write_limits(&explanation, &mut text)?;
            write_verdict(&explanation, &mut text)?;
            output::text(&text)
        }
    }
}

fn write_client(said: &Explanation, out: &mut String) -> fmt::Result {
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
            "             A TRUSTED PROXY: who it asks for is judged and not itself; explain their \
             addresses"
        )?;
    }
    write_known(said, out)?;
    write_pass(said, out)?;
    for entry in &said.blocked_by {
        let said = block::end_and_reason(entry);
        writeln!(out, "             BLOCKED in {} {said}", entry.prefix)?;
    }
    let (own, all) = (said.connections, said.all_connections);
    writeln!(
        out,
        "connections  {} open of {}; of all clients {} of {}",
        own.used, own.most, all.used, all.most
    )?;
    match (cap(said), &said.closed_at_door) {
        (Some(cap), _) => writeln!(out, "             NEW ONES ARE CLOSED: {cap} is reached")?,
        (None, Some(reason)) => {
            let reason = output::plain(reason);
            writeln!(
                out,
                "             NEW ONES ARE CLOSED: {reason}; what a trusted proxy brings is refused by the request"
            )?;
        }
        (None, None) => {}
    }
    Ok(())
}

/// The key of the cap that closes new connections of the client.
fn cap(said: &Explanation) -> Option<&'static str> {
    let reason = said.closed_at_door.as_deref()?;
    let reason = DoorReason::ALL
        .into_iter()
        .find(|one| one.label() == reason)?;
    match reason {
        DoorReason::Total => Some("connections.total"),
        DoorReason::Reserved => Some("connections.total (but for reserved_for_known)"),
        DoorReason::Client => Some("client.connections"),
        // Neither about a number, nor about the client.
        _ => None,
    }
}

fn write_known(said: &Explanation, out: &mut String) -> fmt::Result {
    let Some((first, more)) = said.known_by.split_first() else {
        writeln!(out, "known        no")?;
        return write_admitted(said, out);
    };
    let by = output::plain(&first.place());
    write!(out, "known        yes: {} from {by}", first.prefix)?;
    if let Some(until) = first.until {
        write!(out, " until {}", output::time(until))?;
    }
    if let Some(reason) = &first.reason {
        write!(out, " ({})", output::plain(reason))?;
    }
    if let Some(confirmed) = &first.confirmed {
        write!(out, ", {}", known::confirmations(confirmed))?;
    }
    match more.len() {
        0 => writeln!(out),
        count => writeln!(out, ", and {count} more"),
    }
}

/// Of an unknown client, while a share of them is let in.
fn write_admitted(said: &Explanation, out: &mut String) -> fmt::Result {
    match (said.mode.admit_unknown, said.admitted) {
        (Share::NONE, _) => Ok(()),
        (share, true) => writeln!(
            out,
            "admitted     yes, one of the {share} of unknown clients"
        ),
        (share, false) => writeln!(
            out,
            "admitted     no, not one of the {share} of unknown clients"
        ),
    }
}

fn write_pass(said: &Explanation, out: &mut String) -> fmt::Result {
    match said.pass {
        None => Ok(()),
        Some(Pass::Invalid) => writeln!(
            out,
            "pass         NOT BELIEVED: expired, revoked, signed with another key, or not whole"
        ),
        Some(Pass::Valid {
            id,
            issued,
            expires,
        }) => writeln!(
            out,
            "pass         {id}, of {}, until {}",
            output::time(issued),
            output::time(expires)
        ),
    }
}

fn write_request(said: &Explanation, out: &mut String) -> fmt::Result {
    writeln!(out, "mode         {}", mode::sentence(&said.mode))?;
    writeln!(out, "request      {}", output::plain(&said.request))?;
    if !said.names_host {
        writeln!(
            out,
            "             without a host, as few clients ask: --host says for which"
        )?;
    }
    if said.exempt_path {
        writeln!(
            out,
            "             a path of known_only.exempt_paths: open to everybody in known-only"
        )?;
    }
    match &said.route {
        Some(route) => write_route(route, out)?,
        None => writeln!(out, "route        none matches")?,
    }
    write_tenant(said, out)
}

fn write_route(route: &Route, out: &mut String) -> fmt::Result {
    write!(
        out,
        "route        {}: {} -> {}",
        route.number, route.matches, route.upstream
    )?;
    if route.cost > 1 {
        write!(out, "; takes {} tokens of each limit", route.cost)?;
    }
    match route.exempt {
        true => writeln!(out, "; exempt, so that only its own limits apply"),
        false => writeln!(out),
    }
}

fn write_tenant(said: &Explanation, out: &mut String) -> fmt::Result {
    let Some(tenant) = &said.tenant else {
        return Ok(());
    };
    let (tier, from) = (&tenant.tier, output::plain(&tenant.from));
    let own = if tenant.own {
        " with numbers of its own"
    } else {
        ""
    };
    match (&tenant.name, &tenant.source) {
        (None, _) => writeln!(
            out,
            "tenant       none that is listed, by {from}: shares tier {tier} with all such requests"
        ),
        (Some(name), None) => writeln!(
            out,
            "tenant       {}, tier {tier}: has a route, is not listed",
            output::plain(name)
        ),
        (Some(name), Some(source)) => writeln!(
            out,
            "tenant       {}, tier {tier}{own}: by {from}, listed by {}",
            output::plain(name),
            output::plain(source)
        ),
    }
}

fn write_limits(said: &Explanation, out: &mut String) -> fmt::Result {
    if said.limits.is_empty() && said.in_flight.is_empty() {
        writeln!(out, "limit        none applies")?;
    }
    let cost = said.route.as_ref().map_or(1, |route| route.cost);
    for limit in &said.limits {
        write_limit(limit, cost, out)?;
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
            "in flight    {:<16} {} of {} ({}){full}",
            cap.reason,
            places.used,
            places.most,
            output::plain(&cap.set_in)
        )?;
    }
    Ok(())
}

fn write_limit(limit: &Tokens, cost: u32, out: &mut String) -> fmt::Result {
    let Tokens {
        reason,
        set_in,
        rate,
        burst,
        left,
        wait,
    } = limit;
    let set_in = output::plain(set_in);
    write!(
        out,
        "limit        {reason:<16} {left} of {burst} left, {rate} ({set_in})"
    )?;
    if *wait <= 0.0 {
        return writeln!(out);
    }
    write!(out, ": REFUSES for another {}", seconds(*wait))?;
    match cost {
        1 => writeln!(out),
        cost => writeln!(out, ", needs {cost}"),
    }
}

fn write_verdict(said: &Explanation, out: &mut String) -> fmt::Result {
    let verdict = &said.verdict;
    let wait = verdict.wait.map(seconds);
    let wait = wait.map_or_else(String::new, |wait| format!(", for another {wait}"));
    match (&verdict.reason, verdict.status) {
        (None, _) => write!(out, "verdict      forwarded")?,
        (Some(reason), None) => write!(
            out,
            "verdict      forwarded, because the mode is {}; normal would refuse: {reason}{wait}",
            said.mode.mode
        )?,
        (Some(reason), Some(status)) => {
            write!(out, "verdict      REFUSED with {status}: {reason}{wait}")?;
        }
    }
    match said.closed_at_door {
        Some(_) => writeln!(out, "; on open connections, for new ones are closed")?,
        None => writeln!(out)?,
    }
    advice::write(said, out)
}

/// `0.25 s`, `12s`, `3h 20m`: fractions only where they matter.
fn seconds(wait: f64) -> String {
    match wait < 10.0 {
        true => format!("{wait:.2} s"),
        false => output::duration(wait.ceil() as u64),
    }
}
