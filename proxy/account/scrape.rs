//! The metrics that are read off the running gate when somebody asks.

mod known;
mod log;
mod upstreams;

use tidegate_config::Mode;

use super::LogWriter;
use super::families::{Families, each};
use crate::admin::wire::Listener;
use crate::forward::Health;
use crate::known::Counts;
use crate::learn;
use crate::mode::Record;
use crate::state;

/// What is read off the running gate at the moment of a scrape.
#[derive(Debug)]
pub struct Scrape<'gate> {
    /// Connections open now.
    pub connections_open: u32,
    /// Connections that may be open.
    pub connections_limit: u32,
    /// How many of those only known clients get.
    pub reserved_for_known: u32,
    /// Requests in flight, of which there may be as many as connections.
    pub in_flight: u32,
    /// TLS handshakes under way, and how many may be.
    pub tls_handshakes: [u32; 2],
    /// The mode and its end.
    pub mode: Record,
    /// Clients and tenants with a live bucket.
    pub clients_tracked: usize,
    /// Buckets that there are.
    pub clients_tracked_max: usize,
    /// Live buckets that were taken for others.
    pub evictions: u64,
    /// Known prefixes by where they come from.
    pub known: Counts,
    /// Whether files of known customers are other ones than those in force.
    pub known_files_rejected: bool,
    /// Changes of those files that were taken over, and those that were not.
    pub known_files_changes: [u64; 2],
    /// Learned customers.
    pub learned: learn::Counts,
    /// Passes: issued, requests that only theirs let in, requests with one that is not believed.
    pub passes: [u64; 3],
    /// Blocked prefixes.
    pub blocks: usize,
    /// The access log.
    pub log: &'gate LogWriter,
    /// Upstreams by name.
    pub upstreams: Vec<(String, Health)>,
    /// Listeners, with their certificates.
    pub listeners: &'gate [Listener],
    /// Whether the last reload was taken over.
    pub last_reload_successful: bool,
}

impl Scrape<'_> {
    pub(super) fn families(&self, out: &mut Families) {
        self.caps(out);
        self.mode(out);
        self.limiter(out);
        self.known(out);
        self.learned(out);
        self.log(out);
        self.upstreams(out);
        self.certificates(out);
        self.gate(out);
    }

    fn caps(&self, out: &mut Families) {
        let [handshakes, most_handshakes] = self.tls_handshakes;
        for (name, help, value) in [
            (
                "connections_open",
                "Connections of clients that are open now.",
                self.connections_open,
            ),
            (
                "connections_limit",
                "Connections that may be open, and requests that may be in flight: connections.total, or less where the limit of open files is too low for that.",
                self.connections_limit,
            ),
            (
                "connections_reserved_for_known",
                "Of the limit, connections and requests in flight that only known customers get.",
                self.reserved_for_known,
            ),
            (
                "requests_in_flight",
                "Requests that were let in and have not ended. There may be as many as connections.",
                self.in_flight,
            ),
            (
                "tls_handshakes",
                "TLS handshakes that are under way now.",
                handshakes,
            ),
            (
                "tls_handshakes_limit",
                "TLS handshakes that may be under way: connections.tls_handshakes.",
                most_handshakes,
            ),
        ] {
            out.gauge(name, help, value.into());
        }
    }

    fn mode(&self, out: &mut Families) {
        let active = |mode: Mode| u64::from(self.mode.mode == mode);
        out.gauges(
            "mode",
            "1 for the mode in force, 0 for the others.",
            &["mode"],
            each([
                ("observe", active(Mode::Observe)),
                ("normal", active(Mode::Normal)),
                ("known-only", active(Mode::KnownOnly)),
            ]),
        );
        out.ratio(
            "known_only_admit_unknown_ratio",
            "The share of unknown clients that known-only lets in, from 0 to 1: --admit-unknown.",
            self.mode.admit_unknown.ratio(),
        );
        out.gauge(
            "mode_end_timestamp_seconds",
            "When the mode ends by itself, in seconds since 1970; 0 when it does not.",
            self.mode.until.unwrap_or(0),
        );
    }

    fn limiter(&self, out: &mut Families) {
        out.gauge(
            "clients_tracked",
            "Clients, networks, tenants and routes that the limiter counts now, each in a bucket of its table.",
            self.clients_tracked as u64,
        );
        out.gauge(
            "clients_tracked_max",
            "Buckets in the table of the limiter: client.max_tracked, rounded up.",
            self.clients_tracked_max as u64,
        );
        out.counter(
            "client_evictions_total",
            "Buckets that were in use and were taken for another client, as there was no room. Who lost one begins with a full burst again.",
            self.evictions,
        );
        out.gauge(
            "blocks",
            "Prefixes that operators have blocked and whose time has not passed.",
            self.blocks as u64,
        );
    }

    fn certificates(&self, out: &mut Families) {
        let listeners = self.listeners.iter();
        let ends = listeners.flat_map(|listener| {
            let address = listener.address.to_string();
            let certificates = listener.certificates.iter();
            certificates.map(move |certificate| {
                let chain = certificate.chain.display().to_string();
                ([address.clone(), chain], certificate.not_after)
            })
        });
        let ends: Vec<_> = ends.collect();
        let values = ends.iter().map(|(labels, end)| {
            let labels = labels.iter().map(String::as_str);
            (labels.collect(), *end)
        });
        out.gauges(
            "certificate_expiry_timestamp_seconds",
            "When a certificate of a TLS listener ends to be valid, in seconds since 1970.",
            &["listener", "certificate"],
            values.collect(),
        );
    }

    fn gate(&self, out: &mut Families) {
        out.gauge(
            "state_problems",
            "State files that were damaged at the start, or that the disk does not take: see status.",
            state::problems().len() as u64,
        );
        out.gauge(
            "config_last_reload_successful",
            "1 when the configuration in force is that of the last reload, 0 when that one was refused and what was in force before still is.",
            self.last_reload_successful.into(),
        );
        out.gauges(
            "build_info",
            "Always 1; its label tells the version that runs.",
            &["version"],
            each([(env!("CARGO_PKG_VERSION"), 1)]),
        );
    }
}
