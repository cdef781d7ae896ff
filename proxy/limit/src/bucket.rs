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

impl Bucket {
    /// The slot with this fingerprint, if one had it when `words` were read.
    ///
    /// No branch depends on the position. It could not be predicted, and a
    /// processor that guesses wrong does not start on the next decision while it
    /// waits for this cache line.
    #[inline]
    pub(crate) fn own(&self, words: &[Word; SLOTS], print: Print) -> Option<Seen<'_>> {
        let is_of_print = (0..).zip(words).fold(0_u32, |set, (position, word)| {
            set | u32::from(word.is_of(print)) << position
        });
        let position = is_of_print.trailing_zeros() as usize;
        let (slot, word) = (self.0.get(position)?, *words.get(position)?);
        Some(Seen { slot, word })
    }

    /// The slot to take for a key that has none: the one with the earliest time,
    /// the first of several, an empty one before all others. Only contents and
    /// positions decide, so that threads which insert one key at the same time
    /// choose one slot. `words` have to be the ones in which the key was not
    /// found: see the argument in `table`.
    pub(crate) fn victim(&self, words: &[Word; SLOTS], moment: &Moment) -> Seen<'_> {
        let ([slot, slots @ ..], [word, words @ ..]) = (&self.0, *words);
        let first = Seen { slot, word };
        let rest = slots.iter().zip(words);
        let rest = rest.map(|(slot, word)| Seen { slot, word });
        let (earliest, _) = rest.fold((first, word.due(moment)), |best, seen| {
            let due = seen.word.due(moment);
            if due < best.1 { (seen, due) } else { best }
        });
        earliest
    }

    /// All slots' contents, each read once.
    pub(crate) fn read(&self) -> [Word; SLOTS] {
        // Acquire: see "Synchronization" in `table`.
        let read = |slot: &AtomicU64| Word::from_bits(slot.load(Ordering::Acquire));
        self.0.each_ref().map(read)
    }

    /// All slots, each read once.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Seen<'_>> {
        let slots = self.0.iter().zip(self.read());
        slots.map(|(slot, word)| Seen { slot, word })
    }

    /// Overwrites all slots. Only before anybody decides by them.
    pub(crate) fn fill(&self, words: [Word; SLOTS]) {
        for (slot, word) in self.0.iter().zip(words) {
            slot.store(word.bits(), Ordering::Relaxed);
        }
    }

    /// Writes to the bucket without changing it, so that its memory is there.
    pub(crate) fn touch(&self) {
        let [first, ..] = &self.0;
        first.store(0, Ordering::Relaxed);
    }
}

impl Seen<'_> {
    /// Replaces what was read by `word`, unless the slot has changed since.
    pub(crate) fn replace(&self, word: Word) -> bool {
        let (old, new) = (self.word.bits(), word.bits());
        // Release: see "Synchronization" in `table`.
        self.slot
            .compare_exchange(old, new, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }
}
