//! What another mode or limit would have refused lately.

use std::cmp::Reverse;
use std::collections::HashMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use tidegate_config::Limit;
use tidegate_limit::Key;

use super::history::SLOT;
use super::sample::Sample;
use super::slot::{Client, Counts, Slot, network};
use crate::gate::Gate;

/// Prefixes and tenants that are named, at most.
const NAMED: usize = 10;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The mode `normal`.
    Normal,
    /// The mode `known-only`.
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

/// `GET /v1/preview`: what would have been refused in the last 1, 10 and 60 minutes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Preview {
    /// Known prefixes now.
    pub known: usize,
    /// The last minute, ten minutes and hour.
    pub windows: Vec<Window>,
}

/// How much of something would have been refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// All that there was.
    pub all: u64,
    /// Of which would have been refused.
    pub refused: u64,
    /// By how much refused / all may be off: two standard errors; 0 when it is exact.
    pub error: f64,
}

impl Share {
    /// Refused / all; 0 of nothing.
    pub fn part(&self) -> f64 {
        self.refused as f64 / self.all.max(1) as f64
    }
}

/// A tenant or a prefix of which requests would have been refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named<T> {
    /// Which.
    pub name: T,
    /// Requests that would have been refused.
    pub requests: u64,
    /// Confirmed customers in it that would have been.
    #[serde(default)]
    pub customers: u64,
}

/// What would have been refused in some time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Window {
    /// The time that was asked for.
    pub minutes: u64,
    /// The time that this tells of: less when the gate runs for less, and up to a sixth more.
    pub seconds: u64,
    /// Of all requests.
    pub requests: Share,
    /// Of the clients that sent them: those with one that would have been refused.
    pub clients: Share,
    /// Of the clients that the app confirmed as customers' in the last hour.
    pub customers: Share,
    /// Of the requests of those.
    pub customer_requests: Share,
    /// Requests that came too fast to look at whose they were. They count among `requests` alone.
    pub missed: u64,
    /// By how much the requests of a tenant or a prefix may be too low.
    pub named_error: u64,
    /// The tenants with the most that would have been refused.
    pub tenants: Vec<Named<String>>,
    /// The networks with the most, or the one client in it that nearly all of it came from.
    pub prefixes: Vec<Named<IpNet>>,
    /// Customers that would have been refused and that `known add` would let in.
    pub rescue: Vec<Named<IpNet>>,
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

    /// By how much that has changed for a client: who has become known since is refused nothing.
    fn since(&self, client: &Client) -> i64 {
        match self.question {
            Question::Normal => 0,
            Question::KnownOnly if self.gate.is_known(client.prefix.addr()) => {
                -i64::from(client.counts.shut_out)
            }
            Question::KnownOnly => 0,
            Question::ClientLimit(tokens) => {
                i64::try_from(u64::from(client.most).saturating_sub(tokens)).unwrap_or(i64::MAX)
            }
        }
    }

    /// What of a client's would be refused, at least.
    fn refused(&self, client: &Client) -> u64 {
        self.at_the_time(&client.counts)
            .saturating_add_signed(self.since(client))
    }

    /// Whether a whole network has become known.
    fn lets_in(&self, network: IpNet) -> bool {
        self.question == Question::KnownOnly
            && self.gate.is_known(network.network())
            && self.gate.is_known(network.broadcast())
    }

    fn requests(&self, all: &Slot) -> Share {
        let totals = all.totals;
        let refused = match self.question {
            Question::Normal => totals.limited,
            Question::KnownOnly => {
                let since = all.heavy.iter().map(|(_, client)| self.since(client));
                totals.shut_out.saturating_add_signed(since.sum())
            }
            Question::ClientLimit(tokens) => {
                let part = all.bursts.beyond(tokens) as f64 / all.bursts.tokens().max(1) as f64;
                (totals.requests as f64 * part).round() as u64
            }
        };
        Share {
            all: totals.requests,
            refused,
            error: 0.0,
        }
    }

    /// How many clients have a request that would be refused.
    fn clients(&self, of: &Sample<Client>) -> Share {
        let refused = of.iter().filter(|client| self.refused(client) > 0);
        Share {
            all: of.iter().count() as u64 * of.stands_for(),
            refused: refused.count() as u64 * of.stands_for(),
            error: of.error(),
        }
    }

    fn requests_of(&self, of: &Sample<Client>) -> Share {
        let all: u64 = of.iter().map(|one| u64::from(one.counts.requests)).sum();
        let refused: u64 = of.iter().map(|one| self.refused(one)).sum();
        Share {
            all: all * of.stands_for(),
            refused: refused * of.stands_for(),
            error: of.error(),
        }
    }

    fn tenants(&self, all: &Slot) -> Vec<Named<String>> {
        let mut refused: HashMap<Key, i64> = HashMap::new();
        for (key, tenant) in all.tenants.iter() {
            refused.insert(*key, signed(self.at_the_time(&tenant.counts)));
        }
        for (_, client) in all.heavy.iter() {
            if let Some(known) = client.tenant.and_then(|tenant| refused.get_mut(&tenant)) {
                *known += self.since(client);
            }
        }
        most(refused.iter().filter_map(|(key, requests)| {
            let tenant = all.tenants.get(key)?;
            Some(Named {
                name: tenant.name.to_string(),
                requests: u64::try_from(*requests).ok()?,
                customers: 0,
            })
        }))
    }

    fn prefixes(&self, all: &Slot) -> Vec<Named<IpNet>> {
        let mut groups: HashMap<IpNet, Group> = HashMap::new();
        let networks = all.networks.iter();
        for (network, counts) in networks.filter(|(network, _)| !self.lets_in(**network)) {
            let group = groups.entry(*network).or_default();
            group.refused = signed(self.at_the_time(counts));
        }
        for (_, client) in all.heavy.iter() {
            if let Some(group) = groups.get_mut(&network(client.prefix)) {
                group.refused = group.refused.saturating_add(self.since(client));
                let refused = self.refused(client);
                group.largest = group.largest.max(Some((refused, client.prefix)));
            }
        }
        for customer in all.customers.iter().filter(|one| self.refused(one) > 0) {
            if let Some(group) = groups.get_mut(&network(customer.prefix)) {
                group.customers += all.customers.stands_for();
            }
        }
        most(
            groups
                .into_iter()
                .filter_map(|(network, group)| group.named(network)),
        )
    }

    /// Customers to add to the known set.
    fn rescue(&self, all: &Slot) -> Vec<Named<IpNet>> {
        if self.question != Question::KnownOnly {
            return Vec::new();
        }
        most(all.customers.iter().map(|client| Named {
            name: client.prefix,
            requests: self.refused(client),
            customers: 1,
        }))
    }
}

/// What is told of a network.
#[derive(Default)]
struct Group {
    refused: i64,
    customers: u64,
    /// Its client with the most.
    largest: Option<(u64, IpNet)>,
}

impl Group {
    /// By the one client that nearly all of it came from, if there is one.
    fn named(&self, network: IpNet) -> Option<Named<IpNet>> {
        let requests = u64::try_from(self.refused).ok()?;
        let alone = self
            .largest
            .filter(|(most, _)| most.saturating_mul(10) >= requests.saturating_mul(9));
        Some(Named {
            name: alone.map_or(network, |(_, prefix)| prefix),
            requests,
            customers: self.customers,
        })
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
        Window {
            minutes,
            seconds: all.seconds,
            requests: judge.requests(all),
            clients: judge.clients(&all.clients),
            customers: judge.clients(&all.customers),
            customer_requests: judge.requests_of(&all.customers),
            missed: all.totals.missed,
            named_error: all
                .heavy
                .error()
                .max(all.networks.error())
                .max(all.tenants.error()),
            tenants: judge.tenants(all),
            prefixes: judge.prefixes(all),
            rescue: judge.rescue(all),
        }
    }
}
