use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use loom::cell::UnsafeCell;
use loom::thread::{self, JoinHandle};

use super::{key, model, n};
use crate::{Gauge, Occupancy, Permit};

/// An occupancy of one counter a row, and what the holder of its one place
/// touches: loom fails a model in which two threads do so at a time, or one
/// without seeing what the last one did.
#[derive(Clone)]
struct Guarded {
    occupancy: Arc<Occupancy>,
    cell: loom::sync::Arc<UnsafeCell<u32>>,
}

impl Guarded {
    fn new() -> Self {
        Self {
            occupancy: Arc::new(Occupancy::new(1).unwrap()),
            cell: loom::sync::Arc::new(UnsafeCell::new(0)),
        }
    }

    fn enter(&self, client: u64) -> Option<Permit> {
        let permit = self.occupancy.try_acquire(key(client), n(1))?;
        self.cell.with_mut(|_| ());
        Some(permit)
    }

    /// A thread that asks for the place and gives it back.
    fn visitor(&self, client: u64) -> JoinHandle<()> {
        let guarded = self.clone();
        thread::spawn(move || drop(guarded.enter(client)))
    }
}

#[test]
fn a_place_is_handed_over_whole() {
    // Two of one client, or two that share both counters.
    for other in [0, 1] {
        model(move || {
            let guarded = Guarded::new();
            let held = guarded.enter(0).unwrap();
            let visitors = [0, other].map(|client| guarded.visitor(client));
            drop(held);
            for visitor in visitors {
                visitor.join().unwrap();
            }
            assert_eq!(guarded.occupancy.count(key(0)), 0);
            assert!(guarded.enter(0).is_some(), "the place is free again");
        });
    }
}

#[test]
fn a_permit_may_be_dropped_by_another_thread() {
    model(|| {
        let guarded = Guarded::new();
        let held = guarded.enter(0).unwrap();
        let dropper = thread::spawn(move || drop(held));
        let visitor = guarded.visitor(0);
        dropper.join().unwrap();
        visitor.join().unwrap();
        assert_eq!(guarded.occupancy.count(key(0)), 0);
    });
}

#[test]
fn no_more_hold_places_than_there_are() {
    model(|| {
        let occupancy = Arc::new(Occupancy::new(1).unwrap());
        // Counts in the order in which loom runs the threads.
        let holders = Arc::new(AtomicU32::new(1));
        let first = occupancy.try_acquire(key(0), n(2)).unwrap();
        let visitors = [(); 2].map(|()| {
            let (occupancy, holders) = (Arc::clone(&occupancy), Arc::clone(&holders));
            thread::spawn(move || {
                let permit = occupancy.try_acquire(key(0), n(2));
                if permit.is_some() {
                    assert!(holders.fetch_add(1, Ordering::Relaxed) < 2);
                    holders.fetch_sub(1, Ordering::Relaxed);
                }
            })
        });
        holders.fetch_sub(1, Ordering::Relaxed);
        drop(first);
        for visitor in visitors {
            visitor.join().unwrap();
        }
        assert_eq!(occupancy.count(key(0)), 0);
    });
}

#[test]
fn a_lower_limit_lets_nobody_in() {
    // The limit falls from 2 to 1 while one place is taken and kept.
    model(|| {
        let occupancy = Arc::new(Occupancy::new(1).unwrap());
        let held = occupancy.try_acquire(key(0), n(2)).unwrap();
        let asking = [1, 2].map(|max| {
            let occupancy = Arc::clone(&occupancy);
            thread::spawn(move || occupancy.try_acquire(key(0), n(max)))
        });
        let [after, before] = asking.map(|thread| thread.join().unwrap());
        assert!(after.is_none());
        let taken = 1 + u32::from(before.is_some());
        assert_eq!(occupancy.count(key(0)), taken);
        drop((held, before));
        assert_eq!(occupancy.count(key(0)), 0);
    });
}

#[test]
fn a_gauge_is_exact() {
    // Three ask for two places: neither more nor fewer get one.
    model(|| {
        let gauge = Arc::new(Gauge::new());
        let asking = [(); 3].map(|()| {
            let gauge = Arc::clone(&gauge);
            thread::spawn(move || gauge.try_acquire(2))
        });
        let permits = asking.map(|thread| thread.join().unwrap());
        assert_eq!(permits.iter().flatten().count(), 2);
        assert_eq!(gauge.get(), 2);
        drop(permits);
        assert_eq!(gauge.get(), 0);
    });
}

#[test]
fn a_gauge_refuses_nobody_while_a_place_is_free() {
    // The only place is given back and asked for again, beside somebody else.
    model(|| {
        let gauge = Arc::new(Gauge::new());
        let held = gauge.try_acquire(1);
        let other = {
            let gauge = Arc::clone(&gauge);
            thread::spawn(move || gauge.try_acquire(1))
        };
        drop(held);
        let again = gauge.try_acquire(1);
        let other = other.join().unwrap();
        assert_eq!(gauge.get(), 1, "one of the two has it");
        drop((again, other));
        assert_eq!(gauge.get(), 0);
    });
}

#[test]
fn a_gauge_gets_its_places_back() {
    model(|| {
        let gauge = Arc::new(Gauge::new());
        let visitors = [(); 2].map(|()| {
            let gauge = Arc::clone(&gauge);
            thread::spawn(move || {
                assert!(gauge.try_acquire(2).is_some(), "two places for two");
            })
        });
        for visitor in visitors {
            visitor.join().unwrap();
        }
        assert_eq!(gauge.get(), 0);
    });
}
