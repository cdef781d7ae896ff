//! Who sends the most: clients, networks, autonomous systems, countries, tenants, paths and user agents, by requests, refusals, bytes
//! and the time that upstreams are held, over the last seconds and minutes.
//!
//! Each ended request goes into a bounded queue; while more than ten thousand end in a second a share of
//! them does, each for as many as it stands for (Horvitz and Thompson 1952), so that looking costs less
//! the harder the flood is. One thread counts them in sketches of fixed size ([`Keeper`]). What may be
//! off by either is told as an error.
//!
//! Memory: 1.3 MiB for the queue, up to about ten for the sketches, and as much once more while somebody
//! looks at all windows.

mod answer;
mod event;
mod keeper;
mod owners;
mod sampler;
mod slot;
mod source;

pub use answer::{Measured, Source, Sources};
pub use keeper::{Keeper, Query, Window};
pub use owners::{Owners, OwnersError};
pub use source::{Kind, Measure};

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use event::Event;
use sampler::Sampler;

use crate::account::Facts;
use crate::in_force::InForce;

/// Events that may wait to be taken over: those of a fortieth of a second at 160,000 a second.
const QUEUE: usize = 4096;

/// What the end of a request needs.
#[derive(Debug)]
pub struct Top {
    queue: SyncSender<Event>,
    /// Refusals are many and alike; what was served is looked at apart, so that a flood of the ones does
    /// not make the others rare.
    refused: Sampler,
    served: Sampler,
    /// Requests that were not looked at because the queue was full.
    missed: AtomicU64,
    /// Whose the addresses are.
    pub owners: InForce<Owners>,
}

/// Where events arrive.
#[derive(Debug)]
pub struct Arrivals(Receiver<Event>);

impl Top {
    /// Nothing yet, and where events arrive.
    pub fn new(owners: Owners) -> (Self, Arrivals) {
        let (queue, arrivals) = sync_channel(QUEUE);
        let top = Top {
            queue,
            refused: Sampler::default(),
            served: Sampler::default(),
            missed: AtomicU64::new(0),
            owners: InForce::of(owners),
        };
        (top, Arrivals(arrivals))
    }

    /// A request has ended. No lock and no allocation: when too many wait, this one is only counted.
    /// (The queue would take a lock to wake a thread that sleeps in it, which none does.)
    pub fn ended(&self, facts: &Facts) {
        let sampler = self.sampler(facts.is_refused());
        let measures = event::measures(facts);
        let stands_for = match measures.is_large() {
            true => 1,
            false => sampler.draw(),
        };
        if stands_for > 0 {
            self.send(Event::of_request(facts, measures, stands_for));
        }
    }

    /// A connection was closed before a request was read.
    pub fn closed(&self, client: IpAddr) {
        let stands_for = self.refused.draw();
        if stands_for > 0 {
            self.send(Event::of_connection(client, stands_for));
        }
    }

    fn sampler(&self, refused: bool) -> &Sampler {
        match refused {
            true => &self.refused,
            false => &self.served,
        }
    }

    fn send(&self, event: Event) {
        let stands_for = event.stands_for;
        if self.queue.try_send(event).is_err() {
            self.missed.fetch_add(stands_for.into(), Relaxed);
        }
    }
}
