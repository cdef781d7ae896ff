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
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;

/// Milliseconds after which nothing is being looked up any more that began before.
const LONGEST_LOOKUP: u32 = 100;

/// Sets that are in force: read without a lock, replaced whole.
#[derive(Debug, Default)]
pub struct Published {
    sets: ArcSwap<Layers>,
    turn: Mutex<()>,
}

impl Published {
    /// This set, in force.
    pub fn of(sets: impl Into<Layers>) -> Self {
        Published {
            sets: ArcSwap::from_pointee(sets.into()),
            turn: Mutex::new(()),
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

    /// Puts the sets that `latest` gives in force. One at a time, so that no older ones replace newer
    /// ones. Those before end here and not in a request that looks something up: to free a large one
    /// takes a moment.
    pub fn replace_all(&self, latest: impl FnOnce() -> Layers) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.sets.swap(Arc::new(latest()));
        for _ in 0..LONGEST_LOOKUP {
            if Arc::strong_count(&before) == 1 {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[cfg(test)]
mod tests;
