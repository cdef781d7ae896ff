//! Sets of prefixes for looking addresses up.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::networks::{Building, Counts, Networks};
use super::table::Seed;

/// The bits of an IPv6 address that most prefixes of it leave alone.
const HALF: u8 = 64;

/// A set of prefixes. It takes 7 to 32 bytes for each, by their lengths, and does not change.
///
/// A lookup takes a step in memory for each of the lengths with the most prefixes, at most four of IPv4
/// and eight of IPv6, and a binary search for the others. It neither allocates nor waits.
#[derive(Debug, Default)]
pub struct PrefixSet {
    v4: Networks<u32>,
    /// IPv6 networks that their first half tells, which are half as large so.
    v6: Networks<u64>,
    v6_long: Networks<u128>,
}

/// The first half of an IPv6 address.
fn first_half(bits: u128) -> u64 {
    (bits >> HALF) as u64
}

impl PrefixSet {
    /// A set of these prefixes, which are gone through twice: counted, then put in.
    pub fn of(prefixes: impl Iterator<Item = IpNet> + Clone) -> Self {
        let mut counts = [Counts::new(), Counts::new(), Counts::new()];
        let [v4, v6, v6_long] = &mut counts;
        for prefix in prefixes.clone() {
            let length = prefix.prefix_len();
            match prefix {
                IpNet::V4(_) => v4.count(length),
                IpNet::V6(_) if length <= HALF => v6.count(length),
                IpNet::V6(_) => v6_long.count(length),
            }
        }
        let seed = Seed::random();
        let mut v4 = Building::new(v4, seed);
        let mut v6 = Building::new(v6, seed);
        let mut v6_long = Building::new(v6_long, seed);
        for prefix in prefixes {
            let length = prefix.prefix_len();
            match prefix {
                IpNet::V4(net) => v4.insert(net.network().to_bits(), length),
                IpNet::V6(net) if length <= HALF => {
                    v6.insert(first_half(net.network().to_bits()), length);
                }
                IpNet::V6(net) => v6_long.insert(net.network().to_bits(), length),
            }
        }
        PrefixSet {
            v4: v4.into_networks(),
            v6: v6.into_networks(),
            v6_long: v6_long.into_networks(),
        }
    }

    /// Whether the address lies in one of the prefixes. IPv4 must not be written as IPv6.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contains(address.to_bits()),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                self.v6.contains(first_half(bits)) || self.v6_long.contains(bits)
            }
        }
    }

    /// Starts to fetch what a lookup of the address reads, which at a million prefixes comes from memory.
    pub fn prefetch(&self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.v4.prefetch(address.to_bits()),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                self.v6.prefetch(first_half(bits));
                self.v6_long.prefetch(bits);
            }
        }
    }

    /// Whether an address lies both in this prefix and in the set. Goes through all of the set that
    /// is narrower than the prefix.
    pub fn overlaps(&self, prefix: IpNet) -> bool {
        let length = prefix.prefix_len();
        match prefix {
            IpNet::V4(net) => self.v4.overlaps(net.network().to_bits(), length),
            IpNet::V6(net) => {
                let bits = net.network().to_bits();
                self.v6.overlaps(first_half(bits), length.min(HALF))
                    || self.v6_long.overlaps(bits, length)
            }
        }
    }

    /// How many different prefixes it holds.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len() + self.v6_long.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that its prefixes take.
    pub fn memory(&self) -> usize {
        self.v4.memory() + self.v6.memory() + self.v6_long.memory()
    }
}

impl FromIterator<IpNet> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(prefixes: I) -> Self {
        let prefixes: Vec<IpNet> = prefixes.into_iter().collect();
        PrefixSet::of(prefixes.iter().copied())
    }
}

/// Sets that are looked up as one, so that a small one that changes does not make a large one be built
/// anew.
#[derive(Clone, Debug, Default)]
pub struct Layers(Vec<Arc<PrefixSet>>);

impl FromIterator<Arc<PrefixSet>> for Layers {
    /// Those of the sets that hold anything.
    fn from_iter<I: IntoIterator<Item = Arc<PrefixSet>>>(sets: I) -> Self {
        let sets = sets.into_iter().filter(|set| !set.is_empty());
        Layers(sets.collect())
    }
}

impl From<PrefixSet> for Layers {
    fn from(set: PrefixSet) -> Self {
        [Arc::new(set)].into_iter().collect()
    }
}

impl Layers {
    /// Whether the address lies in a prefix of any of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|set| set.contains(address))
    }

    /// Starts to fetch what a lookup of the address reads.
    pub fn prefetch(&self, address: IpAddr) {
        for set in &self.0 {
            set.prefetch(address);
        }
    }

    /// Whether an address lies both in this prefix and in any of them.
    pub fn overlaps(&self, prefix: IpNet) -> bool {
        self.0.iter().any(|set| set.overlaps(prefix))
    }

    /// How many prefixes they hold; one that two of them hold counts twice.
    pub fn len(&self) -> usize {
        self.0.iter().map(|set| set.len()).sum()
    }

    /// Whether they hold none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
