//! What is allocated, and when: everything at the start, nothing on the way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tidegate_limit::{Domain, Gauge, KeyHasher, Limiter, Now, Occupancy, Quota, Table};

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

/// Counts the bytes that this thread allocates.
struct Counting;

// SAFETY: passes everything on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + layout.size());
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The bytes that `work` allocates.
fn allocated_by<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATED.get();
    let result = work();
    (ALLOCATED.get() - before, result)
}

#[test]
fn a_tracked_client_costs_at_most_32_bytes() {
    for clients in [1_000, 100_000, 131_073] {
        let (bytes, table) = allocated_by(|| Table::new(clients).unwrap());
        assert!(bytes <= 32 * table.capacity(), "{bytes} for {clients}");
        assert!(table.capacity() >= clients);
    }
}

#[test]
fn an_occupancy_costs_8_bytes_a_counter() {
    let (bytes, _) = allocated_by(|| Occupancy::new(1_000).unwrap());
    assert_eq!(bytes, 8 * 1_024);
}

#[test]
fn deciding_allocates_nothing() {
    let hasher = KeyHasher::new();
    let table = Arc::new(Table::new(100).unwrap());
    let burst = NonZeroU32::new(3).unwrap();
    let quota = Quota::new(NonZeroU32::MIN, Duration::from_secs(1), burst).unwrap();
    let limiter = Limiter::new(quota, &table);
    let occupancy = Arc::new(Occupancy::new(100).unwrap());
    let gauge = Arc::new(Gauge::new());
    let (bytes, ()) = allocated_by(|| {
        for turn in 0..10_000_u64 {
            let key = hasher.key(Domain::Client, &(turn % 1_000).to_ne_bytes());
            let now = Now::from_nanos(turn * 1_000_000);
            let _ = limiter.take(key, NonZeroU32::MIN, now);
            let _ = limiter.peek(key, now);
            let _permits = (occupancy.try_acquire(key, burst), gauge.try_acquire(9));
        }
        table.sweep(Now::from_nanos(u64::MAX));
    });
    assert_eq!(bytes, 0);
}
