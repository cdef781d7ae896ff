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
            "Reloads of the configuration. A failed one changed nothing: the gate goes on with what it had.",
            &["outcome"],
        )?;
        let admitted = IntCounter::new(
            "tidegate_admitted_unknown_total",
            "Requests of unknown clients that known-only let in, because they are in the share set by --admit-unknown.",
        )?;
        let looks = IntCounter::new(
            "tidegate_known_files_looks_total",
            "Looks at the files of known customers, about one a second. It stands still while their file system hangs.",
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

    /// `known`: whether it is a known customer's.
    pub(super) fn request(&self, outcome: Outcome, duration: Duration, known: bool) {
        self.requests.add(outcome, duration, known);
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
    all: Ends,
    /// Those of known customers, once more.
    known: Ends,
    /// Of the forwarded, the refused and the failed.
    durations: [Histogram; 3],
}

/// Requests by how they ended and why.
#[derive(Debug)]
struct Ends {
    forwarded: IntCounter,
    /// In the order of [`Reason::ALL`].
    not_served: Vec<IntCounter>,
}

impl Ends {
    fn new(registry: &Registry, name: &str, help: &str) -> Result<Self> {
        let requests = counters(registry, name, help, &["outcome", "reason"])?;
        let counter = |outcome: Outcome| {
            let (outcome, reason) = outcome.labels();
            requests.with_label_values(&[outcome, reason])
        };
        Ok(Ends {
            forwarded: counter(Outcome::Forwarded),
            not_served: Reason::ALL.map(Outcome::of).map(counter).to_vec(),
        })
    }

    fn add(&self, outcome: Outcome) {
        match outcome {
            Outcome::Forwarded => self.forwarded.inc(),
            Outcome::Refused(reason) | Outcome::Failed(reason) => {
                increment(&self.not_served, reason as usize);
            }
        }
    }

    /// How many were not served for reasons that count.
    fn not_served(&self, counts: impl Fn(Reason) -> bool) -> u64 {
        let reasons = Reason::ALL.iter().zip(&self.not_served);
        let counted = reasons.filter(|(reason, _)| counts(**reason));
        counted.map(|(_, counter)| counter.get()).sum()
    }
}

impl Requests {
    fn new(registry: &Registry) -> Result<Self> {
        let durations = HistogramOpts::new(
            "tidegate_request_duration_seconds",
            "From the complete head of a request to the end of its response. Of forwarded requests most of it is the app's; of refused ones all of it is the gate's own.",
        );
        let durations = HistogramVec::new(durations.buckets(DURATIONS.to_vec()), &["outcome"])?;
        let durations = register(registry, durations)?;
        Ok(Requests {
            all: Ends::new(
                registry,
                "requests_total",
                "Requests by how they ended and why: forwarded (the whole response reached the client), refused (the gate said no, the app saw nothing), failed (the gate said yes, and it did not end well).",
            )?,
            known: Ends::new(
                registry,
                "known_requests_total",
                "Requests of known customers, by address or pass. Each is in tidegate_requests_total, too. These are who must be served in a flood.",
            )?,
            durations: ["forwarded", "refused", "failed"]
                .map(|outcome| durations.with_label_values(&[outcome])),
        })
    }

    fn add(&self, outcome: Outcome, duration: Duration, known: bool) {
        self.all.add(outcome);
        if known {
            self.known.add(outcome);
        }
        let [forwarded, refused, failed] = &self.durations;
        let histogram = match outcome {
            Outcome::Forwarded => forwarded,
            Outcome::Refused(_) => refused,
            Outcome::Failed(_) => failed,
        };
        histogram.observe(duration.as_secs_f64());
    }

    fn totals(&self) -> [u64; 3] {
        let refused = self.all.not_served(Reason::is_refusal);
        let failed = self.all.not_served(|reason| !reason.is_refusal());
        [self.all.forwarded.get(), refused, failed]
    }

    fn let_in(&self) -> [u64; 3] {
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
        let all = &self.all;
        [
            all.forwarded.get(),
            all.not_served(refused),
            all.not_served(failed),
        ]
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
            "Connections by whether they were let in. Refused ones were closed before a request was read, for the reason given.",
            &["outcome", "reason"],
        )?;
        let closed = counters(
            registry,
            "connections_closed_total",
            "Connections that were let in and have ended, by what ended them.",
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
            "Requests that another mode would have refused: normal, while the mode is observe, and known-only, while it is not in force. With a reason that begins with connection_: connections that normal would have closed.",
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
