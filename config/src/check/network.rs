//! Where metrics are served, and what things are called.

use super::listeners::collide;
use crate::{
    checked::{Listener, Metrics},
    findings::Findings,
    literal::{Literal, Name},
    raw,
    source::shortened,
};

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
