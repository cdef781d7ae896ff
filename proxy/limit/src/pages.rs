//! Large pages for the table's memory.
//!
//! A table for a million clients spans 8,192 pages of 4 KiB, more than a
//! processor keeps translations for, so that a decision about a random client
//! misses there as well as in the caches. On pages of 2 MiB it is 16.

use std::mem::MaybeUninit;

use nix::sys::mman::{MmapAdvise, madvise};

/// The large page of x86-64, and of ARM where a page is 4 KiB.
const LARGE: usize = 2 << 20;

/// Asks the system to back `room` with large pages where it spans whole ones.
/// It has to come before the memory is first touched: what has small pages keeps
/// them.
///
/// A system that does not give them leaves everything as it is, only slower; so
/// there is no error.
pub(crate) fn prefer_large<T>(room: &mut [MaybeUninit<T>]) {
    let bytes = size_of_val(room);
    let start = std::ptr::NonNull::from(room).cast::<u8>();
    let before = start.align_offset(LARGE);
    let whole = bytes.saturating_sub(before) / LARGE * LARGE;
    if whole == 0 {
        return;
    }
    // SAFETY: `before` and `whole` add up to at most `bytes`, so the range lies
    // in `room`, which is borrowed exclusively for the time of the call. The
    // advice changes neither contents nor addresses of memory, and it may stay
    // when the memory goes back to the allocator, to which it means nothing.
    let _refused = unsafe {
        let first = start.add(before).cast();
        madvise(first, whole, MmapAdvise::MADV_HUGEPAGE)
    };
}
