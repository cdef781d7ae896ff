//! What another mode or limit would have refused lately.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use tidegate_config::Limit;
use tidegate_limit::Key;

use super::answer::{Named, Share, Window};
use super::crowd::{Crowd, Sum};
use super::history::SLOT;
use super::slot::{Client, Counts, Slot};
use crate::gate::Gate;
use crate::prefixes::network;

/// Prefixes and tenants that are named, at most.
const NAMED: usize = 10;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The mode `normal`.
    Normal,
    /// The mode `known-only`, without a share of the unknown clients.
    KnownOnly,
    /// A limit for each client: so many tokens within ten seconds.
    ClientLimit(u64),
}

impl Question {
    /// A client with a limit takes no more within ten seconds than its burst and what comes back
    /// meanwhile.
    pub fn client_limit(limit: &Limit) -> Self {
        let back = u64::from(limit.rate.count.get()) * SLOT / limit.rate.per.as_secs().max(1);
        Question::ClientLimit(back + u64::from(limit.burst.get()))
    }
}

/// Says what would be refused.
struct Judge<'gate> {
    question: Question,
    gate: &'gate Gate,
}

impl Judge<'_> {
    /// What of these was refused at the time. Of a limit nothing is known but by client.
    fn at_the_time(&self, counts: &Counts) -> u64 {
        match self.question {
            Question::Normal => counts.limited.into(),
            Question::KnownOnly => counts.shut_out.into(),
            Question::ClientLimit(_) => 0,
        }
    }

    /// By how much that has changed for a client, which may have become known since, or be no more; of a
    /// limit what came beyond it in the client's worst ten seconds.
    fn since(&self, client: &Client) -> i64 {
        let counts = &client.counts;
        match self.question {
            Question::Normal => 0,
            Question::KnownOnly => match self.gate.is_known(client.prefix.addr()) {
                true => -i64::from(counts.shut_out),
                false => i64::from(counts.by_known),
            },
            Question::ClientLimit(tokens) => signed(client.most.beyond(tokens)),
        }
    }

    /// What of a client's would be refused.
    fn refused(&self, client: &Client) -> u64 {
        self.at_the_time(&client.counts)
            .saturating_add_signed(self.since(client))
    }

    /// What would be refused of all that a crowd asked: exactly what was at the time, and what has
    /// changed.
    fn of_requests(&self, at_the_time: u64, crowd: &Crowd) -> Sum {
        match self.question {
            Question::ClientLimit(_) => Sum {
                value: signed(at_the_time),
                error: 0.0,
            },
            _ => {
                let since = crowd.sum(|client| self.since(client));
                Sum {
                    value: since.value.saturating_add(signed(at_the_time)),
                    ..since
                }
            }
        }
    }

    fn requests(&self, all: &Slot) -> Share {
        let totals = all.totals;
        let at_the_time = match self.question {
            Question::Normal => totals.limited,
            Question::KnownOnly => totals.shut_out,
            Question::ClientLimit(tokens) => all.bursts.beyond(tokens),
        };
        Share::of(totals.requests, self.of_requests(at_the_time, &all.clients))
    }

    fn requests_of_customers(&self, all: &Slot) -> Share {
        let counts = &all.of_customers;
        let at_the_time = match self.question {
            Question::ClientLimit(tokens) => all.bursts_of_customers.beyond(tokens),
            _ => self.at_the_time(counts),
        };
        let refused = self.of_requests(at_the_time, &all.customers);
        Share::of(counts.requests.into(), refused)
    }

    /// How many clients have a request that would be refused.
    fn clients(&self, crowd: &Crowd) -> Share {
        let (all, refused, error) = crowd.count(|client| self.refused(client) > 0);
        Share {
            all,
            refused,
            error,
        }
    }

    /// As it was known at the time: a client may have asked several tenants.
    fn tenants(&self, all: &Slot) -> Vec<Named<String>> {
        let mut refused: HashMap<Key, u64> = HashMap::new();
        for (key, tenant) in all.tenants.iter() {
            refused.insert(*key, self.at_the_time(&tenant.counts));
        }
        if let Question::ClientLimit(_) = self.question {
            for client in all.clients.heaviest() {
                if let Some(known) = client.tenant.and_then(|tenant| refused.get_mut(&tenant)) {
                    *known += self.refused(client);
                }
            }
        }
        most(refused.iter().filter_map(|(key, requests)| {
            Some(Named {
                name: all.tenants.get(key)?.name.to_string(),
                requests: *requests,
                customers: None,
            })
        }))
    }

    fn prefixes(&self, all: &Slot) -> Vec<Named<IpNet>> {
        let mut groups: HashMap<IpNet, Group> = HashMap::new();
        for (network, counts) in all.networks.iter() {
            let group = groups.entry(*network).or_default();
            group.refused = signed(self.at_the_time(counts));
        }
        for client in all.clients.heaviest() {
            if let Some(group) = groups.get_mut(&network(client.prefix)) {
                group.add(client, self.refused(client), self.since(client));
            }
        }
        for customer in all.customers.heaviest() {
            if let Some(group) = groups.get_mut(&network(customer.prefix)) {
                group.customers += u64::from(self.refused(customer) > 0);
            }
        }
        let named = groups
            .into_iter()
            .filter_map(|(network, group)| group.named(network));
        most(named.filter(|named| !self.lets_in(named.name)))
    }

    /// Whether all of a network has become known since, also those in it that were not kept.
    fn lets_in(&self, network: IpNet) -> bool {
        self.question == Question::KnownOnly
            && some_of(network).all(|address| self.gate.is_known(address))
    }

    /// Customers to add to the known set.
    fn rescue(&self, all: &Slot) -> Vec<Named<IpNet>> {
        match self.question {
            Question::KnownOnly => most(all.customers.heaviest().map(|client| Named {
                name: client.prefix.trunc(),
                requests: self.refused(client),
                customers: None,
            })),
            _ => Vec::new(),
        }
    }
}

/// What is told of a network.
#[derive(Default)]
struct Group {
    refused: i64,
    customers: u64,
    /// Its client with the most.
    largest: Option<(u64, IpNet, bool)>,
}

impl Group {
    fn add(&mut self, client: &Client, refused: u64, since: i64) {
        self.refused = self.refused.saturating_add(since);
        let this = (refused, client.prefix.trunc(), client.customer);
        self.largest = self.largest.max(Some(this));
    }

    /// By the one client that nearly all of it came from, if there is one.
    fn named(&self, network: IpNet) -> Option<Named<IpNet>> {
        let requests = u64::try_from(self.refused).ok()?;
        let alone = self
            .largest
            .filter(|(most, ..)| most.saturating_mul(10) >= requests.saturating_mul(9));
        Some(match alone {
            Some((requests, name, customer)) => Named {
                name,
                requests,
                customers: Some(customer.into()),
            },
            None => Named {
                name: network,
                requests,
                customers: Some(self.customers),
            },
        })
    }
}

/// Addresses spread over a network: all of a /24.
fn some_of(network: IpNet) -> impl Iterator<Item = IpAddr> {
    let (first, last) = (bits(network.network()), bits(network.broadcast()));
    let v4 = network.addr().is_ipv4();
    let step = ((last - first) / 255).max(1);
    let inner = (0..256).map(move |at| first + at * step);
    let all = inner.take_while(move |at| *at < last).chain([last]);
    all.map(move |at| match u32::try_from(at) {
        Ok(at) if v4 => IpAddr::V4(at.into()),
        _ => IpAddr::V6(at.into()),
    })
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Those with the most, and of these the first by name.
fn most<T: Ord>(all: impl Iterator<Item = Named<T>>) -> Vec<Named<T>> {
    let mut all: Vec<Named<T>> = all.filter(|one| one.requests > 0).collect();
    all.sort_by(|one, other| {
        let (mine, others) = (Reverse(one.requests), Reverse(other.requests));
        mine.cmp(&others).then_with(|| one.name.cmp(&other.name))
    });
    all.truncate(NAMED);
    all
}

impl Window {
    /// What would be refused of a stretch of time.
    pub(super) fn of(all: &Slot, minutes: u64, question: Question, gate: &Gate) -> Self {
        let judge = Judge { question, gate };
        let ([networks], [tenants]) = (all.networks.error(), all.tenants.error());
        let errors = [all.clients.error(), networks, tenants];
        Window {
            minutes,
            seconds: all.seconds,
            requests: judge.requests(all),
            clients: judge.clients(&all.clients),
            customers: judge.clients(&all.customers),
            customer_requests: judge.requests_of_customers(all),
            looked_at: all.looked_at,
            missed: all.totals.missed,
            turned_away: all.totals.turned_away,
            closed: all.totals.closed,
            named_error: errors.into_iter().max().unwrap_or(0),
            tenants: judge.tenants(all),
            prefixes: judge.prefixes(all),
            rescue: judge.rescue(all),
        }
    }
}
