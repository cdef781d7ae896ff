//! The counters that the request path adds to.
//!
//! No label comes from traffic: each is one of a fixed list, and its counter is looked up once, at
//! start, so that rates are defined from the first scrape on.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
    Result, TextEncoder,
};
use tidegate_config::Mode;

use super::{Closing, Outcome, Scrape};
use crate::door::DoorReason;
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
    requests: Requests,
    connections: Connections,
    would_refuse: WouldRefuse,
    admitted: IntCounter,
    reloads: [IntCounter; 2],
    looks: IntCounter,
}

impl Metrics {
    /// Every counter at zero.
    ///
    /// # Errors
    /// When two metrics have one name, which a test rules out.
    pub fn new() -> Result<Self> {
        let registry = Registry::new();
        let process = prometheus::process_collector::ProcessCollector::for_self();
        registry.register(Box::new(process))?;
        let reloads = counters(
            &registry,
            "config_reload_total",
            "Reloads of the configuration by how they ended.",
            &["outcome"],
        )?;
        let admitted = IntCounter::new(
            "tidegate_admitted_unknown_total",
            "Requests that known-only let in as those of the admitted share of unknown clients.",
        )?;
        let looks = IntCounter::new(
            "tidegate_known_files_looks_total",
            "Looks at the files of known customers; none while their file system hangs.",
        )?;
        Ok(Metrics {
            admitted: register(&registry, admitted)?,
            looks: register(&registry, looks)?,
            requests: Requests::new(&registry)?,
            connections: Connections::new(&registry)?,
            would_refuse: WouldRefuse::new(&registry)?,
            reloads: ["succeeded", "failed"].map(|outcome| reloads.with_label_values(&[outcome])),
            registry,
        })
    }

    pub(super) fn request(&self, outcome: Outcome, duration: Duration) {
        self.requests.add(outcome, duration);
    }

    pub(super) fn would_refuse(&self, mode: Mode, reason: Reason) {
        self.would_refuse.add(mode, reason);
    }

    pub(super) fn admitted(&self) {
        self.admitted.inc();
    }

    pub(super) fn would_close(&self, reason: DoorReason) {
        increment(&self.would_refuse.connections, reason as usize);
    }

    pub(super) fn accepted_connection(&self) {
        self.connections.accepted.inc();
    }

    pub(super) fn closed_connection(&self, closing: Closing) {
        increment(&self.connections.closed, closing as usize);
    }

    pub(super) fn refused_connection(&self, reason: DoorReason) {
        increment(&self.connections.refused, reason as usize);
    }

    /// Counts a reload.
    pub fn reloaded(&self, succeeded: bool) {
        let [good, bad] = &self.reloads;
        if succeeded { good } else { bad }.inc();
    }

    /// Counts a look at the files of known customers that has come to its end.
    pub fn looked_at_known_files(&self) {
        self.looks.inc();
    }

    /// Requests so far: forwarded, refused, failed.
    pub fn totals(&self) -> [u64; 3] {
        self.requests.totals()
    }

    /// Requests so far that the mode and the blocks let in: forwarded, refused all the same, and
    /// without an answer from their upstream.
    pub fn let_in(&self) -> [u64; 3] {
        self.requests.let_in()
    }

    /// Connections so far: let in, closed at the door.
    pub fn connections(&self) -> [u64; 2] {
        let refused = self.connections.refused.iter().map(IntCounter::get).sum();
        [self.connections.accepted.get(), refused]
    }

    /// Everything, in Prometheus' text format.
    ///
    /// # Errors
    /// When a metric cannot be written.
    pub fn text(&self, scrape: &Scrape) -> Result<Vec<u8>> {
        let mut families = self.registry.gather();
        families.extend(scrape.families()?);
        families.sort_by(|a, b| a.name().cmp(b.name()));
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }
}

/// Requests by how they ended, and how long they took.
#[derive(Debug)]
struct Requests {
    forwarded: IntCounter,
    /// In the order of [`Reason::ALL`].
    not_served: Vec<IntCounter>,
    /// Of the forwarded, the refused and the failed.
    durations: [Histogram; 3],
}

impl Requests {
    fn new(registry: &Registry) -> Result<Self> {
        let requests = counters(
            registry,
            "requests_total",
            "Requests by how they ended and why.",
            &["outcome", "reason"],
        )?;
        let durations = HistogramOpts::new(
            "tidegate_request_duration_seconds",
            "From the complete head of a request to the end of its response.",
        );
        let durations = HistogramVec::new(durations.buckets(DURATIONS.to_vec()), &["outcome"])?;
        let durations = register(registry, durations)?;
        let counter = |outcome: Outcome| {
            let (outcome, reason) = outcome.labels();
            requests.with_label_values(&[outcome, reason])
        };
        Ok(Requests {
            forwarded: counter(Outcome::Forwarded),
            not_served: Reason::ALL.map(Outcome::of).map(counter).to_vec(),
            durations: ["forwarded", "refused", "failed"]
                .map(|outcome| durations.with_label_values(&[outcome])),
        })
    }

    fn add(&self, outcome: Outcome, duration: Duration) {
        let [forwarded, refused, failed] = &self.durations;
        let histogram = match outcome {
            Outcome::Forwarded => {
                self.forwarded.inc();
                forwarded
            }
            Outcome::Refused(reason) => {
                increment(&self.not_served, reason as usize);
                refused
            }
            Outcome::Failed(reason) => {
                increment(&self.not_served, reason as usize);
                failed
            }
        };
        histogram.observe(duration.as_secs_f64());
    }

    fn totals(&self) -> [u64; 3] {
        let sum = |refusals: bool| {
            let reasons = Reason::ALL.iter().zip(&self.not_served);
            let of_kind = reasons.filter(|(reason, _)| reason.is_refusal() == refusals);
            of_kind.map(|(_, counter)| counter.get()).sum()
        };
        [self.forwarded.get(), sum(true), sum(false)]
    }

    fn let_in(&self) -> [u64; 3] {
        let sum = |counts: fn(Reason) -> bool| {
            let reasons = Reason::ALL.iter().zip(&self.not_served);
            let counted = reasons.filter(|(reason, _)| counts(**reason));
            counted.map(|(_, counter)| counter.get()).sum()
        };
        let refused = |reason: Reason| {
            reason.is_refusal() && !matches!(reason, Reason::UnknownClient | Reason::Blocked)
        };
        let failed = |reason: Reason| {
            matches!(
                reason,
                Reason::UpstreamUnresolved
                    | Reason::UpstreamConnect
                    | Reason::UpstreamTimeout
                    | Reason::UpstreamBroken
            )
        };
        [self.forwarded.get(), sum(refused), sum(failed)]
    }
}

/// Connections that were let in, and those that were not.
#[derive(Debug)]
struct Connections {
    accepted: IntCounter,
    /// In the order of [`DoorReason::ALL`].
    refused: Vec<IntCounter>,
    /// In the order of [`Closing::ALL`].
    closed: Vec<IntCounter>,
}

impl Connections {
    fn new(registry: &Registry) -> Result<Self> {
        let connections = counters(
            registry,
            "connections_total",
            "Connections let in, and closed at the door and why.",
            &["outcome", "reason"],
        )?;
        let closed = counters(
            registry,
            "connections_closed_total",
            "Connections that were let in and have ended, and why.",
            &["reason"],
        )?;
        let refused =
            |reason: DoorReason| connections.with_label_values(&["refused", reason.label()]);
        Ok(Connections {
            accepted: connections.with_label_values(&["accepted", "none"]),
            refused: DoorReason::ALL.map(refused).to_vec(),
            closed: Closing::ALL
                .map(|closing| closed.with_label_values(&[closing.label()]))
                .to_vec(),
        })
    }
}

/// What other modes would have refused.
#[derive(Debug)]
struct WouldRefuse {
    /// By `normal`, in the order of [`Reason::ALL`].
    normal: Vec<IntCounter>,
    /// By `known-only`.
    known_only: IntCounter,
    /// Connections, by `normal`, in the order of [`DoorReason::ALL`].
    connections: Vec<IntCounter>,
}

impl WouldRefuse {
    fn new(registry: &Registry) -> Result<Self> {
        let would = counters(
            registry,
            "would_refuse_total",
            "Requests, and connections, that another mode would have refused.",
            &["mode", "reason"],
        )?;
        let counter = |mode: Mode, reason: &str| {
            would.with_label_values(&[mode.to_string().as_str(), reason])
        };
        let decided = Reason::ALL.into_iter().filter(|reason| reason.is_refusal());
        let connection = |reason: DoorReason| format!("connection_{}", reason.label());
        Ok(WouldRefuse {
            normal: decided
                .map(|reason| counter(Mode::Normal, reason.label()))
                .collect(),
            known_only: counter(Mode::KnownOnly, Reason::UnknownClient.label()),
            connections: DoorReason::ALL
                .map(|reason| counter(Mode::Normal, &connection(reason)))
                .to_vec(),
        })
    }

    fn add(&self, mode: Mode, reason: Reason) {
        match mode {
            Mode::Normal => increment(&self.normal, reason as usize),
            Mode::KnownOnly => self.known_only.inc(),
            // It refuses nothing.
            Mode::Observe => {}
        }
    }
}

fn increment(counters: &[IntCounter], place: usize) {
    if let Some(counter) = counters.get(place) {
        counter.inc();
    }
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
    let opts = Opts::new(format!("tidegate_{name}"), help);
    register(registry, IntCounterVec::new(opts, labels)?)
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
