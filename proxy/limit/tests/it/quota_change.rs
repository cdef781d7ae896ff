use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tidegate_limit::{Decision, Limiter, Quota, Table};

use crate::exact::quotas;
use crate::model::{
    SECOND, at, cases, drain, is_allowed, key, n, nanos, per_hour, per_second, table,
};

fn change(table: &Arc<Table>, from: Quota, used: u32, to: Quota, now: u64) -> Limiter {
    let before = Limiter::new(from, table);
    assert!(is_allowed(before.take(key(0), n(used), at(now))));
    Limiter::new(to, table)
}

#[test]
fn what_was_used_is_kept() {
    // Used up: two seconds to full, which are two seconds of the new quota too.
    let after = change(&table(4), per_second(10, 20), 20, per_second(100, 200), 5);
    assert_eq!(after.peek(key(0), at(5)), 0);
    // Half used: one second.
    let after = change(&table(4), per_second(10, 20), 10, per_second(1, 20), 5);
    assert_eq!(after.peek(key(0), at(5)), 19);
    // Unused clients notice nothing but the new burst.
    assert_eq!(after.peek(key(1), at(5)), 20);
}

#[test]
fn a_shorter_window_is_waited_for_once() {
    let start = 1_000 * SECOND;
    for to in [
        per_second(10, 20),
        per_second(1_000, 20),
        per_second(1_000_000, 20),
    ] {
        let after = change(&table(4), per_hour(1, 100), 100, to, start);
        let (taken, wait) = drain(&after, key(0), at(start));
        assert_eq!((taken, wait), (0, to.interval()));
        let later = at(start + nanos(wait));
        assert_eq!(drain(&after, key(0), later), (1, to.interval()));
    }
}

#[test]
fn back_and_forth_changes_nothing() {
    let table = table(4);
    let quotas = [per_second(10, 20), per_second(100, 200)];
    let limiters = quotas.map(|quota| Limiter::new(quota, &table));
    let allowed = (0..1_000).filter(|turn| {
        let limiter = &limiters[turn % 2];
        is_allowed(limiter.take(key(0), n(1), at(0)))
    });
    // Two seconds' worth: 18 times 100 ms and 10 ms, then 10 ms twice.
    assert_eq!(allowed.count(), 18 * 2 + 2);
}

proptest! {
    #![proptest_config(cases(400))]

    /// Whatever comes after whatever: nobody waits longer than the new window
    /// and one interval (or 10 ms), and the promised instant holds.
    #[test]
    fn the_wait_is_bounded_and_kept(
        quotas in prop::collection::vec(quotas(), 2..6),
        start in 0..u64::MAX / 2,
        cost in 1..1_000_001_u32,
    ) {
        let table = table(4);
        let mut now = start;
        for quota in quotas {
            let limiter = Limiter::new(quota, &table);
            let cost = n((cost - 1) % quota.burst().get() + 1);
            while is_allowed(limiter.take(key(0), cost, at(now))) {}
            let Decision::Refused { wait } = limiter.take(key(0), cost, at(now)) else {
                return Err(TestCaseError::fail("allowed after a refusal"));
            };
            let slack = quota.interval().max(Duration::from_millis(10));
            prop_assert!(wait <= quota.window() + slack, "{:?} {:?}", wait, quota);
            prop_assert!(!is_allowed(limiter.take(key(0), cost, at(now + nanos(wait) - 1))));
            now += nanos(wait);
            prop_assert!(is_allowed(limiter.take(key(0), cost, at(now))));
            // Use up what there is, for the next quota to inherit.
            let left = limiter.peek(key(0), at(now));
            if left > 0 {
                prop_assert!(is_allowed(limiter.take(key(0), n(left), at(now))));
            }
        }
    }
}

#[test]
fn a_quota_that_was_replaced_forgives_nothing() {
    let table = table(4);
    let old = Limiter::new(per_hour(1, 3), &table);
    table.put_in_force();
    let new = Limiter::new(per_hour(1, 20), &table);
    table.put_in_force();
    assert!(is_allowed(new.take(key(0), n(20), at(0))));
    // A thread that loaded its limiter before the change comes late.
    assert!(!is_allowed(old.take(key(0), n(1), at(0))));
    assert!(!is_allowed(old.look(key(0), n(1), at(0))));
    assert_eq!(new.peek(key(0), at(0)), 0, "it gave 17 tokens back");
    // The one in force still moves what is too far ahead for it.
    let newer = Limiter::new(per_hour(1, 3), &table);
    table.put_in_force();
    assert!(!is_allowed(newer.take(key(0), n(1), at(0))));
    let hours = 3 * 3600 * SECOND;
    assert_eq!(newer.peek(key(0), at(hours)), 3);
}
