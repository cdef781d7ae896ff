use super::{
    HOUR, MILLI, NOW, SECOND, allowed, crowded, key, model, one_bucket, quota, sweeper, taker,
    tracked,
};

/// Times that have passed, with a tie for the earliest one.
const PASSED: [u64; 8] = [
    NOW - 5 * SECOND,
    NOW - 9 * SECOND,
    NOW - 3 * SECOND,
    NOW - 9 * SECOND,
    NOW - 7 * SECOND,
    NOW - 8 * SECOND,
    NOW - 2 * SECOND,
    NOW,
];

#[test]
fn one_key_gets_one_entry_in_an_empty_bucket() {
    model(|| {
        let table = one_bucket();
        let threads = [(); 2].map(|()| taker(&table, quota(SECOND, 1), key(0), NOW));
        assert_eq!((allowed(threads), tracked(&table, NOW)), (1, 1));
        assert_eq!(table.evictions(), 0);
    });
}

#[test]
fn one_key_gets_one_entry_over_those_that_have_passed() {
    model(|| {
        let table = crowded(PASSED);
        let threads = [(); 3].map(|()| taker(&table, quota(SECOND, 1), key(0), NOW));
        assert_eq!((allowed(threads), tracked(&table, NOW)), (1, 1));
        assert_eq!(table.evictions(), 0);
    });
}

#[test]
fn keys_that_want_one_victim_get_a_slot_each() {
    model(|| {
        let table = crowded(PASSED);
        let threads = [0, 1].map(|client| taker(&table, quota(SECOND, 1), key(client), NOW));
        assert_eq!((allowed(threads), tracked(&table, NOW)), (2, 2));
        assert_eq!(table.evictions(), 0);
    });
}

#[test]
fn a_stranger_that_takes_the_victim_splits_no_key() {
    for table in [one_bucket, || crowded(PASSED)] {
        model(move || {
            let table = table();
            let threads = [0, 0, 1].map(|client| taker(&table, quota(SECOND, 1), key(client), NOW));
            assert_eq!((allowed(threads), tracked(&table, NOW)), (2, 2));
            assert_eq!(table.evictions(), 0);
        });
    }
}

#[test]
fn a_sweep_beside_insertions_splits_no_key() {
    // The sweep re-dates two slots, one after the other, to one time: which of
    // them is the earliest changes with every step.
    let old = [1, 2].map(|hours| NOW - hours * HOUR);
    model(move || {
        let mut passed = PASSED;
        passed[2..4].copy_from_slice(&old);
        let table = crowded(passed);
        let sweep = sweeper(&table, NOW);
        let threads = [(); 2].map(|()| taker(&table, quota(SECOND, 1), key(0), NOW));
        assert_eq!((allowed(threads), tracked(&table, NOW)), (1, 1));
        sweep.join().unwrap();
        assert_eq!((table.evictions(), tracked(&table, NOW)), (0, 1));
    });
}

#[test]
fn a_clock_that_lags_splits_no_key() {
    // Four of the eight have passed by one thread's clock and not by the other's.
    const LATER: u64 = NOW + 5 * MILLI;
    let passed = PASSED.map(|time| {
        if time < NOW - 5 * SECOND {
            time
        } else {
            time + 5 * SECOND + MILLI
        }
    });
    model(move || {
        let table = crowded(passed);
        let threads = [NOW, LATER].map(|now| taker(&table, quota(SECOND, 1), key(0), now));
        assert_eq!(allowed(threads), 1);
        assert_eq!(table.evictions(), 0);
    });
}
