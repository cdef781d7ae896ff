use std::time::Duration;

use tidegate_limit::{Decision, Limiter, Quota, QuotaError};

use crate::model::{HOUR, SECOND, at, drain, is_allowed, key, n, per_hour, per_second, table};

#[test]
fn rates_that_people_write_are_exact() {
    let intervals = [
        (1_000_000, 1, Duration::from_micros(1)),
        (200_000, 1, Duration::from_micros(5)),
        (1_000, 1, Duration::from_millis(1)),
        (10, 1, Duration::from_millis(100)),
        (30, 60, Duration::from_secs(2)),
        (100, 3600, Duration::from_secs(36)),
        (1, 3600, Duration::from_secs(3600)),
    ];
    for (count, seconds, interval) in intervals {
        let quota = Quota::new(n(count), Duration::from_secs(seconds), n(20)).unwrap();
        assert_eq!(quota.interval(), interval);
        assert_eq!(quota.window(), interval * 20);
        assert_eq!(quota.burst(), n(20));
    }
}

#[test]
fn every_rate_is_within_one_per_cent() {
    for count in (1..=1_000_000).step_by(997).chain(990_000..=1_000_000) {
        let enforced = 1e9 / per_second(count, 1).interval().as_nanos() as f64;
        let wrong = (enforced / f64::from(count) - 1.0).abs();
        let most = if count < 500_000 { 0.0051 } else { 0.0101 };
        assert!(wrong <= most, "{count} a second is enforced as {enforced}");
    }
}

#[test]
fn bounds_are_refused_and_named() {
    let second = Duration::from_secs(1);
    let too_fast = QuotaError::TooFast { most: 1_000_000 };
    assert_eq!(Quota::new(n(1_000_001), second, n(1)), Err(too_fast));
    assert_eq!(Quota::new(n(u32::MAX), second, n(1)), Err(too_fast));
    assert_eq!(Quota::new(n(1), Duration::ZERO, n(1)), Err(too_fast));
    let too_large = QuotaError::BurstTooLarge { most: 1_000_000 };
    assert_eq!(Quota::new(n(1), second, n(1_000_001)), Err(too_large));
    let most = Duration::from_secs(240 * 3600);
    let too_long = QuotaError::WindowTooLong { most };
    assert_eq!(Quota::new(n(1), Duration::MAX, n(1)), Err(too_long));
    assert_eq!(Quota::new(n(1), 3600 * second, n(240)), Err(too_long));
    assert!(Quota::new(n(1), 3600 * second, n(239)).is_ok());
    assert!(too_long.to_string().contains("240 hours"));
    assert!(too_fast.to_string().contains("1000000"));
    assert!(too_large.to_string().contains("1000000"));
}

#[test]
fn one_an_hour() {
    let limiter = Limiter::new(per_hour(1, 1), &table(4));
    let wait = Duration::from_secs(3600);
    assert_eq!(drain(&limiter, key(0), at(0)), (1, wait));
    assert!(!is_allowed(limiter.take(key(0), n(1), at(HOUR - 1))));
    assert!(is_allowed(limiter.take(key(0), n(1), at(HOUR))));
}

#[test]
fn a_million_a_second() {
    let limiter = Limiter::new(per_second(1_000_000, 1), &table(4));
    let start = 7 * SECOND;
    let asked = (0..30_000).map(|tick| limiter.take(key(0), n(1), at(start + tick * 100)));
    // 3 ms less 100 ns: one at once, then one each microsecond.
    assert_eq!(
        asked.filter(|decision| is_allowed(*decision)).count(),
        3_000
    );
}

#[test]
fn a_burst_of_a_million() {
    for count in [4, 1_000_000] {
        let quota = per_second(count, 1_000_000);
        let limiter = Limiter::new(quota, &table(4));
        let remaining = 999_999;
        let now = at(3);
        assert_eq!(
            limiter.take(key(0), n(1), now),
            Decision::Allowed { remaining }
        );
        assert!(!is_allowed(limiter.take(key(0), n(1_000_000), now)));
        assert!(is_allowed(limiter.take(key(0), n(remaining), now)));
        // The three nanoseconds since the last whole unit count as waited.
        let wait = quota.interval() - Duration::from_nanos(3);
        assert_eq!(drain(&limiter, key(0), now), (0, wait));
    }
}

#[test]
fn a_cost_above_the_burst_is_refused_for_a_window() {
    let quota = per_second(10, 20);
    let limiter = Limiter::new(quota, &table(4));
    let wait = quota.window();
    for cost in [21, u32::MAX] {
        assert_eq!(
            limiter.take(key(0), n(cost), at(0)),
            Decision::Refused { wait }
        );
    }
    assert_eq!(limiter.peek(key(0), at(0)), 20);
}
