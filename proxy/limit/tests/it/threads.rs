use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use tidegate_limit::{Domain, KeyHasher, Limiter, Quota, Table};

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
    // From the first time that was asked with to the last one.
    let time = (turns * THREADS - 1) * tick;
    let most = u64::from(quota.burst().get()) + time / nanos(quota.interval());
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

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// Runs `work` while a further thread sweeps the table over and over.
fn beside_a_sweep(table: &Table, now: u64, work: impl FnOnce() -> u64) -> u64 {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                table.sweep(at(now));
            }
        });
        // Also when `work` panics, or the sweep would never end.
        let _ends = OnDrop(|| over.store(true, Ordering::Relaxed));
        work()
    })
}

/// Each client may pass once; all threads ask for it at the same time.
fn race_for_newcomers(table: &Arc<Table>, clients: std::ops::Range<u64>, now: u64) {
    let limiter = Limiter::new(per_hour(1, 1), table);
    let count = clients.end - clients.start;
    let before = table.evictions();
    let allowed = beside_a_sweep(table, now, || {
        together(|_| {
            let take = |client: &u64| is_allowed(limiter.take(key(*client), n(1), at(now)));
            clients.clone().filter(take).count() as u64
        })
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

/// A quota and the domain of its keys.
struct Limit {
    domain: u16,
    limiter: Limiter,
}

/// All clients of one thread, under all limits: how many tokens each got. Costs
/// of one to three as long as they pass, then single tokens until none is left.
fn take_all(limits: &[Limit], clients: &[u64], thread: u64, now: u64) -> Vec<u32> {
    let hasher = KeyHasher::from_secret(1, 2);
    let take_of = |limit: &Limit, client: u64| {
        let key = hasher.key(Domain::Numbered(limit.domain), &client.to_ne_bytes());
        let (mut taken, mut cost) = (0, 1 + thread as u32 % 3);
        while cost > 0 {
            if is_allowed(limit.limiter.take(key, n(cost), at(now))) {
                taken += cost;
            } else {
                cost -= 1;
            }
        }
        taken
    };
    let all = clients.iter();
    all.flat_map(|client| limits.iter().map(|limit| take_of(limit, *client)))
        .collect()
}

#[test]
fn limits_over_one_table_give_exactly_their_bursts() {
    let table = table(20_000);
    let quotas = [
        per_hour(7, 7),
        per_second(10, 20),
        per_second(1_000, 2),
        per_second(1_000_000, 90),
    ];
    let limits = quotas.map(|quota| Limiter::new(quota, &table));
    let bursts = quotas.map(|quota| quota.burst().get());
    let limits: Vec<_> = (0..)
        .zip(limits)
        .map(|(domain, limiter)| Limit { domain, limiter })
        .collect();
    for round in 0..10 {
        // Half of the clients come back, when all they used has come back.
        let clients: Vec<_> = (round * 250..round * 250 + 500).collect();
        let now = round * 2 * HOUR;
        let totals = Mutex::new(vec![0; clients.len() * limits.len()]);
        beside_a_sweep(&table, now, || {
            together(|thread| {
                let taken = take_all(&limits, &clients, thread, now);
                let mut totals = totals.lock().unwrap();
                totals
                    .iter_mut()
                    .zip(taken)
                    .for_each(|(sum, taken)| *sum += taken);
                0
            })
        });
        let totals = totals.into_inner().unwrap();
        for (client, got) in clients.iter().zip(totals.chunks(limits.len())) {
            assert_eq!(got, bursts, "client {client}, round {round}");
        }
        assert_eq!(table.evictions(), 0);
    }
}
