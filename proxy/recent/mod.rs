//! What went through the gate in the last hour, and what another mode or limit would have refused of it.
//!
//! On the way of a request it is counted and put into a bounded queue ([`Recent`]). One thread takes it
//! from there ([`Keeper`]) into what is kept of the last ten seconds, and that into what is kept of the
//! last minutes and the last hour. Everything is bounded: what does not fit is told as an error, and the
//! totals are exact all the same.
//!
//! The queue takes 1.8 MiB. The rest grows with the clients of the last hour to its bound: some 15 MiB in
//! a flood of unknown ones, 25 when an app confirms tens of thousands of them, and 3 while a question is
//! answered (measured with 60,000 new clients in each ten seconds of 70 minutes).

mod answer;
mod bursts;
mod crowd;
mod history;
mod keeper;
mod preview;
mod sample;
mod slot;

pub use answer::{Named, Preview, Share, Window};
pub use history::Span;
pub use keeper::Keeper;
pub use preview::Question;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Receiver;

use arrayvec::ArrayString;
use ipnet::IpNet;
use tidegate_limit::Key;

use crate::cut::cut;
use crate::feed::Feed;

/// Events that may wait to be taken over: those of a tenth of a second at 160,000 a second.
const QUEUE: usize = 16_384;

/// A tenant's name, cut where it is longer.
type Name = ArrayString<48>;

/// What the verdict says of a request.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// The client as it is counted.
    pub key: Key,
    /// The client's prefix.
    pub client: IpNet,
    /// The tenant as it is counted, where it has a name.
    pub tenant: Option<Key>,
    /// Tokens that it takes of its client's limit.
    pub tokens: u32,
    /// Whether `known-only` lets it in only when its client is known: it is for no path that stays open,
    /// and shows no pass.
    pub needs_known: bool,
    /// Whether its client is known.
    pub known: bool,
    /// Whether a limit refuses it, or would if the mode enforced it.
    pub limited: bool,
    /// Whether it was turned away before any limit was asked.
    pub turned_away: bool,
}

impl Judged {
    /// Whether `known-only` refuses it, unless its client is in a share that is let in.
    pub fn shut_out(&self) -> bool {
        self.needs_known && !self.known
    }
}

/// What has happened.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A request was judged.
    Judged(Judged, Name),
    /// The app confirmed that a client is a customer's.
    Confirmed(Key),
}

/// What the way of a request needs.
#[derive(Debug)]
pub struct Recent {
    feed: Feed<Event>,
    requests: AtomicU64,
    shut_out: AtomicU64,
    limited: AtomicU64,
    turned_away: AtomicU64,
}

/// What was counted of all requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    requests: u64,
    shut_out: u64,
    limited: u64,
    turned_away: u64,
    /// Of which no more is known: they came faster than they could be taken over.
    missed: u64,
    /// Connections that were closed before a request was read.
    closed: u64,
}

/// Where events arrive.
#[derive(Debug)]
pub struct Arrivals(Receiver<Event>);

impl Recent {
    /// Nothing yet, and where events arrive.
    pub fn new() -> (Self, Arrivals) {
        let (feed, arrivals) = Feed::new(QUEUE);
        let recent = Recent {
            feed,
            requests: AtomicU64::new(0),
            shut_out: AtomicU64::new(0),
            limited: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
        };
        (recent, Arrivals(arrivals))
    }

    /// A request was judged. No lock and no allocation: when too many wait, this one is in the totals
    /// alone.
    pub fn judged(&self, judged: &Judged, tenant: Option<&str>) {
        self.requests.fetch_add(1, Relaxed);
        for (is_so, counter) in [
            (judged.shut_out(), &self.shut_out),
            (judged.limited, &self.limited),
            (judged.turned_away, &self.turned_away),
        ] {
            if is_so {
                counter.fetch_add(1, Relaxed);
            }
        }
        let event = Event::Judged(*judged, cut(tenant.unwrap_or_default()));
        self.feed.send(event, 1);
    }

    /// The app confirmed that this client is a customer's.
    pub fn confirmed(&self, client: Key) {
        self.feed.send(Event::Confirmed(client), 1);
    }

    /// `closed`: connections that were closed before a request was read.
    fn totals(&self, closed: u64) -> Totals {
        Totals {
            requests: self.requests.load(Relaxed),
            shut_out: self.shut_out.load(Relaxed),
            limited: self.limited.load(Relaxed),
            turned_away: self.turned_away.load(Relaxed),
            missed: self.feed.missed(),
            closed,
        }
    }
}

impl Totals {
    /// What has come since `before`.
    fn since(self, before: Totals) -> Totals {
        self.with(before, u64::saturating_sub)
    }

    fn and(self, other: Totals) -> Totals {
        self.with(other, u64::saturating_add)
    }

    fn with(self, other: Totals, each: impl Fn(u64, u64) -> u64) -> Totals {
        Totals {
            requests: each(self.requests, other.requests),
            shut_out: each(self.shut_out, other.shut_out),
            limited: each(self.limited, other.limited),
            turned_away: each(self.turned_away, other.turned_away),
            missed: each(self.missed, other.missed),
            closed: each(self.closed, other.closed),
        }
    }
}
