//! One total with a limit.

use std::sync::Arc;

use crate::atomic::{AtomicU32, Ordering};

/// How many of one thing are in use in all, such as open connections.
///
/// Exact: never more than the limit, and nobody is refused while a place is
/// free. Lock-free.
///
/// # Synchronization
/// Relaxed throughout: the number is all there is, and its modification order
/// alone keeps it within the limit.
#[derive(Debug, Default)]
pub struct Gauge {
    in_use: AtomicU32,
}

/// One place in a [`Gauge`], given back when dropped.
#[derive(Debug)]
#[must_use = "dropping a permit gives its place back"]
pub struct GaugePermit {
    gauge: Arc<Gauge>,
}

impl Gauge {
    /// A gauge at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a place, if fewer than `max` are taken.
    ///
    /// The limit is given each time, so that it can change: when it falls below
    /// what is in use, nobody is thrown out, and nobody let in.
    pub fn try_acquire(self: &Arc<Self>, max: u32) -> Option<GaugePermit> {
        let grown = |in_use: u32| (in_use < max).then(|| in_use.saturating_add(1));
        self.in_use
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)
            .ok()?;
        let gauge = Arc::clone(self);
        Some(GaugePermit { gauge })
    }

    /// How many places are taken.
    #[must_use]
    pub fn get(&self) -> u32 {
        self.in_use.load(Ordering::Relaxed)
    }
}

impl Drop for GaugePermit {
    fn drop(&mut self) {
        self.gauge.in_use.fetch_sub(1, Ordering::Relaxed);
    }
}
