//! A table's contents, on their way to the process that goes on with them.

use crate::bucket::{Bucket, SLOTS};
use crate::ring::{Moment, Word};
use crate::table::Table;
use crate::time::Now;

/// One bucket's part of an image: its slots, empty ones included.
pub type ImagePart = [u64; SLOTS];

impl Table {
    /// What the words of an image mean: units, ring and fingerprint of the entries,
    /// how a key chooses its bucket, and how [`KeyHasher`](crate::KeyHasher) makes
    /// keys. Whoever changes any of these counts on.
    pub const IMAGE_FORMAT: u32 = 1;

    /// How many parts an image has: one for each bucket. An image fits only into a
    /// table with as many, for an entry does not hold the bits that chose its bucket.
    #[must_use]
    pub fn image_parts(&self) -> usize {
        self.buckets().len()
    }

    /// The table's contents, part by part, read beside the traffic: no decision
    /// waits, and what is decided while a part is read may or may not be in it.
    pub fn image(&self) -> impl Iterator<Item = ImagePart> {
        let parts = self.buckets().iter().map(Bucket::read);
        parts.map(|words| words.map(Word::bits))
    }

    /// Takes over an image of a table with the same number of parts, whose times
    /// run from the same start and whose keys come from the same secret. `now` is
    /// not earlier than any time by which the other table decided. Says how many
    /// entries were live; the others are left out, so that a sweep that was due is
    /// done.
    ///
    /// For a new table, before the first decision by it: what it holds is
    /// overwritten. Any words are safe; those that no table wrote give some keys
    /// wrong counters, which last no longer than a window.
    pub fn restore(&self, image: impl IntoIterator<Item = ImagePart>, now: Now) -> usize {
        let moment = Moment::at(now);
        let mut live = 0;
        for (bucket, part) in self.buckets().iter().zip(image) {
            let words = part.map(Word::from_bits);
            let words = words.map(|word| {
                if word.is_live(&moment) {
                    word
                } else {
                    Word::EMPTY
                }
            });
            live += words.iter().filter(|word| **word != Word::EMPTY).count();
            bucket.fill(words);
        }
        self.note(now);
        live
    }
}
