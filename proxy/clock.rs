//! The two clocks of the gate: a monotonic one for limits and deadlines, the wall clock for people.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tidegate_limit::Now;

static START: OnceLock<Instant> = OnceLock::new();

/// Nanoseconds since the start: the first call in this process, or in the first of those that took
/// over from each other. One start for every quota, so that a new quota reads the counters of the old
/// one on the same scale.
pub fn now() -> Now {
    let elapsed = START.get_or_init(Instant::now).elapsed();
    Now::from_nanos(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
}

/// The start, in nanoseconds on CLOCK_MONOTONIC, which is the same for all processes.
pub fn start() -> u64 {
    // In this order the start is not earlier than it was, so that nobody's time runs ahead.
    let now = now().as_nanos();
    monotonic().saturating_sub(now)
}

/// Makes another process's start this one's. False, and without effect, when this process has read its
/// clock already or the start is nonsense.
pub fn start_at(nanos: u64) -> bool {
    let elapsed = monotonic().checked_sub(nanos).map(Duration::from_nanos);
    let start = elapsed.and_then(|elapsed| Instant::now().checked_sub(elapsed));
    start.is_some_and(|start| START.set(start).is_ok())
}

fn monotonic() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Whole seconds since the Unix epoch; zero when the wall clock stands before it.
pub fn unix_seconds() -> u64 {
    since_unix_epoch().as_secs()
}

/// As [`unix_seconds`], in milliseconds.
pub fn unix_millis() -> u64 {
    u64::try_from(since_unix_epoch().as_millis()).unwrap_or(u64::MAX)
}

fn since_unix_epoch() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}

/// A time in whole seconds since the Unix epoch, as a log tells it (RFC 3339).
pub fn timestamp(unix_seconds: u64) -> String {
    let seconds = i64::try_from(unix_seconds).ok();
    let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| unix_seconds.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_where_it_was_and_stays_there() {
        let before = now().as_nanos();
        let since_start = monotonic() - start();
        let after = now().as_nanos();
        // The two clocks are read one after the other.
        let slack = 1_000_000_000;
        assert!(since_start + slack >= before && since_start <= after + slack);
        assert!(!start_at(start()), "the start moved under the limits' feet");
        assert!(!start_at(u64::MAX), "a start in the future");
    }
}
