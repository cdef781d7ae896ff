//! How many requests may be sent once more: a share of all, so that an upstream in trouble does not
//! get a multiple of its load.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use tidegate_config::Share;

/// Ticks, of a second each, that the share is of.
const WINDOW: usize = 10;
/// Retries in as many ticks that any number of requests allows: a share of few would be none.
const ALWAYS: u64 = 20;

/// Requests and retries, in all.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    requests: u64,
    retries: u64,
}

/// The budget of one upstream's retries.
#[derive(Debug)]
pub(super) struct Budget {
    share: Share,
    requests: AtomicU64,
    retries: AtomicU64,
    refused: AtomicU64,
    /// What both were at the beginning of the window.
    requests_before: AtomicU64,
    retries_before: AtomicU64,
    /// What both were at the last ticks.
    ticks: Mutex<VecDeque<Count>>,
}

impl Budget {
    pub(super) fn new(share: Share) -> Self {
        Budget {
            share,
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            requests_before: AtomicU64::new(0),
            retries_before: AtomicU64::new(0),
            ticks: Mutex::new(VecDeque::from([Count::default()])),
        }
    }

    /// There is a request.
    pub(super) fn asked(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// Takes a retry out of the budget, if there is one left.
    pub(super) fn take(&self) -> bool {
        let before = self.requests_before.load(Relaxed);
        let requests = self.requests.load(Relaxed).saturating_sub(before);
        let share =
            requests.saturating_mul(u64::from(self.share.parts())) / u64::from(Share::WHOLE);
        let allowed = match self.share {
            Share::NONE => 0,
            _ => share.max(ALWAYS),
        };
        let most = self.retries_before.load(Relaxed).saturating_add(allowed);
        let next = |made: u64| (made < most).then_some(made.saturating_add(1));
        let taken = self.retries.fetch_update(Relaxed, Relaxed, next).is_ok();
        if !taken {
            self.refused.fetch_add(1, Relaxed);
        }
        taken
    }

    /// A second has passed.
    pub(super) fn tick(&self) {
        let mut ticks = self.ticks.lock().unwrap_or_else(PoisonError::into_inner);
        ticks.push_back(Count {
            requests: self.requests.load(Relaxed),
            retries: self.retries.load(Relaxed),
        });
        if ticks.len() > WINDOW {
            ticks.pop_front();
        }
        if let Some(oldest) = ticks.front() {
            self.requests_before.store(oldest.requests, Relaxed);
            self.retries_before.store(oldest.retries, Relaxed);
        }
    }

    /// Retries so far, and those that it did not allow.
    pub(super) fn counts(&self) -> [u64; 2] {
        [&self.retries, &self.refused].map(|counter| counter.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(share: &str) -> Budget {
        Budget::new(share.parse().unwrap())
    }

    /// How many of 10,000 it allows.
    fn allowed(budget: &Budget) -> usize {
        (0..10_000).filter(|_| budget.take()).count()
    }

    #[test]
    fn a_share_of_the_requests_of_the_window_may_be_repeated() {
        let budget = budget("20%");
        assert_eq!(allowed(&budget), 20, "a few without any request");
        for _ in 0..1000 {
            budget.asked();
        }
        assert_eq!(allowed(&budget), 180, "a fifth of them, with those before");
        assert_eq!(budget.counts(), [200, 19_800]);
        for tick in 1..WINDOW {
            budget.tick();
            assert_eq!(allowed(&budget), 0, "tick {tick}");
        }
        budget.tick();
        assert_eq!(allowed(&budget), 20, "they have left the window");
        for _ in 0..WINDOW {
            budget.tick();
        }
        assert_eq!(allowed(&budget), 20);
    }

    #[test]
    fn no_share_is_none_at_all_and_the_whole_is_one_each() {
        let none = budget("0%");
        none.asked();
        assert!(!none.take());
        let all = budget("100%");
        for _ in 0..100 {
            all.asked();
        }
        assert_eq!(allowed(&all), 100);
    }

    #[test]
    fn threads_that_take_at_the_same_time_do_not_take_more() {
        let budget = budget("50%");
        for _ in 0..1000 {
            budget.asked();
        }
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| allowed(&budget))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(taken, 500);
    }
}
