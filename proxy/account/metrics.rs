//! The counters that the request path adds to, and the gauges that are read when somebody asks.
//!
//! No label comes from traffic: each is one of a fixed list, and its counter is looked up once, at
//! start.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts,
    Registry, TextEncoder,
};
use tidegate_config::Mode;

use super::{LogWriter, Outcome};
use crate::door::DoorReason;
use crate::forward::Health;
use crate::mode::Record;
use crate::reason::Reason;

/// Upper bounds of the duration histogram, in seconds: refusals end in microseconds, the slowest
/// requests in their deadline.
const DURATIONS: [f64; 14] = [
    0.000_05, 0.000_2, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// Every metric of the request path.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    forwarded: IntCounter,
    not_served: Vec<IntCounter>,
    durations: [Histogram; 3],
    accepted: IntCounter,
    door_refused: Vec<IntCounter>,
    would_refuse: Vec<Vec<IntCounter>>,
    would_close: Vec<IntCounter>,
    reloads: [IntCounter; 2],
}

/// The modes that refuse; `observe` never does.
const REFUSING: [Mode; 2] = [Mode::Normal, Mode::KnownOnly];

impl Metrics {
    /// Every counter at zero, so that rates are defined from the first scrape on.
    ///
    /// # Errors
    /// When two metrics have one name, which a test rules out.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let requests = counters(
            &registry,
            "requests_total",
            "Requests by how they ended and why.",
            &["outcome", "reason"],
        )?;
        let durations = HistogramOpts::new(
            "tidegate_request_duration_seconds",
            "From the complete head of a request to the end of its response.",
        );
        let durations = register(
            &registry,
            HistogramVec::new(durations.buckets(DURATIONS.to_vec()), &["outcome"])?,
        )?;
        let connections = counters(
            &registry,
            "connections_total",
            "Connections let in, and closed at the door and why.",
            &["outcome", "reason"],
        )?;
        let would = counters(
            &registry,
            "would_refuse_total",
            "Requests, and connections, that another mode would have refused.",
            &["mode", "reason"],
        )?;
        let reloads = counters(
            &registry,
            "config_reload_total",
            "Reloads of the configuration by how they ended.",
            &["outcome"],
        )?;
        let would_refuse = |mode: &Mode| {
            let of = |reason: &Reason| {
                would.with_label_values(&[mode.to_string().as_str(), reason.label()])
            };
            Reason::ALL
                .iter()
                .filter(|reason| reason.is_refusal())
                .map(of)
                .collect()
        };
        let labels = |reason: &Reason| Outcome::of(*reason).labels();
        let metrics = Metrics {
            forwarded: requests.with_label_values(&["forwarded", "none"]),
            not_served: Reason::ALL
                .iter()
                .map(labels)
                .map(|(outcome, reason)| requests.with_label_values(&[outcome, reason]))
                .collect(),
            durations: ["forwarded", "refused", "failed"]
                .map(|outcome| durations.with_label_values(&[outcome])),
            accepted: connections.with_label_values(&["accepted", "none"]),
            door_refused: DoorReason::ALL
                .iter()
                .map(|reason| connections.with_label_values(&["refused", reason.label()]))
                .collect(),
            would_refuse: REFUSING.iter().map(would_refuse).collect(),
            would_close: DoorReason::ALL
                .iter()
                .map(|reason| {
                    would.with_label_values(&["normal", &format!("connection_{}", reason.label())])
                })
                .collect(),
            reloads: ["succeeded", "failed"].map(|outcome| reloads.with_label_values(&[outcome])),
            registry,
        };
        let process = prometheus::process_collector::ProcessCollector::for_self();
        metrics.registry.register(Box::new(process))?;
        Ok(metrics)
    }

    pub(super) fn request(&self, outcome: Outcome, duration: Duration) {
        let [forwarded, refused, failed] = &self.durations;
        let (counter, histogram) = match outcome {
            Outcome::Forwarded => (Some(&self.forwarded), forwarded),
            Outcome::Refused(reason) => (self.not_served.get(reason as usize), refused),
            Outcome::Failed(reason) => (self.not_served.get(reason as usize), failed),
        };
        if let Some(counter) = counter {
            counter.inc();
        }
        histogram.observe(duration.as_secs_f64());
    }

    pub(super) fn would_refuse(&self, mode: Mode, reason: Reason) {
        let place = REFUSING.iter().position(|refusing| *refusing == mode);
        let counters = place.and_then(|place| self.would_refuse.get(place));
        if let Some(counter) = counters.and_then(|counters| counters.get(reason as usize)) {
            counter.inc();
        }
    }

    pub(super) fn would_close(&self, reason: DoorReason) {
        if let Some(counter) = self.would_close.get(reason as usize) {
            counter.inc();
        }
    }

    pub(super) fn accepted_connection(&self) {
        self.accepted.inc();
    }

    pub(super) fn refused_connection(&self, reason: DoorReason) {
        if let Some(counter) = self.door_refused.get(reason as usize) {
            counter.inc();
        }
    }

    /// Counts a reload.
    pub fn reloaded(&self, succeeded: bool) {
        let [good, bad] = &self.reloads;
        if succeeded { good } else { bad }.inc();
    }

    /// Requests so far: forwarded, refused, failed.
    pub fn totals(&self) -> [u64; 3] {
        let sum = |refusals: bool| {
            let of_kind = Reason::ALL.iter().zip(&self.not_served);
            of_kind
                .filter(|(reason, _)| reason.is_refusal() == refusals)
                .map(|(_, counter)| counter.get())
                .sum()
        };
        [self.forwarded.get(), sum(true), sum(false)]
    }

    /// Connections so far: let in, closed at the door.
    pub fn connections(&self) -> [u64; 2] {
        let refused = self.door_refused.iter().map(IntCounter::get).sum();
        [self.accepted.get(), refused]
    }

    /// Everything, in Prometheus' text format.
    ///
    /// # Errors
    /// When a metric cannot be written.
    pub fn text(&self, scrape: &Scrape) -> prometheus::Result<Vec<u8>> {
        let mut families = self.registry.gather();
        families.extend(scrape.families()?);
        families.sort_by(|a, b| a.name().cmp(b.name()));
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntCounterVec> {
    register(
        registry,
        IntCounterVec::new(Opts::new(format!("tidegate_{name}"), help), labels)?,
    )
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

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
    /// Known prefixes: from files, added by operators.
    pub known: (usize, usize),
    /// The access log.
    pub log: &'gate LogWriter,
    /// Upstreams by name.
    pub upstreams: Vec<(String, Health)>,
    /// Whether the last reload was taken over.
    pub last_reload_successful: bool,
}

/// Metrics that are made for one scrape.
#[derive(Default)]
struct Families(Vec<prometheus::proto::MetricFamily>);

impl Families {
    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: &[(&[&str], f64)],
    ) -> prometheus::Result<()> {
        let gauges = GaugeVec::new(Opts::new(format!("tidegate_{name}"), help), labels)?;
        for (labels, value) in values {
            gauges.with_label_values(labels).set(*value);
        }
        self.0.extend(gauges.collect());
        Ok(())
    }

    fn counter(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: &[(&[&str], u64)],
    ) -> prometheus::Result<()> {
        let counters = IntCounterVec::new(Opts::new(format!("tidegate_{name}"), help), labels)?;
        for (labels, value) in values {
            counters.with_label_values(labels).inc_by(*value);
        }
        self.0.extend(counters.collect());
        Ok(())
    }
}

impl Scrape<'_> {
    fn families(&self) -> prometheus::Result<Vec<prometheus::proto::MetricFamily>> {
        let mut out = Families::default();
        self.gate(&mut out)?;
        self.log(&mut out)?;
        self.upstreams(&mut out)?;
        Ok(out.0)
    }

    fn gate(&self, out: &mut Families) -> prometheus::Result<()> {
        out.gauge(
            "connections_open",
            "Connections open now.",
            &[],
            &[(&[], f64::from(self.connections_open))],
        )?;
        out.gauge(
            "connections_limit",
            "Connections that may be open.",
            &[],
            &[(&[], f64::from(self.connections_limit))],
        )?;
        let active = |mode: Mode| f64::from(u8::from(self.mode.mode == mode));
        out.gauge(
            "mode",
            "1 for the mode in force.",
            &["mode"],
            &[
                (&["observe"], active(Mode::Observe)),
                (&["normal"], active(Mode::Normal)),
                (&["known-only"], active(Mode::KnownOnly)),
            ],
        )?;
        out.gauge(
            "mode_end_timestamp_seconds",
            "When the mode ends by itself; 0 when it does not.",
            &[],
            &[(&[], self.mode.until.unwrap_or(0) as f64)],
        )?;
        out.gauge(
            "clients_tracked",
            "Buckets of clients and tenants that are in use.",
            &[],
            &[(&[], self.clients_tracked as f64)],
        )?;
        out.gauge(
            "clients_tracked_max",
            "Buckets that there are.",
            &[],
            &[(&[], self.clients_tracked_max as f64)],
        )?;
        out.counter(
            "client_evictions_total",
            "Buckets in use that were taken for another client.",
            &[],
            &[(&[], self.evictions)],
        )?;
        out.gauge(
            "known_prefixes",
            "Prefixes of known customers.",
            &["source"],
            &[
                (&["file"], self.known.0 as f64),
                (&["operator"], self.known.1 as f64),
            ],
        )?;
        out.gauge(
            "config_last_reload_successful",
            "Whether the last reload was taken over.",
            &[],
            &[(&[], f64::from(u8::from(self.last_reload_successful)))],
        )?;
        out.gauge(
            "build_info",
            "1, with the version as a label.",
            &["version"],
            &[(&[env!("CARGO_PKG_VERSION")], 1.0)],
        )
    }

    fn log(&self, out: &mut Families) -> prometheus::Result<()> {
        let counters = &self.log.counters;
        let written = counters.written.load(Relaxed);
        let lost = self.log.lost();
        out.counter(
            "log_lines_total",
            "Lines of the access log by what became of them.",
            &["outcome"],
            &[
                (&["written"], written.saturating_sub(lost)),
                (&["sampled_out"], counters.sampled_out.load(Relaxed)),
                (&["over_budget"], counters.over_budget.load(Relaxed)),
                (&["lost"], lost),
            ],
        )?;
        out.counter(
            "log_bytes_total",
            "Bytes of the access log by what became of them.",
            &["outcome"],
            &[
                (&["written"], counters.written_bytes.load(Relaxed)),
                (&["over_budget"], counters.over_budget_bytes.load(Relaxed)),
            ],
        )
    }

    fn upstreams(&self, out: &mut Families) -> prometheus::Result<()> {
        let one = |value: &dyn Fn(&Health) -> f64| -> Vec<(Vec<&str>, f64)> {
            self.upstreams
                .iter()
                .map(|(name, health)| (vec![name.as_str()], value(health)))
                .collect()
        };
        for (name, help, values) in [
            (
                "upstream_resolved_timestamp_seconds",
                "When all of an upstream's names last had an answer.",
                one(&|health| health.resolved_at as f64),
            ),
            (
                "upstream_last_success_timestamp_seconds",
                "When an upstream last answered a request.",
                one(&|health| health.last_success as f64),
            ),
        ] {
            let values: Vec<(&[&str], f64)> = values
                .iter()
                .map(|(labels, value)| (labels.as_slice(), *value))
                .collect();
            out.gauge(name, help, &["upstream"], &values)?;
        }
        let servers: Vec<([&str; 2], f64)> = self
            .upstreams
            .iter()
            .map(|(name, health)| ([name.as_str(), "available"], health.servers as f64))
            .collect();
        let servers: Vec<(&[&str], f64)> = servers
            .iter()
            .map(|(labels, value)| (labels.as_slice(), *value))
            .collect();
        out.gauge(
            "upstream_servers",
            "Addresses of an upstream.",
            &["upstream", "state"],
            &servers,
        )?;
        let requests: Vec<([&str; 2], u64)> = self
            .upstreams
            .iter()
            .flat_map(|(name, health)| {
                [
                    ([name.as_str(), "succeeded"], health.succeeded),
                    ([name.as_str(), "failed"], health.failed),
                ]
            })
            .collect();
        let requests: Vec<(&[&str], u64)> = requests
            .iter()
            .map(|(labels, value)| (labels.as_slice(), *value))
            .collect();
        out.counter(
            "upstream_requests_total",
            "Requests sent to an upstream by how they ended.",
            &["upstream", "outcome"],
            &requests,
        )
    }
}
