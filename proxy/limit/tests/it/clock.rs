use std::time::Duration;

use tidegate_limit::{Decision, Limiter, Now};

use crate::model::{
    COARSE_RING, FINE_RING, HOUR, SECOND, at, drain, is_allowed, key, n, nanos, per_hour,
    per_second, table,
};

#[test]
fn standing_still_refills_nothing() {
    let limiter = Limiter::new(per_second(1_000_000, 50), &table(4));
    assert_eq!(drain(&limiter, key(0), at(77)).0, 50);
    assert_eq!(drain(&limiter, key(0), at(77)).0, 0);
}

#[test]
fn going_back_gives_nothing_and_forgets_nothing() {
    for quota in [per_second(1_000_000, 50), per_second(10, 20)] {
        let limiter = Limiter::new(quota, &table(4));
        let now = 100 * SECOND;
        drain(&limiter, key(0), at(now));
        // A thread that was suspended for a long time between reading the clock
        // and asking must not move the counter back for everybody.
        for lag in [1, 999, 1_000_000, SECOND, 60 * SECOND] {
            let (taken, wait) = drain(&limiter, key(0), at(now - lag));
            assert_eq!(
                (taken, wait),
                (0, quota.interval() + Duration::from_nanos(lag))
            );
        }
        assert_eq!(drain(&limiter, key(0), at(now)), (0, quota.interval()));
    }
}

#[test]
fn going_back_by_hours_gives_one_burst_at_most() {
    // Coarse entries stay ahead for days. Fine ones look passed beyond 10
    // minutes: they start afresh, and are as strict from then on.
    for (quota, again) in [(per_second(10, 20), 0), (per_second(100_000, 50), 50)] {
        for lag in [HOUR / 2, HOUR, 5 * HOUR / 2] {
            let table = table(4);
            let limiter = Limiter::new(quota, &table);
            let (now, before) = (at(10 * HOUR), at(10 * HOUR - lag));
            assert_eq!(drain(&limiter, key(0), now).0, quota.burst().get());
            assert_eq!(drain(&limiter, key(0), before).0, again, "{quota:?}, {lag}");
            assert_eq!(drain(&limiter, key(0), before).0, 0, "{quota:?}, {lag}");
            // Others are served at the earlier time as at any.
            assert_eq!(drain(&limiter, key(1), before).0, quota.burst().get());
            assert_eq!(drain(&limiter, key(1), before).0, 0);
            assert_eq!(table.evictions(), 0);
        }
    }
}

#[test]
fn no_time_panics_or_forgets() {
    for quota in [
        per_second(1_000_000, 1_000_000),
        per_second(10, 20),
        per_hour(1, 200),
    ] {
        for nanos in [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
            let table = table(4);
            let limiter = Limiter::new(quota, &table);
            let all = limiter.take(key(0), quota.burst(), at(nanos));
            assert_eq!(all, Decision::Allowed { remaining: 0 });
            assert!(!is_allowed(limiter.take(key(0), n(1), at(nanos))));
            assert_eq!(limiter.peek(key(0), at(nanos)), 0);
            assert_eq!(table.tracked(at(nanos)), 1);
            table.sweep(at(nanos));
            assert!(!is_allowed(limiter.take(key(0), n(1), at(nanos))));
        }
    }
}

#[test]
fn jumps_between_the_ends_of_time_do_not_panic() {
    let table = table(1);
    let limiters =
        [per_second(1_000_000, 9), per_hour(1, 9)].map(|quota| Limiter::new(quota, &table));
    let times = [
        0,
        u64::MAX,
        1,
        FINE_RING,
        u64::MAX - COARSE_RING,
        COARSE_RING,
    ];
    for turn in 0..600_u64 {
        let now = Now::from_nanos(times[turn as usize % times.len()]);
        let limiter = &limiters[turn as usize / 7 % 2];
        let _ = limiter.take(key(turn % 11), n(1 + turn as u32 % 9), now);
        let _ = (limiter.peek(key(turn % 11), now), table.tracked(now));
        table.sweep(now);
    }
}

#[test]
fn swept_entries_do_not_come_back_as_ghosts() {
    for (quota, ring) in [
        (per_second(100_000, 50), FINE_RING),
        (per_second(10, 20), COARSE_RING),
    ] {
        let table = table(16);
        let limiter = Limiter::new(quota, &table);
        let start = 3 * SECOND;
        for client in 0..8 {
            drain(&limiter, key(client), at(start));
        }
        assert_eq!(table.tracked(at(start)), 8);
        let mut now = start;
        while now + HOUR < start + 2 * ring {
            now += HOUR;
            table.sweep(at(now));
            assert_eq!(table.tracked(at(now)), 0);
        }
        // Exactly two rounds later: the times would look as they did then.
        let now = at(start + 2 * ring);
        table.sweep(now);
        for client in 0..8 {
            assert_eq!(drain(&limiter, key(client), now).0, quota.burst().get());
        }
        assert_eq!(table.evictions(), 0);
    }
}

#[test]
fn a_sweep_leaves_live_entries_alone() {
    let table = table(16);
    let limiter = Limiter::new(per_hour(10, 10), &table);
    drain(&limiter, key(0), at(0));
    for minute in 1..=60 {
        let now = at(minute * HOUR / 60);
        table.sweep(now);
        let due = u32::from(minute % 6 == 0);
        assert_eq!(drain(&limiter, key(0), now).0, due);
    }
}

#[test]
fn an_entry_is_tracked_until_its_bucket_is_full() {
    let table = table(16);
    let quota = per_second(10, 20);
    let limiter = Limiter::new(quota, &table);
    drain(&limiter, key(0), at(0));
    assert_eq!(table.tracked(at(nanos(quota.window()) - 1)), 1);
    assert_eq!(table.tracked(at(nanos(quota.window()))), 0);
}
