use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use tidegate_limit::{Limiter, Quota, Table};

use crate::model::{HOUR, SECOND, at, is_allowed, key, n, nanos, per_hour, per_second, table};

const THREADS: u64 = 4;

/// Runs `work` on all threads at once and adds up what they return.
fn together(work: impl Fn(u64) -> u64 + Sync) -> u64 {
    let barrier = Barrier::new(THREADS as usize);
    let run = |thread| {
        barrier.wait();
        work(thread)
    };
    let run = &run;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || run(thread)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    })
}

/// One client, all threads, a clock that moves as they go: the sum is what one
/// thread would have been allowed.
fn hammer_one_client(quota: Quota, tick: u64) {
    let table = table(100);
    let limiter = Limiter::new(quota, &table);
    let clock = AtomicU64::new(SECOND);
    let turns = 40_000;
    let allowed = together(|_| {
        let take = |_: &u64| {
            let now = at(clock.fetch_add(tick, Ordering::Relaxed));
            is_allowed(limiter.take(key(0), n(1), now))
        };
        (0..turns).filter(take).count() as u64
    });
    let time = turns * THREADS * tick;
    let most = u64::from(quota.burst().get()) + time / nanos(quota.interval()) + 1;
    assert_eq!(table.evictions(), 0);
    assert!(allowed <= most, "{allowed} of {most}");
    // What a thread asked with an old time for, another one has had.
    assert!(allowed * 100 >= most * 95, "only {allowed} of {most}");
}

#[test]
fn one_client_is_never_let_through_too_often() {
    hammer_one_client(per_second(1_000, 50), 20_000);
    hammer_one_client(per_second(1_000_000, 1_000), 100);
}

/// Each client may pass once; all threads ask for it at the same time.
fn race_for_newcomers(table: &Arc<Table>, clients: std::ops::Range<u64>, now: u64) {
    let limiter = Limiter::new(per_hour(1, 1), table);
    let count = clients.end - clients.start;
    let (before, over) = (table.evictions(), AtomicBool::new(false));
    let allowed = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                table.sweep(at(now));
            }
        });
        let allowed = together(|_| {
            let take = |client: &u64| is_allowed(limiter.take(key(*client), n(1), at(now)));
            clients.clone().filter(take).count() as u64
        });
        over.store(true, Ordering::Relaxed);
        allowed
    });
    assert_eq!((table.evictions() - before, allowed), (0, count));
}

#[test]
fn newcomers_have_one_entry_each() {
    // Into empty slots, then over entries that have passed, while a sweep
    // re-dates them. Few enough clients that no bucket overflows.
    let table = table(8_000);
    for round in 0..10 {
        let first = round * 2_000;
        race_for_newcomers(&table, first..first + 2_000, 2 * round * HOUR);
    }
}

#[test]
fn a_crowded_table_stays_within_its_evictions() {
    let table = table(8);
    let quota = per_hour(1, 3);
    let limiter = Limiter::new(quota, &table);
    let allowed = together(|thread| {
        let take = |turn: &u64| {
            let client = (turn * (thread + 1)) % 60;
            is_allowed(limiter.take(key(client), n(1), at(0)))
        };
        (0..20_000).filter(take).count() as u64
    });
    assert!(table.evictions() > 0);
    assert!(allowed <= 3 * (60 + table.evictions()));
}
