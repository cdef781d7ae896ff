//! How many there were, and how many of them were of some kind, in bounded memory: adaptive distinct
//! sampling (Flajolet, "On Adaptive Sampling", Computing 43, 1990). Who is kept is told by the key, a
//! hash: how often somebody came changes nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use tidegate_limit::Key;

use crate::hashed::KeyHashing;
use crate::heavy::Tally;

/// A fixed share of all keys, with their tallies: all of them while there is room, then half of them, a
/// quarter and so on.
#[derive(Clone, Debug)]
pub struct Sample<V> {
    kept: HashMap<Key, V, KeyHashing>,
    room: usize,
    /// One key in 2^`halved` is kept.
    halved: u32,
}

/// So many halvings that one key in two thousand millions is kept.
const MOST_HALVED: u32 = 31;

impl<V: Tally> Sample<V> {
    /// Nobody yet, and room for so many.
    pub fn new(room: usize) -> Self {
        Sample {
            kept: HashMap::default(),
            room: room.max(2),
            halved: 0,
        }
    }

    fn keeps(&self, key: Key) -> bool {
        key.part(1 << self.halved) == 0
    }

    /// Counts.
    pub fn add(&mut self, key: Key, tally: &V) {
        if !self.keeps(key) {
            return;
        }
        match self.kept.entry(key) {
            Entry::Occupied(mut kept) => kept.get_mut().merge(tally),
            Entry::Vacant(place) => {
                place.insert(tally.clone());
            }
        }
        while self.kept.len() > self.room && self.halved < MOST_HALVED {
            self.halve(self.halved + 1);
        }
    }

    fn halve(&mut self, halved: u32) {
        self.halved = halved;
        self.kept.retain(|key, _| key.part(1 << halved) == 0);
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        if other.halved > self.halved {
            self.halve(other.halved);
        }
        for (key, tally) in &other.kept {
            self.add(*key, tally);
        }
    }

    /// Gives back memory that it does not need as it is.
    pub fn shrink(&mut self) {
        self.kept.shrink_to_fit();
    }

    /// Those that are kept.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &V)> {
        self.kept.iter()
    }

    /// For how many each of them stands: 1 while all are kept.
    pub fn stands_for(&self) -> u64 {
        1 << self.halved
    }

    /// By how much a share of all may be off, as two standard errors of the worst share, a half: 0 while
    /// all are kept.
    pub fn error(&self) -> f64 {
        match self.halved {
            0 => 0.0,
            _ => 1.0 / (self.kept.len().max(1) as f64).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_limit::{Domain, KeyHasher};

    use super::*;

    fn key(of: u32) -> Key {
        KeyHasher::from_secret(1, 2).key(Domain::Client, &of.to_be_bytes())
    }

    fn counted(keys: impl IntoIterator<Item = u32>) -> Sample<u64> {
        let mut sample = Sample::new(1000);
        for of in keys {
            sample.add(key(of), &1);
        }
        sample
    }

    fn estimate(sample: &Sample<u64>) -> u64 {
        sample.iter().count() as u64 * sample.stands_for()
    }

    #[test]
    fn all_are_kept_while_there_is_room() {
        let sample = counted((0..1000).chain(0..500));
        assert_eq!((estimate(&sample), sample.error()), (1000, 0.0));
        assert_eq!(sample.iter().map(|(_, times)| times).sum::<u64>(), 1500);
    }

    #[test]
    fn many_more_are_told_within_the_error() {
        let sample = counted(0..100_000);
        assert!(sample.iter().count() <= 1000);
        let off = estimate(&sample).abs_diff(100_000) as f64 / 100_000.0;
        assert!(off < 0.12, "{} of 100000", estimate(&sample));
        assert!((0.03..0.05).contains(&sample.error()), "{}", sample.error());
    }

    #[test]
    fn parts_count_nobody_twice() {
        let mut sample = counted(0..600);
        sample.merge(&counted(400..900));
        assert_eq!((estimate(&sample), sample.error()), (900, 0.0));
        sample.merge(&counted(0..50_000));
        let all = counted(0..50_000);
        assert_eq!(estimate(&sample), estimate(&all), "whatever the order");
    }
}
