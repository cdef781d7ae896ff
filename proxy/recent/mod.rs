//! What went through the gate in the last hour, and what another mode or limit would have refused of it.
//!
//! On the way of a request it is counted and put into a bounded queue ([`Recent`]). One thread takes it
//! from there ([`Keeper`]) into what is kept of the last ten seconds, and that into what is kept of the
//! last minutes and the last hour. Everything is bounded: what does not fit is told as an error, and the
//! totals are exact all the same.
//!
//! The queue takes 1.8 MiB. The rest grows with the clients of the last hour to some 13 MiB in a flood of
//! unknown ones, and to 22 when an app confirms tens of thousands of them, which is its bound (measured
//! with 60,000 new clients in each ten seconds of 70 minutes).

mod bursts;
mod heavy;
mod history;
mod keeper;
mod key;
mod preview;
mod sample;
mod slot;

pub use keeper::Keeper;
pub use preview::{Named, Preview, Question, Share, Window};

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use arrayvec::ArrayString;
use ipnet::IpNet;
use tidegate_limit::Key;

/// Events that may wait to be taken over: those of a tenth of a second at 160,000 a second.
const QUEUE: usize = 16_384;

/// A tenant's name, cut where it is longer.
pub type Name = ArrayString<48>;

/// What the verdict knew of a request.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// The client as it is counted.
    pub key: Key,
    /// The client's prefix.
    pub client: IpNet,
    /// The tenant as it is counted, where it has a name.
    pub tenant: Option<Key>,
    /// Whether the client is a known customer, by its address or by its pass.
    pub known: bool,
    /// Tokens that it takes of its client's limit.
    pub tokens: u32,
    /// Whether `known-only` refuses it.
    pub shut_out: bool,
    /// Whether a limit refuses it, or would if the mode enforced it.
    pub limited: bool,
}

/// One request, for who keeps what was recently.
#[derive(Clone, Copy, Debug)]
struct Event {
    judged: Judged,
    tenant: Name,
    /// Whether its response confirmed that the client is a customer's.
    confirmed: bool,
}

/// What the way of a request needs.
#[derive(Debug)]
pub struct Recent {
    queue: SyncSender<Event>,
    requests: AtomicU64,
    shut_out: AtomicU64,
    limited: AtomicU64,
    missed: AtomicU64,
}

/// What was counted of all requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    requests: u64,
    shut_out: u64,
    limited: u64,
    /// Of which no more is known: they came faster than they could be taken over.
    missed: u64,
}

/// Where events arrive.
#[derive(Debug)]
pub struct Arrivals(Receiver<Event>);

impl Recent {
    /// Nothing yet, and where events arrive.
    pub fn new() -> (Self, Arrivals) {
        let (queue, arrivals) = sync_channel(QUEUE);
        let recent = Recent {
            queue,
            requests: AtomicU64::new(0),
            shut_out: AtomicU64::new(0),
            limited: AtomicU64::new(0),
            missed: AtomicU64::new(0),
        };
        (recent, Arrivals(arrivals))
    }

    /// A request has ended. No lock and no allocation: when too many wait, this one is in the totals
    /// alone. (The queue would take a lock to wake a thread that sleeps in it, which none does.)
    pub fn add(&self, judged: Judged, tenant: Option<&str>, confirmed: bool) {
        self.requests.fetch_add(1, Relaxed);
        if judged.shut_out {
            self.shut_out.fetch_add(1, Relaxed);
        }
        if judged.limited {
            self.limited.fetch_add(1, Relaxed);
        }
        let event = Event {
            judged,
            tenant: cut(tenant.unwrap_or_default()),
            confirmed,
        };
        if self.queue.try_send(event).is_err() {
            self.missed.fetch_add(1, Relaxed);
        }
    }

    fn totals(&self) -> Totals {
        Totals {
            requests: self.requests.load(Relaxed),
            shut_out: self.shut_out.load(Relaxed),
            limited: self.limited.load(Relaxed),
            missed: self.missed.load(Relaxed),
        }
    }
}

impl Totals {
    /// What has come since `before`.
    fn since(self, before: Totals) -> Totals {
        Totals {
            requests: self.requests.saturating_sub(before.requests),
            shut_out: self.shut_out.saturating_sub(before.shut_out),
            limited: self.limited.saturating_sub(before.limited),
            missed: self.missed.saturating_sub(before.missed),
        }
    }

    fn and(self, other: Totals) -> Totals {
        Totals {
            requests: self.requests + other.requests,
            shut_out: self.shut_out + other.shut_out,
            limited: self.limited + other.limited,
            missed: self.missed + other.missed,
        }
    }
}

fn cut(name: &str) -> Name {
    let end = name.floor_char_boundary(Name::new_const().capacity());
    let cut = name.get(..end).unwrap_or_default();
    Name::from(cut).unwrap_or_default()
}
