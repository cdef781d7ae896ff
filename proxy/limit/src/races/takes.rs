use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Limiter;

use super::{
    HOUR, MILLI, NOW, SECOND, allowed, crowded, key, model, one_bucket, passes, quota, sweeper,
    taker, tracked,
};

#[test]
fn the_last_token_goes_to_one() {
    model(|| {
        let table = one_bucket();
        let quota = quota(SECOND, 2);
        assert!(passes(&Limiter::new(quota, &table), key(0), NOW));
        let threads = [(); 3].map(|()| taker(&table, quota, key(0), NOW));
        assert_eq!((allowed(threads), tracked(&table, NOW)), (1, 1));
    });
}

#[test]
fn all_tokens_can_be_had_together() {
    model(|| {
        let table = one_bucket();
        let quota = quota(SECOND, 2);
        let threads = [(); 2].map(|()| taker(&table, quota, key(0), NOW));
        assert_eq!(allowed(threads), 2);
        assert!(!passes(&Limiter::new(quota, &table), key(0), NOW));
    });
}

#[test]
fn a_sweep_leaves_what_is_being_taken() {
    // The key's own entry is one that the sweep re-dates.
    model(|| {
        let table = one_bucket();
        let quota = quota(SECOND, 2);
        assert!(passes(&Limiter::new(quota, &table), key(0), NOW - HOUR));
        let sweep = sweeper(&table, NOW);
        let threads = [(); 2].map(|()| taker(&table, quota, key(0), NOW));
        assert_eq!(allowed(threads), 2);
        sweep.join().unwrap();
        assert!(!passes(&Limiter::new(quota, &table), key(0), NOW));
        assert_eq!(tracked(&table, NOW), 1);
    });
}

#[test]
fn a_clock_that_lags_takes_no_token_twice() {
    // A key with an entry, and less than an interval between the clocks.
    model(|| {
        let table = one_bucket();
        let quota = quota(SECOND, 2);
        let now = [NOW, NOW + 900 * MILLI];
        assert!(passes(&Limiter::new(quota, &table), key(0), NOW));
        let threads = now.map(|now| taker(&table, quota, key(0), now));
        assert_eq!(allowed(threads), 1);
        assert!(!passes(
            &Limiter::new(quota, &table),
            key(0),
            NOW + 900 * MILLI
        ));
    });
}

#[test]
fn a_shorter_window_is_imposed_once() {
    model(|| {
        let table = one_bucket();
        let quotas = [quota(HOUR, 1), quota(SECOND, 2)];
        let [before, after] = quotas.map(|quota| Limiter::new(quota, &table));
        assert!(passes(&before, key(0), NOW));
        let threads = [(); 3].map(|()| taker(&table, *after.quota(), key(0), NOW));
        assert_eq!(allowed(threads), 0);
        // The window's end is an interval's wait away, and one token.
        let later = NOW + SECOND;
        let passed = [NOW, later, later].map(|now| passes(&after, key(0), now));
        assert_eq!(passed, [false, true, false]);
    });
}

#[test]
fn a_shorter_window_gives_no_token_back() {
    // One thread moves the time to the window's end; the other one takes what
    // an interval later is there.
    model(|| {
        let table = one_bucket();
        let (before, after) = (quota(HOUR, 1), quota(SECOND, 2));
        assert!(passes(&Limiter::new(before, &table), key(0), NOW));
        let later = NOW + SECOND;
        let threads = [NOW, later].map(|now| taker(&table, after, key(0), now));
        assert!(allowed(threads) <= 1);
        assert!(!passes(&Limiter::new(after, &table), key(0), later));
    });
}

#[test]
fn two_windows_over_one_key_give_no_more_than_both() {
    // While a reload is under way, some requests still come with the old quota.
    model(|| {
        let table = one_bucket();
        let quotas = [quota(HOUR, 1), quota(SECOND, 2)];
        let threads = [0, 1, 1].map(|which: usize| taker(&table, quotas[which], key(0), NOW));
        assert!((1..=2).contains(&allowed(threads)));
        assert_eq!(tracked(&table, NOW), 1);
        let [before, after] = quotas.map(|quota| Limiter::new(quota, &table));
        assert!(!passes(&before, key(0), NOW));
        let _ = passes(&after, key(0), NOW);
        assert!(!passes(&after, key(0), NOW));
    });
}

#[test]
fn a_clock_that_lags_is_not_taken_for_a_change_of_quotas() {
    // One thread is ten windows later than the other, which must find that out
    // from `latest`, or it moves the entry back and lets the next one through.
    model(|| {
        let table = one_bucket();
        let quota = quota(100 * MILLI, 1);
        let later = NOW + SECOND;
        let threads = [NOW, later].map(|now| taker(&table, quota, key(0), now));
        let [_, late] = threads.map(|thread| thread.join().unwrap());
        assert!(late, "ten intervals later there is a token");
        assert!(!passes(&Limiter::new(quota, &table), key(0), later));
    });
}

/// How many of two threads are let through that insert one key of one token,
/// while a third one, `lag` behind them, moves another client's entry to the end
/// of a window of 100 ms.
fn insertions_beside_a_clamp(lag: u64) -> usize {
    // Seven entries have passed, all of them within the last 70 ms.
    let mut times = [8, 7, 6, 5, 4, 3, 2, 1].map(|tens| NOW - tens * 10 * MILLI);
    times[0] = NOW + HOUR;
    let table = crowded(times);
    let (client, quota) = (key(0), [quota(SECOND, 1), quota(100 * MILLI, 1)]);
    let clamp = taker(&table, quota[1], key(100), NOW - lag);
    let threads = [(); 2].map(|()| taker(&table, quota[0], client, NOW));
    let allowed = allowed(threads);
    assert!(
        !clamp.join().unwrap(),
        "the window's end is a whole wait away"
    );
    assert!(!passes(&Limiter::new(quota[0], &table), client, NOW));
    assert_eq!(table.evictions(), 0);
    allowed
}

#[test]
fn a_clamp_that_lags_less_than_its_window_splits_no_key() {
    model(|| assert_eq!(insertions_beside_a_clamp(99 * MILLI), 1));
}

#[test]
fn a_clamp_that_lags_more_than_its_window_gives_one_burst_more() {
    // The hole that "Changes of quotas" in `table` owns up to: the time it
    // leaves is passed for the others, and earlier than what they read before.
    static MOST: AtomicUsize = AtomicUsize::new(0);
    model(|| {
        let allowed = insertions_beside_a_clamp(500 * MILLI);
        MOST.fetch_max(allowed, Ordering::Relaxed);
    });
    let most = MOST.load(Ordering::Relaxed);
    assert_eq!(most, 2, "if it is 1, the hole is closed: say so in `table`");
}
