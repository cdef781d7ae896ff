//! The metrics that are read off the running gate when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{CounterVec, GaugeVec, Opts, Result};
use tidegate_config::Mode;

use super::LogWriter;
use crate::admin::wire::Listener;
use crate::forward::{Health, State};
use crate::known::Counts;
use crate::learn::{self, ProblemKind};
use crate::mode::Record;

/// What is read off the running gate at the moment of a scrape.
#[derive(Debug)]
pub struct Scrape<'gate> {
    /// Connections open now.
    pub connections_open: u32,
    /// Connections that may be open.
    pub connections_limit: u32,
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
        self.log(&mut out)?;
        self.upstreams(&mut out)?;
        self.certificates(&mut out)?;
        let reloaded = f64::from(u8::from(self.last_reload_successful));
        out.gauge(
            "config_last_reload_successful",
            "Whether the last reload was taken over.",
            reloaded,
        )?;
        let build = vec![(vec![env!("CARGO_PKG_VERSION")], 1.0)];
        out.gauges(
            "build_info",
            "1, with the version as a label.",
            &["version"],
            build,
        )?;
        Ok(out.0)
    }

    fn caps_and_mode(&self, out: &mut Families) -> Result<()> {
        let [open, limit] = [self.connections_open, self.connections_limit].map(f64::from);
        out.gauge("connections_open", "Connections open now.", open)?;
        out.gauge("connections_limit", "Connections that may be open.", limit)?;
        let active = |mode: Mode| f64::from(u8::from(self.mode.mode == mode));
        let modes = vec![
            (vec!["observe"], active(Mode::Observe)),
            (vec!["normal"], active(Mode::Normal)),
            (vec!["known-only"], active(Mode::KnownOnly)),
        ];
        out.gauges("mode", "1 for the mode in force.", &["mode"], modes)?;
        out.gauge(
            "known_only_admit_unknown_ratio",
            "The share of unknown clients that known-only lets in, from 0 to 1.",
            self.mode.admit_unknown.ratio(),
        )?;
        let end = self.mode.until.unwrap_or(0) as f64;
        out.gauge(
            "mode_end_timestamp_seconds",
            "When the mode ends by itself; 0 when it does not.",
            end,
        )
    }

    fn limiter_and_known(&self, out: &mut Families) -> Result<()> {
        let tracked = self.clients_tracked as f64;
        out.gauge(
            "clients_tracked",
            "Buckets of clients and tenants that are in use.",
            tracked,
        )?;
        let max = self.clients_tracked_max as f64;
        out.gauge("clients_tracked_max", "Buckets that there are.", max)?;
        let evictions = vec![(vec![], self.evictions as f64)];
        out.counters(
            "client_evictions_total",
            "Buckets in use that were taken for another client.",
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
            "Prefixes of known customers.",
            &["source"],
            known,
        )?;
        let rejected = f64::from(u8::from(self.known_files_rejected));
        out.gauge(
            "known_files_rejected",
            "Whether files of known customers have changed and were not taken over.",
            rejected,
        )?;
        let [taken, rejected] = self.known_files_changes.map(|count| count as f64);
        out.counters(
            "known_files_changes_total",
            "Changes of files of known customers that were seen by watching them.",
            &["outcome"],
            vec![(vec!["taken"], taken), (vec!["rejected"], rejected)],
        )?;
        out.gauge(
            "blocks",
            "Prefixes that operators blocked.",
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
            "Responses that confirmed a customer, by what became of that.",
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
            "Passes given to clients, requests let in by theirs alone, and requests with an invalid one.",
            &["event"],
            passes,
        )?;
        let evicted = vec![(vec![], self.learned.evicted as f64)];
        out.counters(
            "learned_evictions_total",
            "Learned prefixes that left because there were too many.",
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
            "1 for what is wrong with the store of learned customers.",
            &["problem"],
            problems.into(),
        )
    }

    fn log(&self, out: &mut Families) -> Result<()> {
        let counters = &self.log.counters;
        let count = |counter: &AtomicU64| counter.load(Relaxed) as f64;
        let lines = vec![
            (vec!["written"], self.log.written() as f64),
            (vec!["sampled_out"], count(&counters.sampled_out)),
            (vec!["over_budget"], count(&counters.over_budget)),
            (vec!["lost"], self.log.lost() as f64),
        ];
        out.counters(
            "log_lines_total",
            "Lines of the access log by what became of them.",
            &["outcome"],
            lines,
        )?;
        let bytes = vec![
            (vec!["written"], count(&counters.written_bytes)),
            (vec!["over_budget"], count(&counters.over_budget_bytes)),
        ];
        out.counters(
            "log_bytes_total",
            "Bytes of the access log by what became of them.",
            &["outcome"],
            bytes,
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
            "When a certificate of a listener ends to be valid.",
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
            "When all of an upstream's names last had an answer; 0 for never.",
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
            "When an upstream last answered a request; 0 for never.",
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
            "Requests sent to an upstream by how they ended.",
            &["upstream", "outcome"],
            requests,
        )
    }
}

/// The same values with one more label.
fn labelled<'scrape>(label: &'scrape str, values: Values<'scrape>) -> Values<'scrape> {
    let with_label = |(mut labels, value): (Vec<&'scrape str>, f64)| {
        labels.push(label);
        (labels, value)
    };
    values.into_iter().map(with_label).collect()
}

/// Values of one metric by the values of its labels.
type Values<'scrape> = Vec<(Vec<&'scrape str>, f64)>;

/// Metrics that are made for one scrape.
#[derive(Default)]
struct Families(Vec<MetricFamily>);

impl Families {
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> Result<()> {
        self.gauges(name, help, &[], vec![(vec![], value)])
    }

    fn gauges(&mut self, name: &str, help: &str, labels: &[&str], values: Values) -> Result<()> {
        let gauges = GaugeVec::new(Opts::new(format!("tidegate_{name}"), help), labels)?;
        for (labels, value) in values {
            gauges.get_metric_with_label_values(&labels)?.set(value);
        }
        self.0.extend(gauges.collect());
        Ok(())
    }

    fn counters(&mut self, name: &str, help: &str, labels: &[&str], values: Values) -> Result<()> {
        let counters = CounterVec::new(Opts::new(format!("tidegate_{name}"), help), labels)?;
        for (labels, value) in values {
            counters
                .get_metric_with_label_values(&labels)?
                .inc_by(value);
        }
        self.0.extend(counters.collect());
        Ok(())
    }
}
