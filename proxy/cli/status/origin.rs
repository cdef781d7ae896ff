//! Where the gate listens, what it was configured from, and what it could not keep.

use std::collections::BTreeMap;

use super::{Page, output};
use crate::admin::wire::{Listener, Status};

/// Seconds before its end from which a certificate is told of: those of public authorities are renewed
/// a month before.
const ENDS_SOON: u64 = 21 * 24 * 60 * 60;

pub(super) fn write(status: &Status, now: u64, page: &mut Page) {
    let listeners: Vec<String> = status.listeners.iter().map(url).collect();
    let listeners = listeners.join(", ");
    match status.metrics {
        Some(metrics) => page.line(
            "listening",
            format_args!("{listeners}; metrics on {metrics}"),
        ),
        None => page.line("listening", format_args!("{listeners}")),
    }
    write_ending(&status.listeners, now, page);
    match &status.config {
        Some(file) => page.line("configured", format_args!("from {}", file.display())),
        None => page.line("configured", format_args!("without a file")),
    }
    if let Some(problem) = &status.reload_problem {
        page.more(format_args!("LAST RELOAD FAILED: {problem}"));
    }
    for problem in &status.state_problems {
        page.line("STATE", format_args!("{}", output::plain(problem)));
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
fn write_ending(listeners: &[Listener], now: u64, page: &mut Page) {
    let all = listeners.iter().flat_map(|listener| &listener.certificates);
    let soon = all.filter(|certificate| certificate.not_after <= now + ENDS_SOON);
    let soon: BTreeMap<_, _> = soon
        .map(|certificate| (&certificate.chain, certificate.not_after))
        .collect();
    for (chain, end) in soon {
        let chain = output::plain(&chain.display().to_string());
        let text = match end < now {
            true => format!("{chain} HAS EXPIRED, {}", output::ago(end, now)),
            false => format!(
                "{chain} ENDS in {}, {}",
                output::duration(end - now),
                output::time(end)
            ),
        };
        page.line("certificate", format_args!("{text}"));
    }
}
