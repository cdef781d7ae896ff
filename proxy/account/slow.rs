//! Answers that took long, for who wants to know whether apps still keep up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::sharded::Counters;

/// Answers that took longer than a bound; there is none until somebody sets it.
#[derive(Debug)]
pub struct Slow {
    /// In milliseconds.
    bound: AtomicU64,
    count: Counters,
}

impl Default for Slow {
    fn default() -> Self {
        Slow {
            bound: AtomicU64::new(u64::MAX),
            count: Counters::new(1),
        }
    }
}

impl Slow {
    /// An answer took so long.
    pub(super) fn add(&self, duration: Duration) {
        if duration.as_millis() > u128::from(self.bound.load(Relaxed)) {
            self.count.increment(0);
        }
    }

    /// Counts those that take longer than `bound` from here on, and gives how many were counted so far.
    pub fn than(&self, bound: Duration) -> u64 {
        let bound = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        self.bound.store(bound, Relaxed);
        self.count.get(0)
    }
}
