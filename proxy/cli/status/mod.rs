//! `tidegate status`: what an operator asks first.

mod customers;
mod origin;
mod page;
mod upstreams;

use page::Page;

use super::{Context, Format, block, mode, output};
use crate::admin::wire::{Log, Status};
use crate::clock;

pub(super) fn run(context: &Context) -> anyhow::Result<()> {
    let status: Status = context.client().get_at_once("/v1/status")?;
    match context.format {
        Format::Json => output::json(&status),
        Format::Human => {
            let mut page = Page::default();
            write(&status, clock::unix_seconds(), &mut page);
            output::text(&page.0)
        }
    }
}

fn write(status: &Status, now: u64, page: &mut Page) {
    write_process(status, page);
    page.line("mode", format_args!("{}", mode::sentence(&status.mode)));
    write_traffic(status, page);
    for upstream in &status.upstreams {
        upstreams::write(upstream, now, page);
    }
    let clients = &status.clients;
    page.line(
        "limiter",
        format_args!(
            "{} buckets in use of {}; {} taken from clients that were not idle",
            clients.tracked, clients.capacity, clients.evictions
        ),
    );
    customers::write(status, page);
    write_log(&status.log, page);
    origin::write(status, now, page);
}

fn write_process(status: &Status, page: &mut Page) {
    // The version stands beside the name, however long they are.
    page.0 = format!(
        "tidegate {}  {}, up {}, process {}\n",
        status.version,
        status.state(),
        output::duration(status.uptime_seconds),
        status.pid
    );
    if let Some(earlier) = &status.earlier {
        page.more(format_args!(
            "process {} ({}), which this one has replaced, still finishes its requests",
            earlier.pid, earlier.version
        ));
    }
}

fn write_traffic(status: &Status, page: &mut Page) {
    let requests = &status.requests;
    page.line(
        "requests",
        format_args!(
            "{:.0}/s forwarded, {:.0}/s refused, {:.0}/s failed; {}, {}, {} in all",
            requests.forwarded_per_second,
            requests.refused_per_second,
            requests.failed_per_second,
            requests.forwarded,
            requests.refused,
            requests.failed
        ),
    );
    let connections = &status.connections;
    page.line(
        "connections",
        format_args!(
            "{} open of {}, the last {} for known clients; {} accepted, {} refused",
            connections.open,
            connections.limit,
            connections.reserved_for_known,
            connections.accepted,
            connections.refused
        ),
    );
    if let Some(problem) = &connections.problem {
        page.more(format_args!("LOWERED: {}", output::plain(problem)));
    }
}

fn write_log(log: &Log, page: &mut Page) {
    page.line(
        "access log",
        format_args!(
            "{} lines written, {} sampled out, {} over budget, {} lost",
            log.written, log.sampled_out, log.over_budget, log.lost
        ),
    );
    let messages = &log.messages;
    if messages.repeated + messages.over_budget + messages.lost > 0 {
        page.more(format_args!(
            "of the gate's own messages {} repeated, {} over budget, {} lost",
            messages.repeated, messages.over_budget, messages.lost
        ));
    }
    if let Some(problem) = &log.problem {
        page.more(format_args!(
            "CANNOT BE WRITTEN: {}",
            output::plain(problem)
        ));
    }
}
