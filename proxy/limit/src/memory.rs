//! Advice about the table's memory, to the system and to the processor.
//!
//! A table for a million clients spans 8,192 pages of 4 KiB, more than a
//! processor keeps translations for, so that a decision about a random client
//! misses there as well as in the caches. On pages of 2 MiB it is 16. And what
//! has to come from memory anyway can be asked for before it is needed.
//!
//! Advice changes neither contents nor addresses. Where it is not taken,
//! everything works as it would without.

use std::mem::MaybeUninit;

/// Asks the system to back `room` with large pages where it spans whole ones.
/// It has to come before the memory is first touched: what has small pages keeps
/// them. The ends that do not fill a large page, 2 MiB each at most, stay small;
/// to align the memory did not pay.
#[cfg(target_os = "linux")]
pub(crate) fn prefer_large<T>(room: &mut [MaybeUninit<T>]) {
    use nix::sys::mman::{MmapAdvise, madvise};

    /// The large page of x86-64, and of ARM where a page is 4 KiB.
    const LARGE: usize = 2 << 20;

    let bytes = size_of_val(room);
    let start = std::ptr::NonNull::from(room).cast::<u8>();
    let before = start.align_offset(LARGE);
    let whole = bytes.saturating_sub(before) / LARGE * LARGE;
    if whole == 0 {
        return;
    }
    // SAFETY: `before` and `whole` add up to at most `bytes`, so the range lies
    // in `room`, which is borrowed exclusively for the time of the call. The
    // advice changes neither contents nor addresses, and it may stay when the
    // memory goes back to the allocator, to which it means nothing.
    let _refused = unsafe {
        let first = start.add(before).cast();
        madvise(first, whole, MmapAdvise::MADV_HUGEPAGE)
    };
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn prefer_large<T>(_room: &mut [MaybeUninit<T>]) {}

/// Starts to fetch the cache line of `of`, and does not wait for it. A load would
/// not do: reading a clock waits for loads.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn prefetch<T>(of: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

    // SAFETY: prefetching reads nothing into the program and faults on no
    // address; and this one is valid.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(of).cast()) }
}

/// Starts to fetch the cache line of `of`, where the processor can be told so.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub fn prefetch<T>(_of: &T) {}
