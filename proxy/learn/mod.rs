//! Learned customers: clients of whom the app said that they are customers', by a header of its
//! response or by its status ([`Confirming`]).
//!
//! On the way of a request a confirmation is put into a bounded queue and nothing more ([`Learned`]).
//! One thread takes it from there into the set in memory and puts the set in force; another writes it
//! down, so that a disk that hangs stops nobody from becoming known ([`Keeper`]).

mod confirming;
mod keeper;
mod log;
mod record;
mod set;

pub use confirming::{Confirmable, Confirming};
pub use keeper::{Counts, Keeper, Problem, ProblemKind};
pub use record::Confirmed;
pub use set::Bounds;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Receiver;

use ipnet::IpNet;

use crate::feed::Feed;
use crate::prefixes::{PrefixSet, Published};

/// Confirmations that may wait to be taken over: those of a twentieth of a second at 160,000 a second.
const QUEUE: usize = 8192;

/// What the way of a request needs of the learned customers.
#[derive(Debug)]
pub struct Learned {
    set: Published,
    feed: Feed<IpNet>,
    accepted: AtomicU64,
    unattributed: AtomicU64,
}

impl Learned {
    /// Nobody yet, and where confirmations arrive.
    pub fn new() -> (Self, Receiver<IpNet>) {
        let (feed, arrivals) = Feed::new(QUEUE);
        let learned = Learned {
            set: Published::default(),
            feed,
            accepted: AtomicU64::new(0),
            unattributed: AtomicU64::new(0),
        };
        (learned, arrivals)
    }

    /// Whether the address lies in a prefix that was learned. No lock, no allocation.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.set.contains(address)
    }

    /// Whether an address lies both in this prefix and in one that was learned.
    pub fn overlaps(&self, prefix: IpNet) -> bool {
        self.set.overlaps(prefix)
    }

    /// How many prefixes are in force.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A customer's client was confirmed: `None` for one that nobody named. No lock and no allocation;
    /// when too many wait, it is dropped and counted.
    fn confirm(&self, prefix: Option<IpNet>) {
        let counter = match prefix.map(|prefix| self.feed.send(prefix, 1)) {
            Some(true) => &self.accepted,
            Some(false) => return,
            None => &self.unattributed,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Confirmations so far: accepted, dropped because too many waited, and of clients that a trusted
    /// proxy did not name.
    pub fn confirmations(&self) -> [u64; 3] {
        let [accepted, unattributed] =
            [&self.accepted, &self.unattributed].map(|counter| counter.load(Relaxed));
        [accepted, self.feed.missed(), unattributed]
    }

    fn put_in_force(&self, latest: impl FnOnce() -> PrefixSet) {
        self.set.replace(latest);
    }
}
