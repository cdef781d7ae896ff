//! Where metrics are served, and where requests go.

use std::collections::{BTreeMap, BTreeSet};

use super::listeners::collide;
use crate::{
    checked::{Listener, Metrics, RESOLVE_EVERY, Server, Upstream},
    findings::Findings,
    literal::{Deadline, Literal, Name},
    raw,
    source::shortened,
};

/// What to write when there is no upstream.
const NO_UPSTREAM: &str = "found no upstream; write where your app is:

[upstream.app]
servers = [\"127.0.0.1:3000\"]";

/// The metrics listener, which must not take a traffic listener's place.
pub(super) fn metrics(
    findings: &mut Findings<'_>,
    raw: raw::Metrics,
    listeners: &[Listener],
) -> Metrics {
    let default = Metrics::default();
    let address = match &raw.address {
        Some(written) => findings.read(written).unwrap_or(default.address),
        None => default.address,
    };
    let taken =
        |listener: &&Listener| address.is_some_and(|address| collide(listener.address, address));
    if let Some(Listener { address: other, .. }) = listeners.iter().find(taken) {
        let right =
            format!("a listener for traffic has \"{other}\": metrics need a port of their own");
        match &raw.address {
            Some(written) => findings.wrong(&written.span(), &right),
            None => findings.missing(
                "metrics.address",
                &format!("found none, which is \"127.0.0.1:9902\", but {right}"),
            ),
        }
    }
    Metrics { address }
}

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
    let every = findings.read_or(raw.resolve, Deadline(RESOLVE_EVERY));
    Upstream {
        name,
        servers,
        resolve_every: every.0,
    }
}

/// Whether the key of an upstream or a tier is a name.
pub(super) fn check_name(findings: &mut Findings<'_>, table: &str, name: &str) {
    let Err(right) = Name::read(name) else {
        return;
    };
    let message = format!("found \"{}\", but {right}", shortened(name));
    match findings.document.span_of(&[table, name]) {
        Some(span) => findings.problem(&span, message),
        None => findings.missing(table, &message),
    }
}
