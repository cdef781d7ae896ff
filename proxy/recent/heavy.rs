//! Who did the most, in bounded memory: Lossy Counting (Manku and Motwani, "Approximate Frequency
//! Counts over Data Streams", VLDB 2002), with a bound on the entries in place of one on the error.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

/// What is counted of each key.
pub trait Tally: Clone {
    /// How much it counts for who stays: when there is no room, the lightest leave.
    fn weight(&self) -> u64;

    /// Adds what was counted elsewhere.
    fn merge(&mut self, other: &Self);
}

/// The heaviest keys with their tallies. Exact until there are more keys than it has room for; from
/// then on a weight may be too low by [`Heavy::error`], and a key that is not there weighs no more than
/// that: at most a share of 2 / room of all.
#[derive(Clone, Debug)]
pub struct Heavy<K, V, S> {
    entries: HashMap<K, Entry<V>, S>,
    room: usize,
    error: u64,
}

#[derive(Clone, Debug)]
struct Entry<V> {
    tally: V,
    /// Weight that it may have had before and that was forgotten.
    missing: u64,
}

impl<V: Tally> Entry<V> {
    fn may_weigh(&self) -> u64 {
        self.tally.weight().saturating_add(self.missing)
    }
}

impl<K: Hash + Eq + Copy, V: Tally, S: BuildHasher + Default> Heavy<K, V, S> {
    /// Nobody yet, and room for so many.
    pub fn new(room: usize) -> Self {
        Heavy {
            entries: HashMap::default(),
            room: room.max(2),
            error: 0,
        }
    }

    /// By how much a weight may be too low; 0 while all is exact.
    pub fn error(&self) -> u64 {
        self.error
    }

    /// The keys with what was counted of them, at least.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.tally))
    }

    /// What was counted of a key, at least.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.tally)
    }

    /// Counts; what `tally` gives is only asked for a key that is not there.
    pub fn count(&mut self, key: K, more: impl FnOnce(&mut V), tally: impl FnOnce() -> V) {
        if let Some(entry) = self.entries.get_mut(&key) {
            return more(&mut entry.tally);
        }
        if self.entries.len() >= self.room {
            self.forget_the_lightest();
        }
        let entry = Entry {
            tally: tally(),
            missing: self.error,
        };
        self.entries.insert(key, entry);
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        for (key, here) in &mut self.entries {
            let there = other.entries.get(key);
            here.missing += there.map_or(other.error, |there| there.missing);
        }
        for (key, there) in &other.entries {
            let here = self.entries.entry(*key);
            here.and_modify(|here| here.tally.merge(&there.tally))
                .or_insert_with(|| Entry {
                    tally: there.tally.clone(),
                    missing: self.error + there.missing,
                });
        }
        self.error += other.error;
        while self.entries.len() > self.room {
            self.forget_the_lightest();
        }
    }

    /// Gives back memory that it does not need as it is.
    pub fn shrink(&mut self) {
        self.entries.shrink_to_fit();
    }

    /// Makes room: the lighter half leaves.
    fn forget_the_lightest(&mut self) {
        let mut weights: Vec<u64> = self.entries.values().map(Entry::may_weigh).collect();
        let middle = weights.len() / 2;
        if middle < weights.len() {
            let (_, most, _) = weights.select_nth_unstable(middle);
            let most = *most;
            self.entries.retain(|_, entry| entry.may_weigh() > most);
            self.error = self.error.max(most);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasherDefault, DefaultHasher};

    use super::*;

    impl Tally for u64 {
        fn weight(&self) -> u64 {
            *self
        }

        fn merge(&mut self, other: &Self) {
            *self += other;
        }
    }

    type Counted = Heavy<u32, u64, BuildHasherDefault<DefaultHasher>>;

    fn count(into: &mut Counted, keys: impl IntoIterator<Item = u32>) {
        for key in keys {
            into.count(key, |tally| *tally += 1, || 1);
        }
    }

    /// What was asked of each, in an order that mixes them: 40 heavy keys among mice that come once.
    fn stream() -> Vec<u32> {
        let mut keys: Vec<u32> = (0..40).flat_map(|key| vec![key; 500]).collect();
        keys.extend(1000..31_000);
        fastrand::Rng::with_seed(7).shuffle(&mut keys);
        keys
    }

    #[test]
    fn it_is_exact_while_there_is_room() {
        let mut heavy = Counted::new(10);
        count(&mut heavy, [1, 2, 1, 3, 1]);
        assert_eq!(
            (heavy.get(&1), heavy.get(&2), heavy.error()),
            (Some(&3), Some(&1), 0)
        );
        assert_eq!(heavy.get(&4), None);
    }

    fn holds_the_heavy(heavy: &Counted, room: u64, all: u64) {
        assert!(heavy.iter().count() as u64 <= room);
        assert!(heavy.error() <= 2 * all / room, "error {}", heavy.error());
        for key in 0..40 {
            let counted = *heavy
                .get(&key)
                .unwrap_or_else(|| panic!("{key} is missing"));
            assert!(counted <= 500, "{key} was counted {counted} times");
            assert!(
                counted + heavy.error() >= 500,
                "{key}: {counted}, error {}",
                heavy.error()
            );
        }
    }

    #[test]
    fn a_flood_of_mice_does_not_hide_who_did_the_most() {
        let mut heavy = Counted::new(400);
        let stream = stream();
        count(&mut heavy, stream.iter().copied());
        holds_the_heavy(&heavy, 400, stream.len() as u64);
    }

    #[test]
    fn parts_that_were_counted_apart_add_up_within_their_errors() {
        let stream = stream();
        let mut all = Counted::new(400);
        for part in stream.chunks(stream.len() / 5) {
            let mut heavy = Counted::new(400);
            count(&mut heavy, part.iter().copied());
            all.merge(&heavy);
        }
        assert!(all.iter().count() <= 400);
        for key in 0..40 {
            let counted = all.get(&key).copied().unwrap_or(0);
            assert!(counted <= 500, "{key} was counted {counted} times");
            assert!(
                counted + all.error() >= 500,
                "{key}: {counted}, error {}",
                all.error()
            );
        }
    }
}
