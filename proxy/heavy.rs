//! Who did the most, in bounded memory: Lossy Counting (Manku and Motwani, "Approximate Frequency
//! Counts over Data Streams", VLDB 2002), with a bound on the entries in place of one on the error, and
//! by several measures at once: requests and bytes, say.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

/// What is counted of each key, by `N` measures.
pub trait Tally<const N: usize = 1>: Clone {
    /// How much it counts for who stays: when there is no room, those leave that are light by every
    /// measure.
    fn weights(&self) -> [u64; N];

    /// Adds what was counted elsewhere.
    fn merge(&mut self, other: &Self);
}

/// The heaviest keys with their tallies. Exact until there are more keys than it has room for; from
/// then on a weight may be too low by [`Heavy::error`], and a key that is not there weighs no more than
/// that: at most a share of 2 N / room of all.
#[derive(Clone, Debug)]
pub struct Heavy<K, V, S, const N: usize = 1> {
    entries: HashMap<K, Entry<V, N>, S>,
    room: usize,
    error: [u64; N],
}

#[derive(Clone, Debug)]
struct Entry<V, const N: usize> {
    tally: V,
    /// Weight that it may have had before and that was forgotten.
    missing: [u64; N],
}

impl<V: Tally<N>, const N: usize> Entry<V, N> {
    fn may_weigh(&self) -> [u64; N] {
        sum(self.tally.weights(), self.missing)
    }
}

/// Measure by measure.
fn sum<const N: usize>(mut one: [u64; N], other: [u64; N]) -> [u64; N] {
    for (here, there) in one.iter_mut().zip(other) {
        *here = here.saturating_add(there);
    }
    one
}

impl<K, V, S, const N: usize> Heavy<K, V, S, N>
where
    K: Hash + Eq + Copy,
    V: Tally<N>,
    S: BuildHasher + Default,
{
    /// Nobody yet, and room for so many.
    pub fn new(room: usize) -> Self {
        Heavy {
            entries: HashMap::default(),
            room: room.max(2 * N),
            error: [0; N],
        }
    }

    /// By how much a weight may be too low, by each measure; 0 while all is exact.
    pub fn error(&self) -> [u64; N] {
        self.error
    }

    /// The keys with what was counted of them, at least.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.tally))
    }

    /// What was counted of each key, at least, and how much more it may be, by each measure.
    pub fn bounded(&self) -> impl Iterator<Item = (&V, [u64; N])> {
        self.entries
            .values()
            .map(|entry| (&entry.tally, entry.missing))
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
            here.missing = sum(
                here.missing,
                there.map_or(other.error, |there| there.missing),
            );
        }
        for (key, there) in &other.entries {
            let here = self.entries.entry(*key);
            here.and_modify(|here| here.tally.merge(&there.tally))
                .or_insert_with(|| Entry {
                    tally: there.tally.clone(),
                    missing: sum(self.error, there.missing),
                });
        }
        self.error = sum(self.error, other.error);
        while self.entries.len() > self.room {
            self.forget_the_lightest();
        }
    }

    /// Gives back memory that it does not need as it is.
    pub fn shrink(&mut self) {
        self.entries.shrink_to_fit();
    }

    /// Makes room: at least half leave. By each measure the same number stays.
    fn forget_the_lightest(&mut self) {
        let leave = self.entries.len() - self.entries.len() / (2 * N);
        let most: [u64; N] = std::array::from_fn(|measure| self.weight_at(measure, leave));
        self.entries.retain(|_, entry| {
            let mut weights = entry.may_weigh().into_iter().zip(most);
            weights.any(|(weight, most)| weight > most)
        });
        for (error, most) in self.error.iter_mut().zip(most) {
            *error = most.max(*error);
        }
    }

    /// The weight of the entry that has so many lighter ones.
    fn weight_at(&self, measure: usize, lighter: usize) -> u64 {
        let entries = self.entries.values();
        let weights = entries.filter_map(|entry| entry.may_weigh().get(measure).copied());
        let mut weights: Vec<u64> = weights.collect();
        match lighter < weights.len() {
            true => *weights.select_nth_unstable(lighter).1,
            false => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasherDefault, DefaultHasher};

    use super::*;

    impl Tally for u64 {
        fn weights(&self) -> [u64; 1] {
            [*self]
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
            (Some(&3), Some(&1), [0])
        );
        assert_eq!(heavy.get(&4), None);
    }

    fn holds_the_heavy(heavy: &Counted, room: u64, all: u64) {
        assert!(heavy.iter().count() as u64 <= room);
        let [error] = heavy.error();
        assert!(error <= 2 * all / room, "error {error}");
        for key in 0..40 {
            let counted = *heavy
                .get(&key)
                .unwrap_or_else(|| panic!("{key} is missing"));
            assert!(counted <= 500, "{key} was counted {counted} times");
            assert!(counted + error >= 500, "{key}: {counted}, error {error}");
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
        let [error] = all.error();
        for key in 0..40 {
            let counted = all.get(&key).copied().unwrap_or(0);
            assert!(counted <= 500, "{key} was counted {counted} times");
            assert!(counted + error >= 500, "{key}: {counted}, error {error}");
        }
    }

    impl Tally<2> for [u64; 2] {
        fn weights(&self) -> [u64; 2] {
            *self
        }

        fn merge(&mut self, other: &Self) {
            *self = sum(*self, *other);
        }
    }

    #[test]
    fn who_is_heavy_by_one_measure_stays_for_it() {
        let mut heavy: Heavy<u32, [u64; 2], BuildHasherDefault<DefaultHasher>, 2> = Heavy::new(400);
        let mut stream: Vec<(u32, [u64; 2])> = (1000..31_000).map(|key| (key, [1, 1])).collect();
        stream.extend((0..500).map(|_| (1, [1, 0])));
        stream.push((2, [1, 900]));
        fastrand::Rng::with_seed(7).shuffle(&mut stream);
        for (key, weights) in stream {
            heavy.count(key, |tally| tally.merge(&weights), || weights);
        }
        let [often, much] = heavy.error();
        assert!(
            often <= 4 * 31_000 / 400 && much <= 4 * 31_000 / 400,
            "{often}, {much}"
        );
        let [requests, _] = heavy.get(&1).copied().unwrap_or_default();
        assert!(requests <= 500 && requests + often >= 500, "{requests}");
        assert_eq!(heavy.get(&2), Some(&[1, 900]));
    }
}
