//! Networks of one prefix length, in a hash table of exactly the size that they need.

use std::hash::{BuildHasher, RandomState};

use super::bits::Bits;

/// Slots for so many networks: three fifths are taken, so a miss reads four slots, most often in one
/// cache line. The widest key then takes 27 bytes.
const fn slots(networks: usize) -> usize {
    networks + networks / 3 * 2 + 2
}

/// A secret of one set. Who may choose networks must not be able to choose ones that collide; nobody
/// outside sees which do, and the next set has another secret, so a multiplication is enough.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed(u64, u64);

impl Seed {
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        // Odd, so that the multiplication loses nothing.
        Seed(random.hash_one(0_u8), random.hash_one(1_u8) | 1)
    }

    /// The product of both halves, folded (as in wyhash).
    fn mix(self, key: u64) -> u64 {
        let product = u128::from(key ^ self.0) * u128::from(self.1);
        (product >> 64) as u64 ^ product as u64
    }

    fn hash<B: Bits>(self, key: B) -> u64 {
        let (high, low) = key.halves();
        let mixed = self.mix(low);
        match B::WIDTH > 64 {
            true => self.mix(mixed ^ high),
            false => self.mix(mixed),
        }
    }
}

/// A hash set with linear probing. It never grows: its networks are counted before.
#[derive(Debug)]
pub(super) struct Table<B> {
    seed: Seed,
    /// Zero is an empty slot.
    slots: Box<[B]>,
    has_zero: bool,
    networks: usize,
}

impl<B: Bits> Table<B> {
    /// A table with room for so many networks.
    pub(super) fn with_room(networks: usize, seed: Seed) -> Self {
        Table {
            seed,
            slots: vec![B::ZERO; slots(networks)].into_boxed_slice(),
            has_zero: false,
            networks: 0,
        }
    }

    /// Where a network is looked for first: below the number of slots.
    fn start(&self, network: B) -> usize {
        let spread = u128::from(self.seed.hash(network)) * self.slots.len() as u128;
        (spread >> 64) as usize
    }

    /// Puts a network in, unless it is there. One more than there is room for is not taken.
    pub(super) fn insert(&mut self, network: B) {
        if network == B::ZERO {
            self.networks += usize::from(!self.has_zero);
            self.has_zero = true;
            return;
        }
        // The last empty slot stays empty, so that every search ends.
        let full = self.networks + 1 >= self.slots.len();
        let start = self.start(network);
        let (before, from) = self.slots.split_at_mut(start);
        let free = |slot: &&mut B| **slot == network || **slot == B::ZERO;
        let slot = from.iter_mut().chain(before).find(free);
        if let Some(slot) = slot.filter(|slot| **slot == B::ZERO && !full) {
            *slot = network;
            self.networks += 1;
        }
    }

    /// Whether the network is in it.
    pub(super) fn contains(&self, network: B) -> bool {
        if network == B::ZERO {
            return self.has_zero;
        }
        let (before, from) = self.slots.split_at(self.start(network));
        let ended = search(from, network).or_else(|| search(before, network));
        ended.unwrap_or(false)
    }

    /// Starts to fetch what [`Table::contains`] reads first.
    pub(super) fn prefetch(&self, network: B) {
        if let Some(slot) = self.slots.get(self.start(network)) {
            tidegate_limit::prefetch(slot);
        }
    }

    /// All networks, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = B> {
        let slots = self.slots.iter().copied().filter(|slot| *slot != B::ZERO);
        slots.chain(self.has_zero.then_some(B::ZERO))
    }

    /// How many networks there are.
    pub(super) fn len(&self) -> usize {
        self.networks
    }

    /// Bytes that it takes.
    pub(super) fn memory(&self) -> usize {
        size_of_val(&*self.slots)
    }
}

/// Whether the network is in these slots; `None` when the search has to go on behind them.
fn search<B: Bits>(slots: &[B], network: B) -> Option<bool> {
    let end = slots
        .iter()
        .find(|slot| **slot == network || **slot == B::ZERO)?;
    Some(*end == network)
}
