//! `tidegate status`: what an operator asks first.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::{Context, Format, block, mode, output};
use crate::admin::wire::{Blocks, Listener, Status, Tenants, Upstream};
use crate::clock;
use crate::forward::{ServerHealth, State};
use crate::learn::Counts;

/// Seconds before its end from which a certificate is told of: those of public authorities are renewed
/// a month before.
const ENDS_SOON: u64 = 21 * 24 * 60 * 60;

pub(super) fn run(context: &Context) -> anyhow::Result<()> {
    let status: Status = context.client().get("/v1/status")?;
    match context.format {
        Format::Json => output::json(&status),
        Format::Human => {
            let mut text = String::new();
            write_status(&status, clock::unix_seconds(), &mut text)?;
            output::text(&text)
        }
    }
}

fn write_status(status: &Status, now: u64, out: &mut String) -> fmt::Result {
    writeln!(
        out,
        "tidegate {}  {}, up {}, process {}",
        status.version,
        status.state(),
        output::duration(status.uptime_seconds),
        status.pid
    )?;
    if let Some(earlier) = &status.earlier {
        writeln!(
            out,
            "             process {} ({}), which this one has replaced, still finishes its requests",
            earlier.pid, earlier.version
        )?;
    }
    writeln!(out, "mode         {}", mode::sentence(&status.mode))?;
    let requests = &status.requests;
    writeln!(
        out,
        "requests     {:.0}/s forwarded, {:.0}/s refused, {:.0}/s failed; {}, {}, {} in all",
        requests.forwarded_per_second,
        requests.refused_per_second,
        requests.failed_per_second,
        requests.forwarded,
        requests.refused,
        requests.failed
    )?;
    let connections = &status.connections;
    writeln!(
        out,
        "connections  {} open of {}, the last {} for known clients; {} accepted, {} refused",
        connections.open,
        connections.limit,
        connections.reserved_for_known,
        connections.accepted,
        connections.refused
    )?;
    if let Some(problem) = &connections.problem {
        writeln!(out, "             LOWERED: {}", output::plain(problem))?;
    }
    for upstream in &status.upstreams {
        write_upstream(upstream, now, out)?;
    }
    let clients = &status.clients;
    writeln!(
        out,
        "limiter      {} buckets in use of {}; {} taken from clients that were not idle",
        clients.tracked, clients.capacity, clients.evictions
    )?;
    let known = &status.known;
    writeln!(
        out,
        "known        {} prefixes: {} from files, {} from operators, {} learned",
        known.prefixes, known.from_files, known.from_operators, known.learned.known
    )?;
    write_learned(&known.learned, out)?;
    if let Some(problem) = &known.files_problem {
        writeln!(
            out,
            "             FILES NOT TAKEN OVER: {}",
            output::plain(problem)
        )?;
    }
    write_blocks(&status.blocks, out)?;
    if let Some(tenants) = &status.tenants {
        write_tenants(tenants, out)?;
    }
    let log = &status.log;
    writeln!(
        out,
        "access log   {} lines written, {} sampled out, {} over budget, {} lost",
        log.written, log.sampled_out, log.over_budget, log.lost
    )?;
    let messages = &log.messages;
    if messages.repeated + messages.over_budget + messages.lost > 0 {
        writeln!(
            out,
            "             of the gate's own messages {} repeated, {} over budget, {} lost",
            messages.repeated, messages.over_budget, messages.lost
        )?;
    }
    if let Some(problem) = &log.problem {
        writeln!(
            out,
            "             CANNOT BE WRITTEN: {}",
            output::plain(problem)
        )?;
    }
    write_origin(status, now, out)
}

/// What keeps customers from becoming known, or from staying so.
fn write_learned(learned: &Counts, out: &mut String) -> fmt::Result {
    let [_, dropped, unattributed] = learned.confirmations;
    if learned.evicted > 0 {
        writeln!(
            out,
            "             FULL: {} learned prefixes have left for others, as known.learn.max is {}",
            learned.evicted, learned.max
        )?;
    }
    if dropped > 0 {
        writeln!(
            out,
            "             {dropped} confirmations came too fast, and were dropped"
        )?;
    }
    if unattributed > 0 {
        writeln!(
            out,
            "             {unattributed} confirmations were of clients that a trusted proxy did not name"
        )?;
    }
    match &learned.problem {
        Some(problem) => writeln!(
            out,
            "             STORE: {}",
            output::plain(&problem.detail)
        ),
        None => Ok(()),
    }
}

/// What an operator has set stays in sight until it is gone.
fn write_blocks(blocks: &Blocks, out: &mut String) -> fmt::Result {
    if blocks.blocks == 0 {
        return Ok(());
    }
    writeln!(out, "blocked      {} prefixes", blocks.blocks)?;
    for entry in &blocks.first {
        let said = block::end_and_reason(entry);
        writeln!(out, "             {} {said}", entry.prefix)?;
    }
    Ok(())
}

fn write_tenants(tenants: &Tenants, out: &mut String) -> fmt::Result {
    writeln!(
        out,
        "tenants      {} listed, {} moved by operators",
        tenants.listed, tenants.moved
    )?;
    for moved in &tenants.first_moved {
        let until = moved.note.until.map(output::time);
        writeln!(
            out,
            "             {} is in tier {} {}",
            output::plain(&moved.name),
            moved.tier,
            until.map_or("until it is moved again".to_owned(), |until| format!(
                "until {until}"
            ))
        )?;
    }
    Ok(())
}

fn write_upstream(upstream: &Upstream, now: u64, out: &mut String) -> fmt::Result {
    let Upstream { name, health } = upstream;
    let servers = match health.servers {
        1 => "1 server".to_owned(),
        count => format!("{count} servers"),
    };
    writeln!(
        out,
        "upstream     {}: {servers}; {} answered (last {}), {} failed (last {})",
        name,
        health.succeeded,
        output::ago(health.last_success, now),
        health.failed,
        output::ago(health.last_failure, now)
    )?;
    if let Some(problem) = &health.problem {
        writeln!(
            out,
            "             CANNOT RESOLVE {} (last answer {})",
            output::plain(problem),
            output::ago(health.resolved_at, now)
        )?;
    }
    write_servers(&health.addresses, out)?;
    if let Some(seconds) = health.silent_seconds {
        writeln!(
            out,
            "             SILENT: no answer for {}, though it was asked; other addresses last came {}",
            output::duration(seconds),
            output::ago(health.addresses_changed_at, now)
        )?;
    }
    if health.retries_refused > 0 {
        writeln!(
            out,
            "             {} requests were not tried again, as the share for that (retries) was spent; {} were",
            health.retries_refused, health.retries
        )?;
    }
    match health.idle_seconds {
        Some(seconds) => writeln!(
            out,
            "             IDLE: nobody has asked for {}",
            output::duration(seconds)
        ),
        None => Ok(()),
    }
}

/// Servers that are named one by one.
const NAMED: usize = 10;

/// The servers that do not get all of their requests.
fn write_servers(servers: &[ServerHealth], out: &mut String) -> fmt::Result {
    let troubled = servers.iter().filter(|one| one.state != State::Available);
    for server in troubled.clone().take(NAMED) {
        let address = server.address;
        match server.state {
            State::Available => {}
            State::SlowStart => writeln!(
                out,
                "             {address} has come back and gets more and more requests"
            )?,
            State::Unhealthy => writeln!(
                out,
                "             {address} fails its health check and is OUT: {}",
                output::plain(server.problem.as_deref().unwrap_or_default())
            )?,
            State::Ejected => writeln!(
                out,
                "             {address} takes no connections and is OUT for another {}",
                output::duration(server.back_in_seconds.unwrap_or(0))
            )?,
        }
    }
    match troubled.count().saturating_sub(NAMED) {
        0 => Ok(()),
        more => writeln!(out, "             and {more} more"),
    }
}

/// `https://192.0.2.1:443 (PROXY)`.
fn url(listener: &Listener) -> String {
    let scheme = if listener.tls { "https" } else { "http" };
    let header = match listener.proxy_protocol {
        true => " (PROXY)",
        false => "",
    };
    format!("{scheme}://{}{header}", listener.address)
}

/// Certificates that somebody has to renew, each once.
fn write_ending(listeners: &[Listener], now: u64, out: &mut String) -> fmt::Result {
    let all = listeners.iter().flat_map(|listener| &listener.certificates);
    let soon = all.filter(|certificate| certificate.not_after <= now + ENDS_SOON);
    let soon: BTreeMap<_, _> = soon
        .map(|certificate| (&certificate.chain, certificate.not_after))
        .collect();
    for (chain, end) in soon {
        let chain = output::plain(&chain.display().to_string());
        match end < now {
            true => writeln!(
                out,
                "certificate  {chain} HAS EXPIRED, {}",
                output::ago(end, now)
            )?,
            false => writeln!(
                out,
                "certificate  {chain} ENDS in {}, {}",
                output::duration(end - now),
                output::time(end)
            )?,
        }
    }
    Ok(())
}

fn write_origin(status: &Status, now: u64, out: &mut String) -> fmt::Result {
    let listeners: Vec<String> = status.listeners.iter().map(url).collect();
    write!(out, "listening    {}", listeners.join(", "))?;
    match status.metrics {
        Some(metrics) => writeln!(out, "; metrics on {metrics}")?,
        None => writeln!(out)?,
    }
    write_ending(&status.listeners, now, out)?;
    match &status.config {
        Some(file) => writeln!(out, "configured   from {}", file.display())?,
        None => writeln!(out, "configured   without a file")?,
    }
    if let Some(problem) = &status.reload_problem {
        writeln!(out, "             LAST RELOAD FAILED: {problem}")?;
    }
    for problem in &status.state_problems {
        writeln!(out, "STATE        {}", output::plain(problem))?;
    }
    Ok(())
}
