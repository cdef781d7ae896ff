use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use proptest::test_runner::{Config as ProptestConfig, RngSeed};
use tidegate_limit::{Decision, Domain, Key, KeyHasher, Limiter, Now, Quota, Table};

pub const SECOND: u64 = 1_000_000_000;
pub const HOUR: u64 = 3600 * SECOND;

/// The lengths of the two rings, in nanoseconds.
pub const FINE_RING: u64 = (1 << 39) * 20;
pub const COARSE_RING: u64 = (1 << 39) * 2_000;

pub fn n(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

pub fn at(nanos: u64) -> Now {
    Now::from_nanos(nanos)
}

/// So many random cases, the same in every run.
pub fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// The same keys in every run.
pub fn key(number: u64) -> Key {
    KeyHasher::from_secret(1, 2).key(Domain::Client, &number.to_ne_bytes())
}

/// `count` a second.
pub fn per_second(count: u32, burst: u32) -> Quota {
    Quota::new(n(count), Duration::from_secs(1), n(burst)).unwrap()
}

/// `count` an hour.
pub fn per_hour(count: u32, burst: u32) -> Quota {
    Quota::new(n(count), Duration::from_secs(3600), n(burst)).unwrap()
}

pub fn table(max_tracked: usize) -> Arc<Table> {
    Arc::new(Table::new(max_tracked).unwrap())
}

pub fn is_allowed(decision: Decision) -> bool {
    matches!(decision, Decision::Allowed { .. })
}

pub fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap()
}

/// Takes single tokens until refused; how many there were, and the wait then.
pub fn drain(limiter: &Limiter, key: Key, now: Now) -> (u32, Duration) {
    let mut taken = 0;
    loop {
        match limiter.take(key, n(1), now) {
            Decision::Allowed { .. } => taken += 1,
            Decision::Refused { wait } => return (taken, wait),
        }
    }
}

/// One key's GCRA with the enforced interval, on numbers that never wrap.
#[derive(Clone, Debug)]
pub struct Model {
    interval: u128,
    burst: u128,
    unit: u128,
    full_at: u128,
}

impl Model {
    pub fn new(quota: &Quota) -> Self {
        let interval = quota.interval().as_nanos();
        Self {
            interval,
            burst: quota.burst().get().into(),
            unit: unit(quota).into(),
            full_at: 0,
        }
    }

    pub fn take(&mut self, cost: NonZeroU32, now: Now) -> Decision {
        let now = u128::from(now.as_nanos());
        let whole = now - now % self.unit;
        let (cost, window) = (u128::from(cost.get()), self.burst * self.interval);
        if cost > self.burst {
            let wait = duration(window);
            return Decision::Refused { wait };
        }
        let full_at = self.full_at.max(whole) + cost * self.interval;
        if full_at > whole + window {
            let wait = duration(full_at - window - now);
            return Decision::Refused { wait };
        }
        self.full_at = full_at;
        let remaining = (whole + window - full_at) / self.interval;
        Decision::Allowed {
            remaining: remaining.try_into().unwrap(),
        }
    }
}

/// The quantum of a quota's times.
pub fn unit(quota: &Quota) -> u64 {
    if quota.interval() < Duration::from_micros(200) {
        20
    } else {
        2_000
    }
}

fn duration(nanos: u128) -> Duration {
    Duration::from_nanos(nanos.try_into().unwrap())
}
