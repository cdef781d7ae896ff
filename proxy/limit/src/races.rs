//! Models of races, run by loom (`make loom`): each through the interleavings of
//! its threads and the values that the memory model lets their loads return.
//!
//! The bucket and the table are the real ones, with all eight slots. Two bounds
//! keep a model to seconds. Threads: two or three, as the argument in `table` is
//! about two that insert a key and one that changes a slot under them.
//! Preemptions: three, or as many as `LOOM_MAX_PREEMPTIONS` says.

/// How many are in use at once.
mod counts;
/// Keys without an entry, whose first requests race.
mod newcomers;
/// Keys that have an entry; quotas and clocks that differ between threads.
mod takes;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use loom::model::Builder;
use loom::thread::{self, JoinHandle};

use crate::{Decision, Domain, Key, KeyHasher, Limiter, Now, Quota, Table};

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;
const HOUR: u64 = 3_600 * SECOND;

/// When entries are written that have passed by `NOW`.
const START: u64 = HOUR;
/// When threads race.
const NOW: u64 = START + 24 * HOUR;

/// Runs `check` through its interleavings.
fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound.get_or_insert(3);
    builder.check(check);
}

fn n(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn key(number: u64) -> Key {
    KeyHasher::from_secret(1, 2).key(Domain::Client, &number.to_ne_bytes())
}

/// `burst` at once, and one more each `interval` nanoseconds.
fn quota(interval: u64, burst: u32) -> Quota {
    Quota::new(n(1), Duration::from_nanos(interval), n(burst)).unwrap()
}

/// A table of one bucket: every key meets every other.
fn one_bucket() -> Arc<Table> {
    Arc::new(Table::new(1).unwrap())
}

/// Whether one token of `key` can be had at `now`, in nanoseconds.
fn passes(limiter: &Limiter, key: Key, now: u64) -> bool {
    let decision = limiter.take(key, NonZeroU32::MIN, Now::from_nanos(now));
    matches!(decision, Decision::Allowed { .. })
}

/// One bucket whose slots are taken, in this order, by the entries of clients
/// 100 to 107, with these times.
fn crowded(times: [u64; 8]) -> Arc<Table> {
    let table = one_bucket();
    for (client, time) in (100..).zip(times) {
        // All are live when they are written, so that each gets a slot.
        let quota = quota(time - START, 1);
        assert!(passes(&Limiter::new(quota, &table), key(client), START));
    }
    assert_eq!((table.evictions(), tracked(&table, START)), (0, 8));
    table
}

/// How many entries are live.
fn tracked(table: &Table, now: u64) -> usize {
    table.tracked(Now::from_nanos(now))
}

/// A thread that asks for one token of `key` at `now`.
fn taker(table: &Arc<Table>, quota: Quota, key: Key, now: u64) -> JoinHandle<bool> {
    let table = Arc::clone(table);
    thread::spawn(move || passes(&Limiter::new(quota, &table), key, now))
}

/// A thread that sweeps at `now`.
fn sweeper(table: &Arc<Table>, now: u64) -> JoinHandle<()> {
    let table = Arc::clone(table);
    thread::spawn(move || table.sweep(Now::from_nanos(now)))
}

/// How many of the threads were let through.
fn allowed<const N: usize>(threads: [JoinHandle<bool>; N]) -> usize {
    let decisions = threads.map(|thread| thread.join().unwrap());
    decisions.iter().filter(|passed| **passed).count()
}
