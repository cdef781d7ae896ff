use std::time::Duration;

use proptest::prelude::*;
use tidegate_limit::{Decision, Limiter, Quota, Table};

use crate::model::{
    COARSE_RING, FINE_RING, HOUR, Model, at, cases, is_allowed, key, n, nanos, per_second, table,
    unit,
};

/// One request of a schedule.
#[derive(Clone, Debug)]
struct Step {
    /// How much later than the one before, in 1/1000 of an interval ...
    intervals: u64,
    /// ... or, for a few, of a window.
    windows: u64,
    client: u64,
    /// In 1/1000 of the burst.
    cost: u64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let windows = prop_oneof![9 => Just(0), 1 => 0..2_000_u64];
    let cost = prop_oneof![3 => Just(0), 1 => 0..1_100_u64];
    let step = (0..2_500_u64, windows, 0..3_u64, cost);
    let step = step.prop_map(|(intervals, windows, client, cost)| Step {
        intervals,
        windows,
        client,
        cost,
    });
    prop::collection::vec(step, 1..60)
}

/// Any quota that can be built.
pub fn quotas() -> impl Strategy<Value = Quota> {
    let seconds = prop_oneof![Just(1), Just(60), Just(3600)];
    let burst = prop_oneof![4 => 1..50_u32, 1 => 1..=1_000_000_u32];
    let quota = (1..=1_000_000_u32, seconds, burst);
    quota.prop_filter_map("beyond a bound", |(count, seconds, burst)| {
        let per = Duration::from_secs(seconds);
        Quota::new(n(count), per, n(burst)).ok()
    })
}

/// Anywhere, but often shortly before a ring wraps.
fn starts() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        0..100 * COARSE_RING,
        (1..9_u64, 0..HOUR).prop_map(|(round, before)| round * COARSE_RING - before),
        (1..9_u64, 0..HOUR / 60).prop_map(|(round, before)| round * FINE_RING - before),
    ]
}

/// Moves on, sweeping as often as the traffic's upkeep would have at least.
fn advance(table: &Table, now: &mut u64, by: u64) {
    let end = *now + by;
    while end - *now > 2 * HOUR {
        *now += 2 * HOUR;
        table.sweep(at(*now));
    }
    *now = end;
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn decides_as_the_model(quota in quotas(), start in starts(), steps in steps()) {
        let table = table(4);
        let limiter = Limiter::new(quota, &table);
        let mut models = [(); 3].map(|()| Model::new(&quota));
        let mut now = start;
        for step in steps {
            let by = nanos(quota.interval()) * step.intervals / 1_000
                + nanos(quota.window()) / 1_000 * step.windows;
            advance(&table, &mut now, by);
            let cost = n((u64::from(quota.burst().get()) * step.cost / 1_000) as u32 + 1);
            let model = &mut models[step.client as usize];
            let expected = model.take(cost, at(now));
            prop_assert_eq!(limiter.take(key(step.client), cost, at(now)), expected);
        }
        prop_assert_eq!(table.evictions(), 0);
    }

    #[test]
    fn promised_instant_is_exact(quota in quotas(), start in starts(), cost in 1..1_000_001_u32) {
        let limiter = Limiter::new(quota, &table(4));
        let cost = n((cost - 1) % quota.burst().get() + 1);
        let mut now = start;
        prop_assert_eq!(
            limiter.take(key(0), quota.burst(), at(now)),
            Decision::Allowed { remaining: 0 }
        );
        for _ in 0..5 {
            let Decision::Refused { wait } = limiter.take(key(0), cost, at(now)) else {
                return Err(TestCaseError::fail("more than the burst"));
            };
            now += nanos(wait);
            let before = limiter.take(key(0), cost, at(now - 1));
            let a_moment = Duration::from_nanos(1);
            prop_assert_eq!(before, Decision::Refused { wait: a_moment });
            let then = limiter.take(key(0), cost, at(now));
            prop_assert_eq!(then, Decision::Allowed { remaining: 0 });
        }
    }

    /// The bound in the terms of the quota that was asked for, not of the
    /// interval that is enforced: `burst + rate * t`, within 1 % of the rate,
    /// and one unit of time.
    #[test]
    fn keeps_to_the_rate_asked_for(count in 1..=1_000_000_u32, burst in 2..20_u32, start in starts()) {
        let quota = Quota::new(n(count), Duration::from_secs(1), n(burst)).unwrap();
        let limiter = Limiter::new(quota, &table(4));
        let asked = 1e9 / f64::from(count);
        let step = (asked / 3.0) as u64 + 1;
        let mut allowed = 0_u32;
        for tick in 0..1_000 {
            let now = at(start + tick * step);
            allowed += u32::from(is_allowed(limiter.take(key(0), n(1), now)));
        }
        let time = (999 * step) as f64;
        let most = f64::from(burst) + (time + unit(&quota) as f64) / asked * 1.01;
        prop_assert!(f64::from(allowed) <= most, "{} of {}", allowed, most);
        let least = f64::from(burst) + time / asked * 0.99 - 2.0;
        prop_assert!(f64::from(allowed) >= least.min(1_000.0), "{} of {}", allowed, least);
    }

    #[test]
    fn peek_says_what_can_be_taken(quota in quotas(), start in starts(), cost in 1..1_000_001_u32, later in 0..3_000_u64) {
        let table = table(4);
        let limiter = Limiter::new(quota, &table);
        prop_assert_eq!(limiter.peek(key(0), at(start)), quota.burst().get());
        let cost = n((cost - 1) % quota.burst().get() + 1);
        let _ = limiter.take(key(0), cost, at(start));
        let now = at(start + nanos(quota.interval()) * later / 1_000);
        let peeked = limiter.peek(key(0), now);
        if let Some(more) = peeked.checked_add(1).filter(|more| *more <= quota.burst().get()) {
            prop_assert!(!is_allowed(limiter.take(key(0), n(more), now)));
        }
        prop_assert_eq!(limiter.peek(key(0), now), peeked);
        if peeked > 0 {
            let all = limiter.take(key(0), n(peeked), now);
            prop_assert_eq!(all, Decision::Allowed { remaining: 0 });
        }
    }
}

#[test]
fn prefetching_decides_nothing() {
    let table = table(4);
    let limiter = Limiter::new(per_second(10, 20), &table);
    for client in 0..9 {
        limiter.prefetch(key(client));
        assert_eq!(limiter.peek(key(client), at(0)), 20, "client {client}");
    }
    assert_eq!((table.tracked(at(0)), table.evictions()), (0, 0));
}
