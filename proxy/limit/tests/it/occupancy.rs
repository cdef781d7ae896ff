use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use tidegate_limit::{Gauge, GaugePermit, Occupancy, Permit, TableError};

use crate::model::{key, n};

const THREADS: usize = 4;

#[test]
fn permits_are_counted_and_given_back() {
    let occupancy = Arc::new(Occupancy::new(1_000).unwrap());
    let permits: Vec<_> = (0..3)
        .map(|_| occupancy.try_acquire(key(0), n(3)).unwrap())
        .collect();
    assert_eq!(occupancy.count(key(0)), 3);
    assert!(occupancy.at_limit(key(0), n(3)));
    assert!(occupancy.try_acquire(key(0), n(3)).is_none());
    assert_eq!(occupancy.count(key(0)), 3);
    // A higher limit lets in, a lower one throws nobody out.
    assert!(!occupancy.at_limit(key(0), n(4)));
    assert!(occupancy.at_limit(key(0), n(1)));
    assert_eq!(occupancy.count(key(1)), 0);
    drop(permits);
    assert_eq!(occupancy.count(key(0)), 0);
}

#[test]
fn collisions_can_only_refuse_early() {
    // One counter a row: everybody collides with everybody.
    let occupancy = Arc::new(Occupancy::new(0).unwrap());
    let permits: Vec<_> = (0..5)
        .filter_map(|client| occupancy.try_acquire(key(client), n(4)))
        .collect();
    assert_eq!(permits.len(), 4);
    assert_eq!(occupancy.count(key(9)), 4);
}

#[test]
fn sharing_one_row_refuses_nobody() {
    let occupancy = Arc::new(Occupancy::new(64 * 100).unwrap());
    let permits: Vec<_> = (0..100)
        .filter_map(|client| occupancy.try_acquire(key(client), n(1)))
        .collect();
    // Some of the 100 do share a counter of 8,192 in one row.
    assert_eq!(permits.len(), 100);
}

#[test]
fn threads_never_exceed_the_limit_and_return_to_zero() {
    let occupancy = Arc::new(Occupancy::new(16).unwrap());
    let held = [const { AtomicU32::new(0) }; 2];
    let barrier = Barrier::new(THREADS);
    let contend = || {
        barrier.wait();
        let mut got = 0;
        for turn in 0..100_000 {
            let client = turn % 2;
            if let Some(permit) = occupancy.try_acquire(key(client), n(1)) {
                let held = &held[client as usize];
                assert_eq!(held.fetch_add(1, Ordering::Relaxed), 0);
                held.fetch_sub(1, Ordering::Relaxed);
                drop(permit);
                got += 1;
            }
        }
        got
    };
    let got: u32 = thread::scope(|scope| {
        let threads = [(); THREADS].map(|()| scope.spawn(contend));
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    assert!(got > 0);
    assert_eq!([0, 1].map(|client| occupancy.count(key(client))), [0, 0]);
}

#[test]
fn rows_that_cannot_be_had_are_an_error() {
    for asked in [usize::MAX, usize::MAX / 2, (1 << 32) + 1] {
        let refused = Occupancy::new(asked).unwrap_err();
        assert_eq!(refused, TableError::TooLarge { most: 1 << 32 });
    }
}

#[test]
fn a_gauge_is_exact() {
    let gauge = Arc::new(Gauge::new());
    assert!(gauge.try_acquire(0).is_none());
    let permits: Vec<_> = (0..5).filter_map(|_| gauge.try_acquire(3)).collect();
    assert_eq!((permits.len(), gauge.get()), (3, 3));
    drop(permits);
    assert_eq!(gauge.get(), 0);
}

#[test]
fn a_gauge_under_threads() {
    let gauge = Arc::new(Gauge::new());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let gauge = Arc::clone(&gauge);
            thread::spawn(move || {
                for _ in 0..20_000 {
                    let permit = gauge.try_acquire(2);
                    assert!(gauge.get() <= 2);
                    drop(permit);
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(gauge.get(), 0);
}

#[test]
fn permits_can_be_sent_and_shown() {
    fn is_sendable<T: Send + Sync + std::fmt::Debug>() {}
    is_sendable::<Permit>();
    is_sendable::<GaugePermit>();
}
