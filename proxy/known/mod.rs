//! The known set: the addresses and prefixes of known customers.
//!
//! Looked up for every request, so it is a hash set a prefix length (measured as the fastest form
//! while lengths are few), built off the request path and swapped whole.

mod book;
mod prefix;
mod published;

pub use book::{Added, Book, BookError, Entry};
pub use published::Published;

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;

/// A set of prefixes, for looking addresses up.
#[derive(Debug, Default)]
pub struct KnownSet {
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

impl FromIterator<IpNet> for KnownSet {
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
        KnownSet {
            v4: v4
                .into_iter()
                .map(|(length, networks)| Length {
                    mask: u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0),
                    networks,
                })
                .collect(),
            v6: v6
                .into_iter()
                .map(|(length, networks)| Length {
                    mask: u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0),
                    networks,
                })
                .collect(),
            prefixes: count,
        }
    }
}

impl KnownSet {
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

    /// How many different prefixes it holds.
    pub fn len(&self) -> usize {
        self.prefixes
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.prefixes == 0
    }
}

#[cfg(test)]
mod tests;
