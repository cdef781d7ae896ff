use tidegate_limit::{Limiter, Table, TableError};

use crate::model::{HOUR, SECOND, at, is_allowed, key, n, per_hour, per_second, table};

#[test]
fn evictions_are_counted_and_bound_the_excess() {
    let table = table(1);
    let quota = per_hour(1, 5);
    let limiter = Limiter::new(quota, &table);
    let keys = 100;
    let mut allowed = 0;
    for round in 0..20 {
        for client in 0..keys {
            let now = at(round * SECOND);
            allowed += u64::from(is_allowed(limiter.take(key(client), n(1), now)));
        }
    }
    let burst = u64::from(quota.burst().get());
    assert!(table.evictions() > 0);
    assert!(allowed <= keys * burst + burst * table.evictions());
}

#[test]
fn eight_clients_fit_a_bucket() {
    let table = table(1);
    let limiter = Limiter::new(per_hour(1, 1), &table);
    for client in 0..8 {
        assert!(is_allowed(limiter.take(key(client), n(1), at(0))));
    }
    for client in 0..8 {
        assert!(!is_allowed(limiter.take(key(client), n(1), at(0))));
    }
    assert_eq!((table.evictions(), table.tracked(at(0))), (0, 8));
    assert!(is_allowed(limiter.take(key(8), n(1), at(0))));
    assert_eq!((table.evictions(), table.tracked(at(0))), (1, 8));
}

#[test]
fn passed_entries_make_room_without_being_counted() {
    let table = table(1);
    let limiter = Limiter::new(per_hour(1, 1), &table);
    for client in 0..80 {
        let now = at(client / 8 * HOUR);
        assert!(is_allowed(limiter.take(key(client), n(1), now)));
        assert!(!is_allowed(limiter.take(key(client), n(1), now)));
    }
    assert_eq!(table.evictions(), 0);
}

#[test]
fn the_well_behaved_are_not_throttled() {
    let table = table(1);
    let limiter = Limiter::new(per_second(10, 20), &table);
    for tick in 0..2_000_u64 {
        let now = at(tick * SECOND / 10);
        // Forty abusers, each far over its quota, in the only bucket there is.
        for abuser in 0..40 {
            let _ = limiter.take(key(1_000 + abuser), n(1 + abuser as u32 % 20), now);
        }
        // One request in two seconds.
        if tick % 20 == 0 {
            assert!(is_allowed(limiter.take(key(0), n(1), now)));
        }
    }
    assert!(table.evictions() > 0);
}

#[test]
fn a_table_that_is_sized_right_evicts_next_to_nobody() {
    let clients = 20_000;
    let table = table(clients);
    let limiter = Limiter::new(per_hour(1, 1), &table);
    for client in 0..clients as u64 {
        assert!(is_allowed(limiter.take(key(client), n(1), at(0))));
    }
    // Overflow of a quarter-full bucket: 1.5e-4, of 10,000 buckets.
    assert!(table.evictions() <= 10, "{}", table.evictions());
    assert_eq!(
        table.tracked(at(0)) as u64 + table.evictions(),
        clients as u64
    );
}

#[test]
fn capacity_is_what_was_asked_for() {
    for (asked, capacity) in [(0, 2), (1, 2), (2, 2), (3, 4), (1_000_000, 1_000_000)] {
        assert_eq!(Table::new(asked).unwrap().capacity(), capacity);
    }
}

#[test]
fn sizes_beyond_the_hash_are_an_error() {
    for asked in [usize::MAX, usize::MAX / 2, usize::MAX / 32] {
        let refused = Table::new(asked).unwrap_err();
        assert!(matches!(refused, TableError::TooLarge { .. }));
    }
}
