//! Where governor's arithmetic meets the table.
//!
//! GCRA looks only at differences between times. governor is therefore run with
//! a clock that stands at zero: the time of a decision is its zero, and the
//! store hands it the key's theoretical arrival time as a distance from there.
//! The time travels to the store with the key. Nothing depends on when a limiter
//! was made, so counters survive a change of quotas, and every sum that governor
//! forms is below a month, so nothing overflows at any time.
//!
//! Nor does GCRA look at the unit. What governor takes for a nanosecond is a unit
//! of the quota's grain, in which entries keep their times anyway: neither side
//! converts for the other.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;

use crate::key::Key;
use crate::quota::Quota;
use crate::ring::Reading;
use crate::table::{LEAST_SLACK, Table, Terms};
use crate::time::Now;

/// One quota over a shared table.
///
/// Cheap to build. To change a quota, build a new limiter over the same table:
/// what keys have used is kept. As the table keeps a time (when the bucket is
/// full again) and not a number of tokens, used tokens weigh what they weighed
/// in time: a client that has to wait two seconds for a full bucket still has to
/// under the new quota. A time further ahead than the new window is moved to
/// the window's end, so that after a change nobody waits longer than the new
/// window and one interval (at least 10 ms).
pub struct Limiter {
    quota: Quota,
    shared: Shared,
    cells: RateLimiter<Ask, Shared, Standstill, StateInformationMiddleware>,
}

/// What a [`Limiter`] decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// The tokens were taken.
    Allowed {
        /// How many more could be taken now.
        remaining: u32,
    },
    /// There are not enough tokens, and none were taken.
    Refused {
        /// How long until there are, if nobody else takes any: the same request
        /// is refused one nanosecond earlier and allowed then.
        wait: Duration,
    },
}

impl Limiter {
    /// Limits the keys in `table` to `quota`.
    #[must_use]
    pub fn new(quota: Quota, table: &Arc<Table>) -> Self {
        let shared = Shared {
            table: Arc::clone(table),
            terms: Terms {
                grain: quota.grain(),
                window: nanos(quota.cells().burst_size_replenished_in()),
                slack: interval(&quota).max(quota.grain().units_up(LEAST_SLACK)),
            },
        };
        Self {
            quota,
            cells: RateLimiter::new(quota.cells(), shared.clone(), Standstill),
            shared,
        }
    }

    /// The quota.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Takes `cost` tokens of `key`, all or none.
    ///
    /// A key belongs to one limit: limiters with different quotas that take from
    /// one key at the same time clamp each other's counters. Where a client has
    /// two limits, give it a key in a [`Domain`](crate::Domain) for each.
    ///
    /// A `cost` above the burst can never be had. It is refused with the window
    /// as the wait; configuration should not let it come to that.
    ///
    /// Takes no lock and allocates nothing; a refusal writes nothing either (but
    /// the first after a change of quotas).
    pub fn take(&self, key: Key, cost: NonZeroU32, now: Now) -> Decision {
        if cost > self.quota.burst() {
            return self.refused_for_good();
        }
        match self.cells.check_key_n(&Ask { key, now }, cost) {
            Ok(Ok(state)) => Decision::Allowed {
                remaining: state.remaining_burst_capacity(),
            },
            Ok(Err(not_until)) => {
                // governor counts from the last whole unit, the caller from now.
                let grain = self.quota.grain();
                let wait = not_until.earliest_possible().as_u64() * grain.unit();
                let wait = wait.saturating_sub(Reading::at(now, grain).rest());
                Decision::Refused {
                    wait: Duration::from_nanos(wait),
                }
            }
            Err(_above_burst) => self.refused_for_good(),
        }
    }

    #[cold]
    fn refused_for_good(&self) -> Decision {
        Decision::Refused {
            wait: self.quota.window(),
        }
    }

    /// Starts to fetch what [`take`](Limiter::take) will read about `key` into the
    /// processor's cache, and does not wait for it. It pays where something else
    /// comes between the two, if only the reading of a clock: with a million
    /// clients most of a decision's time is spent waiting for memory.
    ///
    /// Only a hint: without effect on any decision, and none at all on processors
    /// other than x86-64.
    #[inline]
    pub fn prefetch(&self, key: Key) {
        self.shared.table.prefetch(key);
    }

    /// How many tokens `key` could take now. Takes none and writes nothing.
    #[must_use]
    pub fn peek(&self, key: Key, now: Now) -> u32 {
        let Shared { table, terms } = &self.shared;
        let free = terms.window - table.ahead(key, now, terms);
        (free / interval(&self.quota).max(1)) as u32
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}

/// What governor asks its store about: a key, and the time that its clock does
/// not tell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Ask {
    key: Key,
    now: Now,
}

/// The table as governor's store, on one quota's terms.
#[derive(Clone)]
struct Shared {
    table: Arc<Table>,
    terms: Terms,
}

impl StateStore for Shared {
    type Key = Ask;

    fn measure_and_replace<T, F, E>(&self, ask: &Ask, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.table.decide(ask.key, ask.now, &self.terms, |ahead| {
            let (outcome, ahead) = decide(ahead.map(Nanos::from))?;
            Ok((outcome, ahead.as_u64()))
        })
    }
}

/// governor's clock: every decision is made at its zero.
#[derive(Debug)]
struct Standstill;

impl Clock for Standstill {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(0)
    }
}

/// A quota's interval in units of its grain.
fn interval(quota: &Quota) -> u64 {
    nanos(quota.cells().replenish_interval())
}

/// A quota's durations are at most ten days: nothing is cut off.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
