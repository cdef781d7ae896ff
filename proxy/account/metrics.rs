//! The counters that the request path adds to.
//!
//! No label comes from traffic: each is one of a fixed list, and its counter is there from the start, so
//! that rates are defined from the first scrape on.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder, Result, TextEncoder};
use tidegate_config::Mode;

use super::connections::Connections;
use super::families::{Families, each};
use super::requests::Requests;
use super::sharded::Counters;
use super::would_refuse::WouldRefuse;
use super::{Closing, Outcome, Scrape};
use crate::door::DoorReason;
use crate::reason::Reason;

/// Every metric of the request path.
#[derive(Debug)]
pub struct Metrics {
    requests: Requests,
    connections: Connections,
    would_refuse: WouldRefuse,
    admitted: Counters,
    /// Reloads that were taken over, and those that failed.
    reloads: [AtomicU64; 2],
    looks: AtomicU64,
}

impl Default for Metrics {
    /// Every counter at zero.
    fn default() -> Self {
        Metrics {
            requests: Requests::default(),
            connections: Connections::default(),
            would_refuse: WouldRefuse::default(),
            admitted: Counters::new(1),
            reloads: Default::default(),
            looks: AtomicU64::default(),
        }
    }
}

impl Metrics {
    /// `known`: whether it is a known customer's.
    pub(super) fn request(&self, outcome: Outcome, duration: Duration, known: bool) {
        self.requests.add(outcome, duration, known);
    }

    pub(super) fn would_refuse(&self, mode: Mode, reason: Reason) {
        self.would_refuse.add(mode, reason);
    }

    pub(super) fn admitted(&self) {
        self.admitted.increment(0);
    }

    pub(super) fn would_close(&self, reason: DoorReason) {
        self.would_refuse.close(reason);
    }

    pub(super) fn accepted_connection(&self) {
        self.connections.accept();
    }

    pub(super) fn closed_connection(&self, closing: Closing) {
        self.connections.close(closing);
    }

    pub(super) fn refused_connection(&self, reason: DoorReason) {
        self.connections.refuse(reason);
    }

    /// Counts a reload.
    pub fn reloaded(&self, succeeded: bool) {
        let [good, bad] = &self.reloads;
        if succeeded { good } else { bad }.fetch_add(1, Relaxed);
    }

    /// Counts a look at the files of known customers that has come to its end.
    pub fn looked_at_known_files(&self) {
        self.looks.fetch_add(1, Relaxed);
    }

    /// Requests so far by how they ended.
    pub fn ends(&self) -> impl Iterator<Item = (Outcome, u64)> {
        self.requests.ends()
    }

    /// Those of known customers.
    pub fn known_ends(&self) -> impl Iterator<Item = (Outcome, u64)> {
        self.requests.known_ends()
    }

    /// Connections so far that were closed at the door, by reason.
    pub fn refused_connections(&self) -> impl Iterator<Item = (DoorReason, u64)> {
        self.connections.refusals()
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
        self.connections.totals()
    }

    /// Everything, in Prometheus' text format.
    ///
    /// # Errors
    /// When a metric cannot be written.
    pub fn text(&self, scrape: &Scrape) -> Result<Vec<u8>> {
        let mut out = Families(ProcessCollector::for_self().collect());
        self.families(&mut out);
        scrape.families(&mut out);
        let Families(mut families) = out;
        families.sort_by(|a, b| a.name().cmp(b.name()));
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }

    fn families(&self, out: &mut Families) {
        self.requests.families(out);
        self.connections.families(out);
        self.would_refuse.families(out);
        out.counter(
            "admitted_unknown_total",
            "Requests of unknown clients that known-only let in, because they are in the share set by --admit-unknown.",
            self.admitted.get(0),
        );
        let [succeeded, failed] = self.reloads.each_ref().map(|count| count.load(Relaxed));
        out.counters(
            "config_reload_total",
            "Reloads of the configuration. A failed one changed nothing: the gate goes on with what it had.",
            &["outcome"],
            each([("succeeded", succeeded), ("failed", failed)]),
        );
        out.counter(
            "known_files_looks_total",
            "Looks at the files of known customers, about one a second. It stands still while their file system hangs.",
            self.looks.load(Relaxed),
        );
    }
}
