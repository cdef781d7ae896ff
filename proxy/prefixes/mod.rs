//! Sets of addresses and prefixes that operators keep: who is known, who is blocked.
//!
//! Looked up for every connection and request, so a set is a hash set a prefix length (measured as
//! the fastest form while lengths are few), built off the request path and swapped whole.

mod book;
mod parse;

pub use book::{Added, Book, BookError, MAX_ADDED, read_prefix};
pub use parse::parse_prefix;

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use ipnet::IpNet;

/// A set of prefixes, for looking addresses up.
#[derive(Debug, Default)]
pub struct PrefixSet {
    v4: Vec<Length<u32>>,
    v6: Vec<Length<u128>>,
    prefixes: usize,
}

/// The networks of one prefix length.
#[derive(Debug)]
struct Length<Bits> {
    mask: Bits,
    networks: HashSet<Bits>,
}

impl FromIterator<IpNet> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(prefixes: I) -> Self {
        let mut v4: BTreeMap<u8, HashSet<u32>> = BTreeMap::new();
        let mut v6: BTreeMap<u8, HashSet<u128>> = BTreeMap::new();
        let mut count = 0;
        for prefix in prefixes {
            count += usize::from(match prefix {
                IpNet::V4(net) => v4
                    .entry(net.prefix_len())
                    .or_default()
                    .insert(net.network().to_bits()),
                IpNet::V6(net) => v6
                    .entry(net.prefix_len())
                    .or_default()
                    .insert(net.network().to_bits()),
            });
        }
        PrefixSet {
            v4: v4
                .into_iter()
                .map(|(length, networks)| Length {
                    mask: mask_v4(length),
                    networks,
                })
                .collect(),
            v6: v6
                .into_iter()
                .map(|(length, networks)| Length {
                    mask: mask_v6(length),
                    networks,
                })
                .collect(),
            prefixes: count,
        }
    }
}

/// The part of the networks that a prefix of this length keeps.
fn mask_v4(length: u8) -> u32 {
    u32::MAX
        .checked_shl(32_u32.saturating_sub(length.into()))
        .unwrap_or(0)
}

fn mask_v6(length: u8) -> u128 {
    u128::MAX
        .checked_shl(128_u32.saturating_sub(length.into()))
        .unwrap_or(0)
}

impl PrefixSet {
    /// Whether the address lies in one of the prefixes. IPv4 must not be written as IPv6.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => {
                let bits = address.to_bits();
                self.v4
                    .iter()
                    .any(|length| length.networks.contains(&(bits & length.mask)))
            }
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                self.v6
                    .iter()
                    .any(|length| length.networks.contains(&(bits & length.mask)))
            }
        }
    }

    /// Whether an address lies both in this prefix and in the set. Goes through all of the set that
    /// is narrower than the prefix.
    pub fn overlaps(&self, prefix: IpNet) -> bool {
        match prefix {
            IpNet::V4(net) => {
                let (bits, mask) = (net.network().to_bits(), mask_v4(net.prefix_len()));
                self.v4.iter().any(|length| match length.mask <= mask {
                    true => length.networks.contains(&(bits & length.mask)),
                    false => length.networks.iter().any(|other| other & mask == bits),
                })
            }
            IpNet::V6(net) => {
                let (bits, mask) = (net.network().to_bits(), mask_v6(net.prefix_len()));
                self.v6.iter().any(|length| match length.mask <= mask {
                    true => length.networks.contains(&(bits & length.mask)),
                    false => length.networks.iter().any(|other| other & mask == bits),
                })
            }
        }
    }

    /// How many different prefixes it holds.
    pub fn len(&self) -> usize {
        self.prefixes
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.prefixes == 0
    }
}

/// A set that is in force: read without a lock, replaced whole.
#[derive(Debug, Default)]
pub struct Published {
    set: ArcSwap<PrefixSet>,
    turn: Mutex<()>,
}

impl Published {
    /// This set, in force.
    pub fn of(set: PrefixSet) -> Self {
        Published {
            set: ArcSwap::from_pointee(set),
            turn: Mutex::new(()),
        }
    }

    /// Whether the address lies in one of the prefixes.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.set.load().contains(address)
    }

    /// Whether an address lies both in this prefix and in the set.
    pub fn overlaps(&self, prefix: IpNet) -> bool {
        self.set.load().overlaps(prefix)
    }

    /// How many different prefixes it holds.
    pub fn len(&self) -> usize {
        self.set.load().len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts the set that `latest` gives in force. One at a time, so that no older set replaces a
    /// newer one.
    pub fn replace(&self, latest: impl FnOnce() -> PrefixSet) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.set.store(Arc::new(latest()));
    }
}

#[cfg(test)]
mod tests;
