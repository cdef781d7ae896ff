use std::env;
use std::hash::Hasher;
use std::process::Command;
use std::sync::Arc;

use siphasher::sip::SipHasher13;
use tidegate_limit::{Domain, Key, KeyHasher, Limiter, Occupancy, Table, TableError};

use crate::model::{Model, SECOND, at, is_allowed, n, nanos, per_second, table};

const SECRET: (u64, u64) = (1, 2);

/// The key of a client with this address.
fn client(address: u64) -> Key {
    let hasher = KeyHasher::from_secret(SECRET.0, SECRET.1);
    hasher.key(Domain::Client, &address.to_be_bytes())
}

/// Its hash: what somebody can work out who knows the source and the secret.
fn hash(address: u64) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(SECRET.0, SECRET.1);
    hasher.write(&address.to_be_bytes());
    hasher.write_u32(0);
    hasher.finish()
}

/// The first `count` addresses from `start` on whose entries are all in the
/// first of this many buckets.
fn in_one_bucket(buckets: u64, start: u64, count: usize) -> Vec<u64> {
    let chosen = (start..).filter(|address| hash(*address) < u64::MAX / buckets);
    chosen.take(count).collect()
}

/// Requests a second apart: each address of the crowd asks for far more than its
/// quota, each of the few for exactly what it may have.
///
/// None of the few may be refused. All that the crowd gets too much is bounded
/// by what was evicted, which is returned.
fn crowd_beside_few(table: &Arc<Table>, crowd: &[u64], few: &[u64]) -> u64 {
    let (quota, seconds) = (per_second(10, 20), 10);
    let limiter = Limiter::new(quota, table);
    let take =
        |address: u64, cost, now| is_allowed(limiter.take(client(address), n(cost), at(now)));
    let (mut taken, mut model) = (0, Model::new(&quota));
    for second in 0..=seconds {
        let now = (1_000 + second) * SECOND;
        // The whole burst at first, then what comes back in a second.
        let (half, due) = if second == 0 { (10, 20) } else { (5, 10) };
        assert!(is_allowed(model.take(n(due), at(now))));
        for turn in 0..2 {
            for cost in [20, 11, 1] {
                let passed = crowd.iter().filter(|address| take(**address, cost, now));
                taken += passed.count() as u64 * u64::from(cost);
            }
            for address in few {
                assert!(
                    take(*address, half, now),
                    "{address}, second {second}, turn {turn}"
                );
            }
        }
    }
    let burst = u64::from(quota.burst().get());
    let each = burst + seconds * SECOND / nanos(quota.interval());
    let most = crowd.len() as u64 * each + burst * table.evictions();
    assert!(taken <= most, "{taken} of {most}");
    table.evictions()
}

#[test]
fn keys_chosen_for_one_bucket_harm_nobody() {
    let clients = 2_000;
    let buckets = clients as u64 / 2;
    let table = table(clients);
    let (crowd, few) = (
        in_one_bucket(buckets, 0, 100),
        in_one_bucket(buckets, 1 << 40, 4),
    );
    assert!(crowd_beside_few(&table, &crowd, &few) > 0);
    // All of it happened in one bucket: no other entry came about.
    assert!(table.tracked(at(1_010 * SECOND)) <= 8);
    // Those of other buckets do not even notice: nobody's entry goes.
    let before = table.evictions();
    let elsewhere: Vec<_> = (0..200)
        .filter(|address| hash(*address) >= u64::MAX / buckets)
        .collect();
    let limiter = Limiter::new(per_second(10, 20), &table);
    for _ in 0..2 {
        for address in &elsewhere {
            let _ = limiter.take(client(*address), n(20), at(1_010 * SECOND));
        }
    }
    assert_eq!(table.evictions(), before);
}

#[test]
fn floods_of_ten_times_the_capacity_harm_nobody() {
    let capacity = 500;
    let few: Vec<u64> = (0..50).map(|address| u64::MAX - address).collect();
    let first = 0x0a00_0000;
    let sequential: Vec<u64> = (first..first + 10 * capacity).collect();
    // Spoofed: a fixed sequence without order (Knuth's multiplier).
    let spoofed: Vec<u64> = (1..=10 * capacity)
        .map(|turn: u64| turn.wrapping_mul(6_364_136_223_846_793_005))
        .collect();
    for crowd in [sequential, spoofed] {
        let table = table(capacity as usize);
        assert!(crowd_beside_few(&table, &crowd, &few) > 0);
        assert!(table.tracked(at(1_010 * SECOND)) <= 4 * table.capacity());
    }
}

#[test]
fn rows_get_back_what_they_gave() {
    // Two clients that share a counter of the second row and none of the first:
    // whatever the one left in the first row would show beside the other.
    let rows = 1_u64 << 10;
    let place = |address: u64| (hash(address) % rows, (hash(address) >> 32) % rows);
    let shares = |other: &u64| {
        let (one, other) = (place(0), place(*other));
        (one.0 == other.0) != (one.1 == other.1)
    };
    for other in (1..).filter(shares).take(20) {
        let occupancy = Arc::new(Occupancy::new(rows as usize).unwrap());
        let acquire = |address| occupancy.try_acquire(client(address), n(3)).unwrap();
        for _ in 0..3 {
            drop(acquire(0));
            let _held = [(); 3].map(|()| acquire(0));
            assert!(occupancy.try_acquire(client(0), n(3)).is_none());
        }
        let _held = [(); 3].map(|()| acquire(other));
        assert_eq!(
            occupancy.count(client(0)),
            0,
            "client {other} shares one counter"
        );
    }
}

/// A quarter of a gigabyte: a whole one took four seconds, for nothing more.
#[test]
fn a_table_of_eight_million_clients() {
    let table = table(1 << 23);
    let limiter = Limiter::new(per_second(1, 1), &table);
    let now = at(SECOND);
    for address in 0..10_000 {
        assert!(is_allowed(limiter.take(client(address), n(1), now)));
        assert!(!is_allowed(limiter.take(client(address), n(1), now)));
    }
    assert_eq!((table.tracked(now), table.evictions()), (10_000, 0));
    // Long after, all have passed; so the sweep re-dates them.
    let later = at(1_000 * SECOND);
    table.sweep(later);
    assert_eq!(table.tracked(later), 0);
}

/// Says to the test below that it runs within little memory.
const WITHIN: &str = "TIDEGATE_LIMIT_TEST_WITHIN_LITTLE_MEMORY";

/// Runs itself again with an address space of half a gigabyte: then the error
/// comes whatever the machine has, and however freely its kernel promises.
#[test]
fn memory_that_cannot_be_had_is_named() {
    if env::var_os(WITHIN).is_some() {
        return refuses_within_little_memory();
    }
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 524288 && exec \"$0\" \"$@\""])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "hostile::memory_that_cannot_be_had_is_named"])
        .env(WITHIN, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

fn refuses_within_little_memory() {
    for (clients, bytes) in [(1 << 25, 1 << 30), (1 << 40, 1 << 45), (1 << 41, 1 << 46)] {
        let refused = Table::new(clients).unwrap_err();
        assert_eq!(refused, TableError::OutOfMemory { bytes });
        let message = format!("cannot allocate {bytes} bytes");
        assert_eq!(refused.to_string(), message);
    }
    for (rows_len, bytes) in [(1 << 28, 1 << 30), (1 << 32, 1 << 34)] {
        let refused = Occupancy::new(rows_len).unwrap_err();
        assert_eq!(refused, TableError::OutOfMemory { bytes });
    }
}
