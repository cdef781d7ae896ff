//! The apps behind the gate.

use std::collections::{BTreeMap, BTreeSet};

use super::network::check_name;
use crate::{
    checked::{Eject, HealthCheck, Server, Upstream},
    findings::Findings,
    literal::{Deadline, HostName, Target},
    raw::{self, Written},
};

/// What to write when there is no upstream.
const NO_UPSTREAM: &str = "found no upstream; write where your app is:

[upstream.app]
servers = [\"127.0.0.1:3000\"]";

/// At least one upstream.
pub(super) fn upstreams(
    findings: &mut Findings<'_>,
    raw: BTreeMap<String, raw::Upstream>,
) -> BTreeMap<String, Upstream> {
    if raw.is_empty() {
        findings.missing("upstream", NO_UPSTREAM);
    }
    raw.into_iter()
        .map(|(name, raw)| {
            check_name(findings, "upstream", &name);
            (name.clone(), upstream(findings, name, raw))
        })
        .collect()
}

fn upstream(findings: &mut Findings<'_>, name: String, raw: raw::Upstream) -> Upstream {
    let default = Upstream::new(name, servers(findings, &raw));
    let mut time = |written, default| {
        let Deadline(time) = findings.read_or(written, Deadline(default));
        time
    };
    Upstream {
        resolve_every: time(raw.resolve, default.resolve_every),
        silent_after: time(raw.silent_after, default.silent_after),
        idle_after: time(raw.idle_after, default.idle_after),
        slow_start: time(raw.slow_start, default.slow_start),
        balance: raw.balance.unwrap_or_default(),
        eject: eject(findings, raw.eject),
        retries: findings.read_or(raw.retries, default.retries),
        health: raw.health.map(|raw| health(findings, raw)),
        ..default
    }
}

fn eject(findings: &mut Findings<'_>, raw: raw::Eject) -> Eject {
    let default = Eject::default();
    let span = raw.longest.as_ref().map(Written::span);
    let Deadline(first) = findings.read_or(raw.first, Deadline(default.first));
    let unsaid = default.longest.max(first);
    let Deadline(longest) = findings.read_or(raw.longest, Deadline(unsaid));
    if let Some(span) = span
        && longest < first
    {
        findings.wrong(&span, &"the longest time is no shorter than the first");
    }
    Eject {
        failures: raw.failures.unwrap_or(default.failures),
        first,
        longest,
    }
}

fn health(findings: &mut Findings<'_>, raw: raw::HealthCheck) -> HealthCheck {
    let default = HealthCheck::default();
    if let (None, Some(host)) = (&raw.path, &raw.host) {
        let why = "nothing is asked for without a path; write one, such as path = \"/healthz\"";
        findings.wrong(&host.span(), &why);
    }
    let path = raw.path.and_then(|written| findings.read(&written));
    let host = raw.host.and_then(|written| findings.read(&written));
    let Deadline(every) = findings.read_or(raw.every, Deadline(default.every));
    let Deadline(timeout) = findings.read_or(raw.timeout, Deadline(default.timeout));
    HealthCheck {
        path: path.map(|Target(path)| path),
        host: host.map(|HostName(host)| host),
        every,
        timeout,
        rise: raw.rise.unwrap_or(default.rise),
        fall: raw.fall.unwrap_or(default.fall),
    }
}

fn servers(findings: &mut Findings<'_>, raw: &raw::Upstream) -> Vec<Server> {
    let mut servers: Vec<Server> = Vec::new();
    let mut seen = BTreeSet::new();
    for written in &raw.servers {
        let Some(server) = findings.read(written) else {
            continue;
        };
        if seen.insert(server.clone()) {
            servers.push(server);
        } else {
            findings.warn(
                &written.span(),
                format!("\"{server}\" stands here twice and counts once"),
            );
        }
    }
    servers
}
