//! What is kept of a stretch of time.

use std::hash::RandomState;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tidegate_limit::Key;

use super::bursts::Bursts;
use super::heavy::{Heavy, Tally};
use super::key::KeyHashing;
use super::sample::Sample;
use super::{Event, Name, Totals};

/// For how many keys there is room: just below seven eighths of a power of two, where a hash map grows.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub clients: usize,
    pub customers: usize,
    pub tenants: usize,
}

impl Room {
    /// In what is kept.
    pub const KEPT: Room = Room {
        clients: 1750,
        customers: 3500,
        tenants: 224,
    };

    /// In what is made of several slots to answer a question: for all that is in them.
    pub const ANSWER: Room = Room {
        clients: 60_000,
        customers: 120_000,
        tenants: 7_000,
    };
}

/// Requests by what would have become of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub requests: u32,
    pub shut_out: u32,
    pub limited: u32,
}

/// A client and what it asked.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    pub prefix: IpNet,
    /// That of its last request.
    pub tenant: Option<Key>,
    pub counts: Counts,
    /// The most tokens that it took within ten seconds.
    pub most: u32,
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
    pub fn of(event: &Event) -> Self {
        Counts {
            requests: 1,
            shut_out: event.judged.shut_out.into(),
            limited: event.judged.limited.into(),
        }
    }
}

impl Tally for Counts {
    fn weight(&self) -> u64 {
        self.requests.into()
    }

    fn merge(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.shut_out = self.shut_out.saturating_add(other.shut_out);
        self.limited = self.limited.saturating_add(other.limited);
    }
}

impl Tally for Client {
    fn weight(&self) -> u64 {
        self.counts.weight()
    }

    fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
        self.most = self.most.max(other.most);
        self.tenant = other.tenant.or(self.tenant);
        self.customer |= other.customer;
    }
}

impl Tally for Tenant {
    fn weight(&self) -> u64 {
        self.counts.weight()
    }

    fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
    }
}

/// The heaviest tenants.
pub type Tenants = Heavy<Key, Tenant, KeyHashing>;

/// A stretch of time.
#[derive(Clone, Debug)]
pub struct Slot {
    pub seconds: u64,
    pub totals: Totals,
    /// A fixed share of the clients, to tell how many there were.
    pub clients: Sample<Client>,
    /// The same of the customers.
    pub customers: Sample<Client>,
    /// The clients that asked the most.
    pub heavy: Heavy<Key, Client, KeyHashing>,
    pub networks: Heavy<IpNet, Counts, RandomState>,
    pub tenants: Tenants,
    pub bursts: Bursts,
}

impl Slot {
    /// Nothing yet.
    pub fn new(room: Room) -> Self {
        Slot {
            seconds: 0,
            totals: Totals::default(),
            clients: Sample::new(room.clients),
            customers: Sample::new(room.customers),
            heavy: Heavy::new(room.clients),
            networks: Heavy::new(room.clients),
            tenants: Heavy::new(room.tenants),
            bursts: Bursts::default(),
        }
    }

    /// Takes over what a client did within ten seconds.
    pub fn add(&mut self, key: Key, client: &Client) {
        self.clients.add(key, client);
        if client.customer {
            self.customers.add(key, client);
        }
        self.heavy.count(key, |kept| kept.merge(client), || *client);
        let counts = &client.counts;
        let network = network(client.prefix);
        self.networks
            .count(network, |kept| kept.merge(counts), || *counts);
        self.bursts.add(client.most.into());
    }

    /// Gives back memory that it does not need as it is.
    pub fn shrink(&mut self) {
        self.clients.shrink();
        self.customers.shrink();
        self.heavy.shrink();
        self.networks.shrink();
        self.tenants.shrink();
    }

    /// Takes over another stretch of time.
    pub fn merge(&mut self, other: &Slot) {
        self.seconds += other.seconds;
        self.totals = self.totals.and(other.totals);
        self.clients.merge(&other.clients);
        self.customers.merge(&other.customers);
        self.heavy.merge(&other.heavy);
        self.networks.merge(&other.networks);
        self.tenants.merge(&other.tenants);
        self.bursts.merge(&other.bursts);
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
