//! What is told about the sources.

use std::cmp::Reverse;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::keeper::Query;
use super::slot::Slot;
use super::source::{Counted, Kind, Measure, Measures, Name};
use crate::gate::Gate;

/// Sources of a kind that a minute is remembered by: those with the most requests, and those that held
/// the upstreams for longest.
const OF_A_MINUTE: [(Measure, usize); 2] = [(Measure::Requests, 5), (Measure::Upstream, 2)];

/// `GET /v1/top`: the heaviest sources of the last seconds or minutes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Sources {
    /// Over how many seconds: at least the window, once the gate has run for so long, and up to a fifth
    /// more.
    pub seconds: f64,
    /// All that came in this time.
    pub all: Measured,
    /// Of so many refusals, one was looked at, at the least: 1 while all are.
    pub refused_one_in: u32,
    /// Of so many other requests.
    pub served_one_in: u32,
    /// Requests that nothing more is known of than that they were.
    pub missed: u64,
    /// By client, as it is counted.
    pub clients: Vec<Source>,
    /// By /24, of IPv6 by /48.
    pub networks: Vec<Source>,
    /// By autonomous system, where the configuration names a database of them.
    #[serde(default)]
    pub systems: Vec<Source>,
    /// By country, in the same way.
    #[serde(default)]
    pub countries: Vec<Source>,
    /// By tenant, where it has a name.
    pub tenants: Vec<Source>,
    /// By path, cut after 96 bytes.
    pub paths: Vec<Source>,
    /// By user agent, cut after 128 bytes; empty where a request had none.
    pub user_agents: Vec<Source>,
}

/// What came from somewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Measured {
    /// Requests, and connections that were closed before one was read.
    pub requests: u64,
    /// Those of them that the gate refused.
    pub refused: u64,
    /// Bytes of bodies, both ways.
    pub bytes: u64,
    /// Seconds for which upstreams were held, all together.
    pub upstream_seconds: f64,
}

/// A source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Source {
    /// Which.
    pub name: String,
    /// What came from it.
    #[serde(flatten)]
    pub measured: Measured,
    /// Its share of all, by what the sources are compared by.
    pub share: f64,
    /// By how much that share may be off: what the sketch may have forgotten of it, and two standard
    /// errors of the sampling; 0 when it is exact.
    pub error: f64,
    /// Whether it is a known customer's, or has one in it.
    pub known: bool,
    /// Whether it is blocked.
    pub blocked: bool,
}

impl Source {
    /// What is to be known before somebody is blocked.
    pub fn standing(&self) -> &'static str {
        match (self.known, self.blocked) {
            (true, true) => "known, blocked",
            (true, false) => "known",
            (false, true) => "blocked",
            (false, false) => "",
        }
    }
}

impl From<Measures> for Measured {
    fn from(Measures([requests, refused, bytes, upstream]): Measures) -> Self {
        Measured {
            requests,
            refused,
            bytes,
            upstream_seconds: upstream as f64 / 1e6,
        }
    }
}

impl Sources {
    /// The heaviest of a stretch of time.
    pub(super) fn of(slot: &Slot, query: Query, gate: &Gate) -> Self {
        Sources::with(slot, |kind| {
            named(slot, kind, (query.by, query.limit), gate)
        })
    }

    /// What is remembered of a minute.
    pub(super) fn of_minute(slot: &Slot, gate: &Gate) -> Self {
        Sources::with(slot, |kind| {
            let mut all: Vec<Source> = Vec::new();
            for source in OF_A_MINUTE
                .map(|most| named(slot, kind, most, gate))
                .concat()
            {
                if all.iter().all(|other| other.name != source.name) {
                    all.push(source);
                }
            }
            all
        })
    }

    fn with(slot: &Slot, named: impl Fn(Kind) -> Vec<Source>) -> Self {
        Sources {
            seconds: slot.seconds,
            all: slot.all.measures.into(),
            refused_one_in: slot.refused_one_in,
            served_one_in: slot.served_one_in,
            missed: slot.missed,
            clients: named(Kind::Client),
            networks: named(Kind::Network),
            systems: named(Kind::System),
            countries: named(Kind::Country),
            tenants: named(Kind::Tenant),
            paths: named(Kind::Path),
            user_agents: named(Kind::Agent),
        }
    }

    /// Those of a kind.
    pub fn by_kind(&self, kind: Kind) -> &[Source] {
        match kind {
            Kind::Client => &self.clients,
            Kind::Network => &self.networks,
            Kind::System => &self.systems,
            Kind::Country => &self.countries,
            Kind::Tenant => &self.tenants,
            Kind::Path => &self.paths,
            Kind::Agent => &self.user_agents,
        }
    }
}

/// The heaviest by a measure, so many at most.
fn named(slot: &Slot, kind: Kind, (by, limit): (Measure, usize), gate: &Gate) -> Vec<Source> {
    let Some(sketch) = slot.of(kind) else {
        return Vec::new();
    };
    let weight = |counted: &Counted| {
        let measures = counted.sums.measures;
        Reverse((measures.get(by), measures.0))
    };
    let weighs = |(counted, _): &(&Counted, _)| counted.sums.measures.get(by) > 0;
    let mut all: Vec<(&Counted, [u64; 4])> = sketch.bounded().filter(weighs).collect();
    // Names are made of those alone that are named.
    if limit < all.len() {
        all.select_nth_unstable_by_key(limit, |(counted, _)| weight(counted));
        all.truncate(limit);
    }
    all.sort_by_cached_key(|(counted, _)| (weight(counted), text(&counted.name)));
    let source = |(counted, missing)| source(counted, Measures(missing), slot, by, gate);
    all.into_iter().map(source).collect()
}

fn source(counted: &Counted, missing: Measures, slot: &Slot, by: Measure, gate: &Gate) -> Source {
    let all = slot.all.measures.get(by).max(1) as f64;
    let value = counted.sums.measures.get(by);
    let forgotten = missing.get(by) as f64;
    let (known, blocked) = match counted.name {
        Name::Prefix(prefix) => (is_known(prefix, gate), is_blocked(prefix, gate)),
        Name::Text(_) => (false, false),
    };
    Source {
        name: text(&counted.name),
        measured: counted.sums.measures.into(),
        share: value as f64 / all,
        error: (forgotten + counted.sums.error(by)) / all,
        known,
        blocked,
    }
}

/// A prefix of a single address as that address.
fn text(name: &Name) -> String {
    match name {
        Name::Prefix(prefix) if prefix.prefix_len() == prefix.max_prefix_len() => {
            prefix.addr().to_string()
        }
        Name::Prefix(prefix) => prefix.to_string(),
        Name::Text(text) => text.to_string(),
    }
}

/// Whether there is a known customer in it.
fn is_known(prefix: IpNet, gate: &Gate) -> bool {
    gate.known.overlaps(prefix) || gate.learned.overlaps(prefix)
}

/// Whether all of it is, as far as its two ends tell.
fn is_blocked(prefix: IpNet, gate: &Gate) -> bool {
    [prefix.network(), prefix.broadcast()]
        .into_iter()
        .all(|address| gate.blocks.contains(address))
}
