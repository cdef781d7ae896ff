//! A cache line of eight slots.

use crate::atomic::{AtomicU64, Ordering};
use crate::ring::{Moment, Print, Word};

/// Slots in a bucket.
pub(crate) const SLOTS: usize = 8;

/// Eight slots in one cache line, so that a lookup costs one miss.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Bucket([AtomicU64; SLOTS]);

/// A slot, and what was in it when it was read.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    slot: &'a AtomicU64,
    /// What was read.
    pub(crate) word: Word,
}

/// Where a key's entry is, or has to go.
pub(crate) enum Found<'a> {
    /// The key has an entry.
    Own(Seen<'a>),
    /// It has none; this slot is the one to take.
    Victim(Seen<'a>),
}

impl Bucket {
    /// The entry with this fingerprint, or else the slot whose time is the
    /// earliest, an empty one first. Only contents and positions decide, so
    /// that threads which insert one key at the same time choose one slot.
    pub(crate) fn find(&self, print: Print, moment: &Moment) -> Found<'_> {
        let all = self.read();
        match all.iter().find(|seen| seen.word.is_of(print)) {
            Some(own) => Found::Own(*own),
            None => Found::Victim(earliest(all, moment)),
        }
    }

    /// All slots, each read once.
    pub(crate) fn read(&self) -> [Seen<'_>; SLOTS] {
        self.0.each_ref().map(Seen::read)
    }

    /// Writes to the bucket without changing it, so that its memory is there.
    pub(crate) fn touch(&self) {
        let [first, ..] = &self.0;
        first.store(0, Ordering::Relaxed);
    }
}

impl<'a> Seen<'a> {
    fn read(slot: &'a AtomicU64) -> Self {
        // Acquire: see "Synchronization" in `table`.
        let word = Word::from_bits(slot.load(Ordering::Acquire));
        Self { slot, word }
    }

    /// Replaces what was read by `word`, unless the slot has changed since.
    pub(crate) fn replace(&self, word: Word) -> bool {
        let (old, new) = (self.word.bits(), word.bits());
        // Release: see "Synchronization" in `table`.
        self.slot
            .compare_exchange(old, new, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }
}

/// The slot with the earliest time, the first of several.
fn earliest<'a>(all: [Seen<'a>; SLOTS], moment: &Moment) -> Seen<'a> {
    let [first, rest @ ..] = all;
    let (earliest, _) = rest
        .into_iter()
        .fold((first, first.word.due(moment)), |best, seen| {
            let due = seen.word.due(moment);
            if due < best.1 { (seen, due) } else { best }
        });
    earliest
}
