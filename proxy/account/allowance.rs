//! How many bytes a second the process may write, all together, and what became of what it would have
//! written.
//!
//! Of the budget an eighth is left to what may come at once and to summaries, which therefore are
//! always within it. Neither the access log nor the gate's own messages can take all of the rest: the
//! one has room to tell of a flood, the other of what an operator does meanwhile.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::counts::{Class, Counts};

/// What may be written at once with a small budget: three quarters of it are the longest line.
const LONGEST: u64 = 6144;

/// Shared by all that writes.
#[derive(Debug)]
pub struct Allowance {
    buckets: ArcSwap<Buckets>,
    /// What became of lines.
    pub counts: Counts,
}

#[derive(Debug)]
struct Buckets {
    budget: u64,
    all: DefaultDirectRateLimiter,
    access: DefaultDirectRateLimiter,
    messages: DefaultDirectRateLimiter,
}

impl Allowance {
    /// So many bytes a second.
    pub fn new(budget: u64) -> Arc<Self> {
        Arc::new(Allowance {
            buckets: ArcSwap::from_pointee(Buckets::new(budget)),
            counts: Counts::default(),
        })
    }

    /// So many bytes a second from now on.
    pub fn set(&self, budget: u64) {
        if self.buckets.load().budget != budget {
            self.buckets.store(Arc::new(Buckets::new(budget)));
        }
    }

    /// Bytes of a message: so many that another one may come at once with it.
    pub(super) fn longest_message(&self) -> usize {
        let at_once = at_once(self.buckets.load().budget);
        usize::try_from(at_once * 3 / 8).unwrap_or(usize::MAX)
    }

    /// Whether so many bytes may be written now.
    pub(super) fn take(&self, class: Class, bytes: usize) -> bool {
        let buckets = self.buckets.load();
        let own = match class {
            Class::Message => &buckets.messages,
            Class::Forwarded | Class::Refused | Class::Failed | Class::Connection => {
                &buckets.access
            }
        };
        let Some(bytes) = u32::try_from(bytes).ok().and_then(NonZeroU32::new) else {
            return false;
        };
        // A line that is longer than what may come at once never passes.
        let has = |bucket: &DefaultDirectRateLimiter| matches!(bucket.check_n(bytes), Ok(Ok(())));
        has(own) && has(&buckets.all)
    }
}

/// What may be written at once.
fn at_once(budget: u64) -> u64 {
    (budget / 8).max(LONGEST)
}

impl Buckets {
    fn new(budget: u64) -> Self {
        let at_once = at_once(budget);
        Buckets {
            budget,
            all: bucket(budget * 7 / 8, at_once),
            // What is left of the whole is the messages' alone, and the other way round.
            access: bucket(budget * 6 / 8, at_once * 3 / 4),
            messages: bucket(budget * 4 / 8, at_once * 3 / 4),
        }
    }
}

fn bucket(bytes_a_second: u64, at_once: u64) -> DefaultDirectRateLimiter {
    // Rounded up, so that it is never more than was asked for.
    let period = Duration::from_nanos(1_000_000_000_u64.div_ceil(bytes_a_second.max(1)));
    let at_once = u32::try_from(at_once).unwrap_or(u32::MAX);
    let at_once = NonZeroU32::new(at_once).unwrap_or(NonZeroU32::MIN);
    // `None` only for a period of nothing.
    let quota = Quota::with_period(period).unwrap_or_else(|| Quota::per_second(at_once));
    RateLimiter::direct(quota.allow_burst(at_once))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Bytes of lines of 300 that pass in a while.
    fn flood(allowance: &Allowance, class: Class, while_: Duration) -> f64 {
        let start = Instant::now();
        let mut bytes = 0.0;
        while start.elapsed() < while_ {
            if allowance.take(class, 300) {
                bytes += 300.0;
            }
        }
        bytes
    }

    #[test]
    fn a_flood_of_lines_stays_below_the_budget_and_leaves_room_for_a_message() {
        const BUDGET: f64 = 256.0 * 1024.0;
        let allowance = Allowance::new(BUDGET as u64);
        let start = Instant::now();
        let written = flood(&allowance, Class::Refused, Duration::from_millis(300));
        let share = BUDGET / 8.0 + BUDGET * 7.0 / 8.0 * start.elapsed().as_secs_f64();
        assert!(written <= share, "{written} bytes of {share}");
        assert!(written >= share / 2.0, "{written} bytes of {share}");
        assert!(allowance.take(Class::Message, 300), "a message is starved");
    }

    #[test]
    fn messages_leave_room_for_lines() {
        let allowance = Allowance::new(64 * 1024);
        flood(&allowance, Class::Message, Duration::from_millis(100));
        assert!(allowance.take(Class::Refused, 300));
    }

    #[test]
    fn every_budget_lets_a_line_pass() {
        for budget in [1024, 64 << 10, 1 << 30, 1 << 40] {
            let allowance = Allowance::new(budget);
            assert!(allowance.take(Class::Refused, 2000), "{budget}");
            assert!(allowance.take(Class::Message, 2000), "{budget}");
            assert!(!allowance.take(Class::Refused, usize::MAX));
        }
    }

    #[test]
    fn another_budget_is_in_force_at_once() {
        let allowance = Allowance::new(1024);
        while allowance.take(Class::Refused, 300) {}
        allowance.set(1024);
        assert!(!allowance.take(Class::Refused, 300), "it is the same");
        allowance.set(1 << 20);
        assert!(allowance.take(Class::Refused, 3000));
    }
}
