use tidegate_limit::{Limiter, Table};

use crate::model::{SECOND, at, drain, is_allowed, key, n, per_hour, per_second, table};

#[test]
fn a_key_goes_on_in_the_other_table_where_it_stood() {
    let start = 1_000 * SECOND;
    for quota in [
        per_second(10, 20),
        per_hour(1, 100),
        per_second(1_000_000, 20),
    ] {
        let (before, after) = (table(1_000), table(1_000));
        let (old, new) = (Limiter::new(quota, &before), Limiter::new(quota, &after));
        for number in 0..500 {
            let used = number as u32 % quota.burst().get() + 1;
            assert!(is_allowed(old.take(key(number), n(used), at(start))));
        }
        assert_eq!(after.restore(before.image(), at(start)), 500);
        for number in 0..600 {
            let here = drain(&old, key(number), at(start));
            let there = drain(&new, key(number), at(start));
            assert_eq!(here, there, "key {number} of {quota:?}");
        }
    }
}

#[test]
fn what_has_passed_is_left_out_and_cannot_come_round_the_ring() {
    let (before, after) = (table(4), table(4));
    let quota = per_second(1_000_000, 1_000);
    let old = Limiter::new(quota, &before);
    assert!(is_allowed(old.take(key(0), n(1_000), at(0))));
    assert_eq!(after.restore(before.image(), at(SECOND)), 0);
    assert!(after.image().all(|part| part == [0; 8]), "a ghost is kept");
}

#[test]
fn any_words_are_taken_and_nobody_waits_longer_than_a_window() {
    let table = table(64);
    let quota = per_second(10, 20);
    let limiter = Limiter::new(quota, &table);
    let mut word: u64 = 1;
    let garbage = std::iter::repeat_with(|| {
        [0; 8].map(|_: u64| {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            word
        })
    });
    table.restore(garbage.take(2 * table.image_parts()), at(SECOND));
    for number in 0..10_000 {
        let (_, wait) = drain(&limiter, key(number), at(SECOND));
        assert!(wait <= quota.window(), "key {number} waits {wait:?}");
    }
}

#[test]
fn an_image_has_a_part_for_each_bucket() {
    for clients in [1, 4, 1_000] {
        let table = Table::new(clients).unwrap();
        assert_eq!(table.image().count(), table.image_parts());
        assert_eq!(table.image_parts() * 2, table.capacity());
    }
}
