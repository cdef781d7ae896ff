//! A statistic that many threads add to.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counters in a tally. More threads than that share them, which costs time and
/// loses nothing.
const LANES: usize = 16;

thread_local! {
    /// This thread's lane in every tally, once it has one.
    static LANE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// A number that only grows: threads add to counters of their own, so that they
/// do not wait for each other's cache line, and reading sums them up.
///
/// 2 KiB for any number of threads; adding allocates nothing.
///
/// # Synchronization
/// Relaxed throughout: it is a statistic and publishes nothing. Nothing is decided
/// by it, so that loom has nothing to explore either.
#[derive(Debug, Default)]
pub(crate) struct Tally([OwnLine<AtomicU64>; LANES]);

/// Something in a cache line of its own (two, as processors fetch in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct OwnLine<T>(pub(crate) T);

impl Tally {
    /// Adds one.
    pub(crate) fn add(&self) {
        let [first, ..] = &self.0;
        let OwnLine(lane) = self.0.get(lane()).unwrap_or(first);
        lane.fetch_add(1, Ordering::Relaxed);
    }

    /// What was added so far.
    pub(crate) fn sum(&self) -> u64 {
        let lanes = self.0.iter();
        let counts = lanes.map(|OwnLine(lane)| lane.load(Ordering::Relaxed));
        counts.fold(0, u64::wrapping_add)
    }
}

/// This thread's lane: threads take them in turn.
fn lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    LANE.get().unwrap_or_else(|| {
        let lane = NEXT.fetch_add(1, Ordering::Relaxed) % LANES;
        LANE.set(Some(lane));
        lane
    })
}

#[cfg(test)]
mod tests {
    use super::{LANES, Tally};

    #[test]
    fn more_threads_than_lanes_lose_nothing() {
        let tally = Tally::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * LANES + 1 {
                scope.spawn(|| (0..1_000).for_each(|_| tally.add()));
            }
        });
        assert_eq!(tally.sum(), (2 * LANES as u64 + 1) * 1_000);
    }

    #[test]
    fn threads_add_in_different_lanes() {
        let tally = Tally::default();
        std::thread::scope(|scope| {
            for _ in 0..LANES {
                scope.spawn(|| tally.add());
            }
        });
        let used = tally
            .0
            .iter()
            .filter(|lane| lane.0.load(std::sync::atomic::Ordering::Relaxed) > 0);
        // Other tests' threads take lanes too, so two may share one.
        assert!(used.count() > 1, "all threads add to one counter");
    }
}
