//! The apps behind the gate, and those of their servers that are in trouble.

use super::{Page, output};
use crate::admin::wire::Upstream;
use crate::forward::{Health, ServerHealth, State};

/// Servers that are named one by one.
const NAMED: usize = 10;

pub(super) fn write(upstream: &Upstream, now: u64, page: &mut Page) {
    let Upstream { name, health } = upstream;
    let servers = match health.addresses.len() {
        1 => "1 server".to_owned(),
        count => format!("{count} servers"),
    };
    page.line(
        "upstream",
        format_args!(
            "{name}: {servers}; {} answered (last {}), {} failed (last {})",
            health.succeeded,
            output::ago(health.last_success, now),
            health.failed,
            output::ago(health.last_failure, now)
        ),
    );
    if let Some(problem) = &health.problem {
        page.more(format_args!(
            "CANNOT RESOLVE {} (last answer {})",
            output::plain(problem),
            output::ago(health.resolved_at, now)
        ));
    }
    write_servers(&health.addresses, page);
    write_requests(health, now, page);
}

/// What the requests show.
fn write_requests(health: &Health, now: u64, page: &mut Page) {
    if let Some(seconds) = health.silent_seconds {
        page.more(format_args!(
            "SILENT: no answer for {}, though it was asked; other addresses last came {}",
            output::duration(seconds),
            output::ago(health.addresses_changed_at, now)
        ));
    }
    if health.retries_refused > 0 {
        page.more(format_args!(
            "{} requests were not tried again, as the share for that (retries) was spent; {} were",
            health.retries_refused, health.retries
        ));
    }
    if let Some(seconds) = health.idle_seconds {
        page.more(format_args!(
            "IDLE: nobody has asked for {}",
            output::duration(seconds)
        ));
    }
}

/// The servers that do not get all of their requests.
fn write_servers(servers: &[ServerHealth], page: &mut Page) {
    let troubled = servers.iter().filter(|one| one.state != State::Available);
    for server in troubled.clone().take(NAMED) {
        write_server(server, page);
    }
    match troubled.count().saturating_sub(NAMED) {
        0 => {}
        more => page.more(format_args!("and {more} more")),
    }
}

fn write_server(server: &ServerHealth, page: &mut Page) {
    let address = server.address;
    match server.state {
        State::Available => {}
        State::SlowStart => page.more(format_args!(
            "{address} has come back and gets more and more requests"
        )),
        State::Unhealthy => page.more(format_args!(
            "{address} fails its health check and is OUT: {}",
            output::plain(server.problem.as_deref().unwrap_or_default())
        )),
        State::Ejected => page.more(format_args!(
            "{address} takes no connections and is OUT for another {}",
            output::duration(server.back_in_seconds.unwrap_or(0))
        )),
    }
}
