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
    at(Instant::now())
}

/// As [`now`], for a time that was just read.
pub fn at(instant: Instant) -> Now {
    let elapsed = instant.saturating_duration_since(*START.get_or_init(|| instant));
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

/// Nanoseconds on CLOCK_MONOTONIC.
pub fn monotonic() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// The time that has really passed, in milliseconds: also while the machine slept.
fn passed_millis() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let millis = u64::try_from(time.tv_nsec).unwrap_or_default() / 1_000_000;
    seconds.saturating_mul(1000).saturating_add(millis)
}

/// Sees when the wall clock is set: what is to last for a time must not end because of it.
#[derive(Clone, Copy, Debug)]
pub struct Jumps {
    /// What the wall clock showed when nothing had passed.
    offset: i64,
}

/// Seconds by which the wall clock has to jump to be seen: a smaller step changes little.
const JUMP: i64 = 2;

impl Jumps {
    /// From here on.
    pub fn from_now() -> Self {
        Jumps {
            offset: offset(unix_millis(), passed_millis()),
        }
    }

    /// By how many seconds the wall clock has jumped since this was last asked, if it has.
    pub fn look(&mut self) -> Option<i64> {
        self.look_at(unix_millis(), passed_millis())
    }

    fn look_at(&mut self, wall: u64, passed: u64) -> Option<i64> {
        let now = offset(wall, passed);
        let seconds = (now - self.offset) / 1000;
        if seconds.abs() < JUMP {
            return None;
        }
        self.offset += seconds * 1000;
        Some(seconds)
    }
}

fn offset(wall: u64, passed: u64) -> i64 {
    let signed = |millis: u64| i64::try_from(millis).unwrap_or(i64::MAX);
    signed(wall).saturating_sub(signed(passed))
}

/// Whole seconds since the Unix epoch; zero when the wall clock stands before it.
pub fn unix_seconds() -> u64 {
    since_unix_epoch().as_secs()
}

/// As [`unix_seconds`], at the system's last tick some milliseconds ago: for what each request asks, in a
/// fifth of the time.
pub fn unix_seconds_at_tick() -> u64 {
    u64::try_from(clock_gettime(ClockId::RealtimeCoarse).tv_sec).unwrap_or_default()
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
    fn a_wall_clock_that_is_set_is_seen_and_one_that_drifts_is_not() {
        let mut jumps = Jumps {
            offset: offset(1_000_000, 0),
        };
        assert_eq!(jumps.look_at(1_000_100, 100), None);
        assert_eq!(
            jumps.look_at(1_001_900, 1_000),
            None,
            "less than two seconds"
        );
        assert_eq!(jumps.look_at(2_801_900, 2_000), Some(1_799));
        assert_eq!(jumps.look_at(2_802_900, 3_000), None, "once");
        assert_eq!(jumps.look_at(0, 4_000), Some(-2_803));
        assert_eq!(Jumps::from_now().look(), None);
    }

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
