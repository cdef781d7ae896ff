//! What is kept of a stretch of time.

use std::hash::RandomState;

use ipnet::IpNet;
use tidegate_limit::Key;

use super::bursts::{Burst, Bursts};
use super::crowd::Crowd;
use super::{Judged, Name, Totals};
use crate::hashed::KeyHashing;
use crate::heavy::{Heavy, Tally};
use crate::prefixes::network;
use crate::rolling::Stretch;

/// For how many keys there is room: just below seven eighths of a power of two, where a hash map grows.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub clients: usize,
    pub tenants: usize,
}

impl Room {
    /// In what is kept.
    pub const KEPT: Room = Room {
        clients: 1750,
        tenants: 224,
    };

    /// In what is made of several slots to answer a question: for all that is in them.
    pub const ANSWER: Room = Room {
        clients: 60_000,
        tenants: 7_000,
    };
}

/// Requests by what would have become of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub requests: u32,
    /// That `known-only` would have refused.
    pub shut_out: u32,
    /// That it would have let in because their client was known, and for nothing else.
    pub by_known: u32,
    /// That a limit refused.
    pub limited: u32,
}

/// A client and what it asked.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Its prefix, with the address of its last request.
    pub prefix: IpNet,
    /// That of its last request.
    pub tenant: Option<Key>,
    pub counts: Counts,
    /// The most that it took within ten seconds.
    pub most: Burst,
    /// Whether the app has confirmed it in the last hour.
    pub customer: bool,
}

/// A tenant and what was asked of it.
#[derive(Clone, Copy, Debug)]
pub struct Tenant {
    pub name: Name,
    pub counts: Counts,
}

impl Counts {
    pub fn of(judged: &Judged) -> Self {
        Counts {
            requests: 1,
            shut_out: judged.shut_out().into(),
            by_known: (judged.needs_known && judged.known).into(),
            limited: judged.limited.into(),
        }
    }
}

impl Tally for Counts {
    fn weights(&self) -> [u64; 1] {
        [self.requests.into()]
    }

    fn merge(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.shut_out = self.shut_out.saturating_add(other.shut_out);
        self.by_known = self.by_known.saturating_add(other.by_known);
        self.limited = self.limited.saturating_add(other.limited);
    }
}

impl Tally for Client {
    fn weights(&self) -> [u64; 1] {
        self.counts.weights()
    }

    fn merge(&mut self, other: &Self) {
        self.prefix = other.prefix;
        self.counts.merge(&other.counts);
        self.most = self.most.max(other.most);
        self.tenant = other.tenant.or(self.tenant);
        self.customer |= other.customer;
    }
}

impl Tally for Tenant {
    fn weights(&self) -> [u64; 1] {
        self.counts.weights()
    }

    fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
    }
}

/// A stretch of time.
#[derive(Clone, Debug)]
pub struct Slot {
    pub seconds: u64,
    pub totals: Totals,
    /// Requests of which it is known whose they were.
    pub looked_at: u64,
    pub clients: Crowd,
    /// Those of them that the app has confirmed.
    pub customers: Crowd,
    /// What those asked, of which no more customers could be remembered than there is room for.
    pub of_customers: Counts,
    pub networks: Heavy<IpNet, Counts, RandomState>,
    pub tenants: Heavy<Key, Tenant, KeyHashing>,
    pub bursts: Bursts,
    pub bursts_of_customers: Bursts,
}

impl Slot {
    /// Nothing yet.
    pub fn new(room: Room) -> Self {
        Slot {
            seconds: 0,
            totals: Totals::default(),
            looked_at: 0,
            clients: Crowd::new(room.clients),
            customers: Crowd::new(room.clients),
            of_customers: Counts::default(),
            networks: Heavy::new(room.clients),
            tenants: Heavy::new(room.tenants),
            bursts: Bursts::default(),
            bursts_of_customers: Bursts::default(),
        }
    }

    /// Takes over what a client did within ten seconds.
    pub fn add(&mut self, key: Key, client: &Client) {
        self.looked_at += u64::from(client.counts.requests);
        self.clients.add(key, client);
        self.bursts.add(client.most);
        if client.customer {
            self.customers.add(key, client);
            self.of_customers.merge(&client.counts);
            self.bursts_of_customers.add(client.most);
        }
        let counts = &client.counts;
        let network = network(client.prefix);
        let more = |kept: &mut Counts| kept.merge(counts);
        self.networks.count(network, more, || *counts);
    }
}

impl Stretch for Slot {
    fn empty() -> Self {
        Slot::new(Room::KEPT)
    }

    fn seconds(&self) -> u64 {
        self.seconds
    }

    fn shrink(&mut self) {
        self.clients.shrink();
        self.customers.shrink();
        self.networks.shrink();
        self.tenants.shrink();
    }

    fn merge(&mut self, other: &Slot) {
        self.seconds += other.seconds;
        self.totals = self.totals.and(other.totals);
        self.looked_at += other.looked_at;
        self.clients.merge(&other.clients);
        self.customers.merge(&other.customers);
        self.of_customers.merge(&other.of_customers);
        self.networks.merge(&other.networks);
        self.tenants.merge(&other.tenants);
        self.bursts.merge(&other.bursts);
        self.bursts_of_customers.merge(&other.bursts_of_customers);
    }
}
