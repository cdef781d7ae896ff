//! What an operator can do about a verdict.

use std::fmt::{self, Write};

use super::cap;
use crate::admin::wire::{Explanation, Tenant};
use crate::cli::output;
use crate::reason::Reason;

pub(super) fn write(said: &Explanation, out: &mut String) -> fmt::Result {
    if let Some(cap) = cap(said) {
        writeln!(
            out,
            "to change it raise {cap} and `tidegate reload`, or let the client close some"
        )?;
    }
    let reason = said.verdict.reason.as_deref();
    let reason = reason.and_then(|label| Reason::ALL.into_iter().find(|one| one.label() == label));
    match reason.map(|reason| advice(reason, said)) {
        Some(advice) if !advice.is_empty() => {
            writeln!(out, "to change it {}", output::plain(&advice))
        }
        _ => Ok(()),
    }
}

fn advice(reason: Reason, said: &Explanation) -> String {
    match reason {
        Reason::UnknownClient => format!(
            "`tidegate known add {} --for 1h` for this client, `tidegate mode normal` for everybody",
            said.client
        ),
        Reason::Blocked => {
            let blocks = said.blocked_by.iter();
            let lift = blocks.map(|entry| format!("`tidegate block remove {}`", entry.prefix));
            lift.collect::<Vec<_>>().join(" and ")
        }
        Reason::NoRoute => {
            "add a [[route]] for this host, path and method; --host, --path and --method say what the \
             client asks for"
                .to_owned()
        }
        Reason::TenantRate | Reason::TenantInFlight => {
            let tenant = said.tenant.as_ref();
            format!("{}, or {}", tenant.map_or_else(String::new, moved), raised(reason, said))
        }
        Reason::PassRate | Reason::ClientRate | Reason::NetworkRate | Reason::RouteRate | Reason::RouteInFlight => {
            raised(reason, said)
        }
        _ => String::new(),
    }
}

fn moved(tenant: &Tenant) -> String {
    match &tenant.name {
        Some(name) => format!("`tidegate tenant set {name} TIER`"),
        None => "`tidegate tenant set NAME TIER`, so that it leaves those that are not listed"
            .to_owned(),
    }
}

/// To raise the number that refuses.
fn raised(reason: Reason, said: &Explanation) -> String {
    let limits = said
        .limits
        .iter()
        .map(|limit| (&limit.reason, &limit.set_in));
    let caps = said.in_flight.iter().map(|cap| (&cap.reason, &cap.set_in));
    let mut all = limits.chain(caps);
    let found = all.find(|(label, _)| **label == reason.label());
    let set_in = found.map_or("it", |(_, set_in)| &**set_in);
    format!("raise {set_in} and `tidegate reload`")
}
