//! Rates and bursts that the table can count.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::error::QuotaError;
use crate::ring::{Grain, LONGEST_WINDOW};

/// The highest rate, in tokens a second.
const MOST_PER_SECOND: u32 = 1_000_000;
/// The shortest interval between two tokens, in nanoseconds.
const SHORTEST_INTERVAL: u128 = 1_000_000_000 / MOST_PER_SECOND as u128;
/// The largest burst, in tokens.
const MOST_BURST: u32 = 1_000_000;

/// A rate and a burst: a bucket that holds `burst` tokens and gains one every
/// interval.
///
/// # Bounds
/// - Rates up to 1,000,000 a second. There is no lowest rate but the one that
///   the next bound gives.
/// - Bursts from 1 to 1,000,000.
/// - [`window`](Quota::window) plus one interval: at most ten days.
///
/// # Exactness
/// The interval is rounded to the nearest multiple of 20 ns when it is below
/// 200 us, of 2 us otherwise. The rate that is enforced is therefore the rate
/// that was asked for within 1 % (at 990,000 a second; within 0.5 % below
/// 500,000 a second, 0.01 % below 100 a second), and exact for rates such as
/// 1, 10, 50 or 1000 a second, 30 a minute, 100 an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// In governor's type, with a unit of `grain` for each of its nanoseconds:
    /// the numbers that entries keep are then the ones that GCRA works with.
    cells: governor::Quota,
    grain: Grain,
}

impl Quota {
    /// A quota of `count` tokens every `per`, of which `burst` can be saved up.
    ///
    /// # Errors
    /// One of the bounds above is exceeded.
    pub fn new(count: NonZeroU32, per: Duration, burst: NonZeroU32) -> Result<Self, QuotaError> {
        let (count, per) = (u128::from(count.get()), per.as_nanos());
        let too_fast = QuotaError::TooFast {
            most: MOST_PER_SECOND,
        };
        if per < count * SHORTEST_INTERVAL {
            return Err(too_fast);
        }
        if burst.get() > MOST_BURST {
            return Err(QuotaError::BurstTooLarge { most: MOST_BURST });
        }
        let grain = Grain::of_interval(per / count);
        let interval = nearest(per, count * u128::from(grain.unit()));
        let too_long = QuotaError::WindowTooLong {
            most: LONGEST_WINDOW,
        };
        let longest = LONGEST_WINDOW.as_nanos() / u128::from(grain.unit());
        if interval * u128::from(burst.get() + 1) > longest {
            return Err(too_long);
        }
        let interval = u64::try_from(interval).map_err(|_| too_long)?;
        let cells = governor::Quota::with_period(Duration::from_nanos(interval));
        let cells = cells.ok_or(too_fast)?;
        Ok(Self {
            cells: cells.allow_burst(burst),
            grain,
        })
    }

    /// How many tokens can be saved up.
    #[must_use]
    pub fn burst(&self) -> NonZeroU32 {
        self.cells.burst_size()
    }

    /// The time in which one token comes back, as it is enforced.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.duration(self.cells.replenish_interval())
    }

    /// The time in which an empty bucket refills whole: the longest that anybody
    /// ever has to wait.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.duration(self.cells.burst_size_replenished_in())
    }

    /// The same quota in governor's type, a unit of the grain for each of
    /// governor's nanoseconds.
    pub(crate) fn cells(&self) -> governor::Quota {
        self.cells
    }

    /// The unit in which this quota's entries are kept.
    pub(crate) fn grain(&self) -> Grain {
        self.grain
    }

    /// One of governor's durations as what it stands for: at most ten days.
    fn duration(&self, cells: Duration) -> Duration {
        let units = u64::try_from(cells.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(units.saturating_mul(self.grain.unit()))
    }
}

/// `total / parts`, rounded to the nearest whole number.
fn nearest(total: u128, parts: u128) -> u128 {
    (total + parts / 2) / parts
}
