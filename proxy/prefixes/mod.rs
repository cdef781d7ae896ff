//! Sets of addresses and prefixes that operators keep: who is known, who is blocked.
//!
//! Looked up for every connection and request, so a set has a form that is fast at a million prefixes,
//! is built off the request path and swapped whole.

mod bits;
mod book;
mod networks;
mod parse;
mod set;
mod table;

pub use book::{Added, Book, BookError, MAX_ADDED, check_reason, read_prefix};
pub use parse::parse_prefix;
pub use set::{Layers, PrefixSet};

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::in_force::InForce;

/// Sets that are in force.
#[derive(Debug, Default)]
pub struct Published {
    sets: InForce<Layers>,
}

impl Published {
    /// This set, in force.
    pub fn of(sets: impl Into<Layers>) -> Self {
        Published {
            sets: InForce::of(sets.into()),
        }
    }

    /// Starts to fetch what a lookup of the address reads, and waits for nothing: for who has other
    /// things to do before the lookup.
    pub fn prefetch(&self, address: IpAddr) {
        self.sets.load().prefetch(address);
    }

    /// Whether the address lies in one of the prefixes.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.sets.load().contains(address)
    }

    /// Whether an address lies both in this prefix and in the set.
    pub fn overlaps(&self, prefix: IpNet) -> bool {
        self.sets.load().overlaps(prefix)
    }

    /// How many prefixes it holds, as [`Layers::len`] counts.
    pub fn len(&self) -> usize {
        self.sets.load().len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts the set that `latest` gives in force, as [`Published::replace_all`] does.
    pub fn replace(&self, latest: impl FnOnce() -> PrefixSet) {
        self.replace_all(|| latest().into());
    }

    /// Puts the sets that `latest` gives in force, as [`InForce::replace`] does.
    pub fn replace_all(&self, latest: impl FnOnce() -> Layers) {
        self.sets.replace(latest);
    }
}

/// The network that a client's prefix is told with: a /24, of IPv6 a /48; the prefix itself where that
/// is wider.
pub fn network(prefix: IpNet) -> IpNet {
    match prefix {
        IpNet::V4(prefix) => Ipv4Net::new(prefix.addr(), prefix.prefix_len().min(24))
            .map_or(prefix, |net| net.trunc())
            .into(),
        IpNet::V6(prefix) => Ipv6Net::new(prefix.addr(), prefix.prefix_len().min(48))
            .map_or(prefix, |net| net.trunc())
            .into(),
    }
}

#[cfg(test)]
mod tests;
