//! The metrics that are read off the running gate when somebody asks.

use prometheus::Result;
use prometheus::proto::MetricFamily;
use tidegate_config::Mode;

use super::families::{Families, Values, labelled};
use super::{Class, LogWriter};
use crate::admin::wire::Listener;
use crate::forward::{Health, State};
use crate::known::Counts;
use crate::learn::{self, ProblemKind};
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
    pub(super) fn families(&self) -> Result<Vec<MetricFamily>> {
        let mut out = Families::default();
        self.caps_and_mode(&mut out)?;
        self.limiter_and_known(&mut out)?;
        self.learned(&mut out)?;
        Self::state(&mut out)?;
        self.log(&mut out)?;
        self.upstreams(&mut out)?;
        self.certificates(&mut out)?;
        let reloaded = f64::from(u8::from(self.last_reload_successful));
        out.gauge(
            "config_last_reload_successful",
            "1 when the configuration in force is that of the last reload, 0 when that one was refused and what was in force before still is.",
            reloaded,
        )?;
        let build = vec![(vec![env!("CARGO_PKG_VERSION")], 1.0)];
        out.gauges(
            "build_info",
            "Always 1; its label tells the version that runs.",
            &["version"],
            build,
        )?;
        Ok(out.0)
    }

    fn caps(&self, out: &mut Families) -> Result<()> {
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
            out.gauge(name, help, f64::from(value))?;
        }
        Ok(())
    }

    fn caps_and_mode(&self, out: &mut Families) -> Result<()> {
        self.caps(out)?;
        let active = |mode: Mode| f64::from(u8::from(self.mode.mode == mode));
        let modes = vec![
            (vec!["observe"], active(Mode::Observe)),
            (vec!["normal"], active(Mode::Normal)),
            (vec!["known-only"], active(Mode::KnownOnly)),
        ];
        out.gauges(
            "mode",
            "1 for the mode in force, 0 for the others.",
            &["mode"],
            modes,
        )?;
        out.gauge(
            "known_only_admit_unknown_ratio",
            "The share of unknown clients that known-only lets in, from 0 to 1: --admit-unknown.",
            self.mode.admit_unknown.ratio(),
        )?;
        let end = self.mode.until.unwrap_or(0) as f64;
        out.gauge(
            "mode_end_timestamp_seconds",
            "When the mode ends by itself, in seconds since 1970; 0 when it does not.",
            end,
        )
    }

    fn limiter_and_known(&self, out: &mut Families) -> Result<()> {
        let tracked = self.clients_tracked as f64;
        out.gauge(
            "clients_tracked",
            "Clients, networks, tenants and routes that the limiter counts now, each in a bucket of its table.",
            tracked,
        )?;
        let max = self.clients_tracked_max as f64;
        out.gauge(
            "clients_tracked_max",
            "Buckets in the table of the limiter: client.max_tracked, rounded up.",
            max,
        )?;
        let evictions = vec![(vec![], self.evictions as f64)];
        out.counters(
            "client_evictions_total",
            "Buckets that were in use and were taken for another client, as there was no room. Who lost one begins with a full burst again.",
            &[],
            evictions,
        )?;
        let known = vec![
            (vec!["file"], self.known.files as f64),
            (vec!["operator"], self.known.operators as f64),
            (vec!["learned"], self.learned.known as f64),
        ];
        out.gauges(
            "known_prefixes",
            "Prefixes of known customers, by who said so: files, operators, or the app.",
            &["source"],
            known,
        )?;
        let rejected = f64::from(u8::from(self.known_files_rejected));
        out.gauge(
            "known_files_rejected",
            "1 while files of known customers have changed and were not taken over, as something is wrong in them; who was known before still is.",
            rejected,
        )?;
        let [taken, rejected] = self.known_files_changes.map(|count| count as f64);
        out.counters(
            "known_files_changes_total",
            "Changes of the files of known customers that the gate has noticed by itself, by whether they were taken over.",
            &["outcome"],
            vec![(vec!["taken"], taken), (vec!["rejected"], rejected)],
        )?;
        out.gauge(
            "blocks",
            "Prefixes that operators have blocked and whose time has not passed.",
            self.blocks as f64,
        )
    }

    fn learned(&self, out: &mut Families) -> Result<()> {
        let [accepted, dropped, unattributed] =
            self.learned.confirmations.map(|count| count as f64);
        let confirmations = vec![
            (vec!["accepted"], accepted),
            (vec!["dropped"], dropped),
            (vec!["unattributed"], unattributed),
        ];
        out.counters(
            "confirmations_total",
            "Responses by which the app confirmed a customer: accepted, dropped because too many came at once, or unattributed because a trusted proxy did not name the client.",
            &["outcome"],
            confirmations,
        )?;
        let [issued, let_in, invalid] = self.passes.map(|count| count as f64);
        let passes = vec![
            (vec!["issued"], issued),
            (vec!["let_in"], let_in),
            (vec!["invalid"], invalid),
        ];
        out.counters(
            "passes_total",
            "Passes: issued to customers, requests of unknown addresses that only theirs let in, and requests with an invalid one (forged, expired or revoked).",
            &["event"],
            passes,
        )?;
        let evicted = vec![(vec![], self.learned.evicted as f64)];
        out.counters(
            "learned_evictions_total",
            "Learned customers that were forgotten before their time, as there were more than known.learn.max.",
            &[],
            evicted,
        )?;
        let found = self.learned.problem.as_ref().map(|problem| problem.kind);
        let problems = ProblemKind::ALL.map(|kind| {
            let is_so = f64::from(u8::from(found == Some(kind)));
            (vec![kind.label()], is_so)
        });
        out.gauges(
            "learned_store_problem",
            "1 for what is wrong with the store of learned customers, else 0. The gate goes on with those in memory.",
            &["problem"],
            problems.into(),
        )
    }

    fn state(out: &mut Families) -> Result<()> {
        out.gauges(
            "state_problems",
            "State files that were damaged at the start, or that the disk does not take: see status.",
            &[],
            vec![(vec![], state::problems().len() as f64)],
        )
    }

    fn log(&self, out: &mut Families) -> Result<()> {
        let access = self.log.counts().access();
        let lines = vec![
            (vec!["written"], access.written as f64),
            (vec!["sampled_out"], access.sampled_out as f64),
            (vec!["over_budget"], access.over_budget as f64),
            (vec!["lost"], access.lost as f64),
        ];
        out.counters(
            "log_lines_total",
            "Lines of the access log by what became of them: written, left out by the sample, left out by the budget, or lost because the disk did not take them.",
            &["outcome"],
            lines,
        )?;
        let [written, over_budget, lost] = access.bytes.map(|bytes| bytes as f64);
        let bytes = vec![
            (vec!["written"], written),
            (vec!["over_budget"], over_budget),
            (vec!["lost"], lost),
        ];
        out.counters(
            "log_bytes_total",
            "Bytes of the access log by what became of their lines, its summaries among those written; a line that the sample left out has none.",
            &["outcome"],
            bytes,
        )?;
        let messages = self.log.counts().of(Class::Message).now();
        let messages = vec![
            (vec!["written"], messages.written as f64),
            (vec!["repeated"], messages.sampled_out as f64),
            (vec!["over_budget"], messages.over_budget as f64),
            (vec!["lost"], messages.lost as f64),
        ];
        out.counters(
            "messages_total",
            "Messages of the gate itself by what became of them.",
            &["outcome"],
            messages,
        )?;
        let failing = f64::from(u8::from(self.log.problem().is_some()));
        out.gauge(
            "log_failing",
            "1 while the access log cannot be written: its lines are lost.",
            failing,
        )
    }

    fn certificates(&self, out: &mut Families) -> Result<()> {
        let mut ends = Vec::new();
        for listener in self.listeners {
            let address = listener.address.to_string();
            for certificate in &listener.certificates {
                let chain = certificate.chain.display().to_string();
                ends.push(([address.clone(), chain], certificate.not_after as f64));
            }
        }
        // The text format has no metric without a value.
        if ends.is_empty() {
            return Ok(());
        }
        let ends = ends.iter().map(|([listener, chain], end)| {
            let labels = vec![listener.as_str(), chain.as_str()];
            (labels, *end)
        });
        out.gauges(
            "certificate_expiry_timestamp_seconds",
            "When a certificate of a TLS listener ends to be valid, in seconds since 1970.",
            &["listener", "certificate"],
            ends.collect(),
        )
    }

    fn upstreams(&self, out: &mut Families) -> Result<()> {
        let each = |value: fn(&Health) -> u64| -> Values<'_> {
            let upstreams = self.upstreams.iter();
            upstreams
                .map(|(name, health)| (vec![name.as_str()], value(health) as f64))
                .collect()
        };
        out.gauges(
            "upstream_resolved_timestamp_seconds",
            "When all names of an upstream last had an answer, in seconds since 1970; 0 for never. Addresses that were known stay in use.",
            &["upstream"],
            each(|health| health.resolved_at),
        )?;
        out.gauges(
            "upstream_addresses_changed_timestamp_seconds",
            "When an answer last brought other addresses for an upstream; 0 for never.",
            &["upstream"],
            each(|health| health.addresses_changed_at),
        )?;
        out.gauges(
            "upstream_last_success_timestamp_seconds",
            "When an upstream last answered a request, in seconds since 1970; 0 for never.",
            &["upstream"],
            each(|health| health.last_success),
        )?;
        let mut servers = Values::new();
        for state in State::ALL {
            let counts = self.upstreams.iter().map(|(name, health)| {
                let labels = vec![name.as_str(), state.label()];
                (labels, health.count(state) as f64)
            });
            servers.extend(counts);
        }
        out.gauges(
            "upstream_servers",
            "Addresses of an upstream by whether they get requests.",
            &["upstream", "state"],
            servers,
        )?;
        let mut retries = labelled("made", each(|health| health.retries));
        retries.extend(labelled(
            "over_budget",
            each(|health| health.retries_refused),
        ));
        out.counters(
            "upstream_retries_total",
            "Requests sent once more because a server did not take them, and those that were not.",
            &["upstream", "outcome"],
            retries,
        )?;
        let mut requests = labelled("succeeded", each(|health| health.succeeded));
        requests.extend(labelled("failed", each(|health| health.failed)));
        out.counters(
            "upstream_requests_total",
            "Requests for an upstream, by whether it answered. What the client broke off is in neither.",
            &["upstream", "outcome"],
            requests,
        )
    }
}
