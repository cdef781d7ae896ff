//! The two clocks of the gate: a monotonic one for limits and deadlines, the wall clock for people.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tidegate_limit::Now;

/// Nanoseconds since the first call in this process. One start for every quota, so that a new
/// quota reads the counters of the old one on the same scale.
pub fn now() -> Now {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    Now::from_nanos(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
}

/// Whole seconds since the Unix epoch; zero when the wall clock stands before it.
pub fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
