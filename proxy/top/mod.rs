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
use std::sync::mpsc::Receiver;

use event::Event;
use sampler::Sampler;

use crate::account::Facts;
use crate::feed::Feed;
use crate::in_force::InForce;

/// Events that may wait to be taken over: those of a fortieth of a second at 160,000 a second.
const QUEUE: usize = 4096;

/// What the end of a request needs.
#[derive(Debug)]
pub struct Top {
    feed: Feed<Event>,
    /// Refusals are many and alike; what was served is looked at apart, so that a flood of the ones does
    /// not make the others rare.
    refused: Sampler,
    served: Sampler,
    /// Whose the addresses are.
    pub owners: InForce<Owners>,
}

/// Where events arrive.
#[derive(Debug)]
pub struct Arrivals(Receiver<Event>);

impl Top {
    /// Nothing yet, and where events arrive.
    pub fn new(owners: Owners) -> (Self, Arrivals) {
        let (feed, arrivals) = Feed::new(QUEUE);
        let top = Top {
            feed,
            refused: Sampler::default(),
            served: Sampler::default(),
            owners: InForce::of(owners),
        };
        (top, Arrivals(arrivals))
    }

    /// A request has ended. No lock and no allocation: when too many wait, this one is only counted.
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
        self.feed.send(event, stands_for);
    }
}
