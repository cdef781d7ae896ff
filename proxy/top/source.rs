//! What requests are told apart by, and what is counted of each.

use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::heavy::Tally;

/// By what requests are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By client, as it is counted: an address, or a prefix of IPv6.
    Client,
    /// By /24, of IPv6 by /48.
    Network,
    /// By autonomous system, where there is a database of them.
    System,
    /// By country, in the same way.
    Country,
    /// By tenant, where it has a name.
    Tenant,
    /// By path, without query.
    Path,
    /// By user agent.
    Agent,
}

impl Kind {
    /// What one of them is called.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Kind::Client => "client",
            Kind::Network => "network",
            Kind::System => "AS",
            Kind::Country => "country",
            Kind::Tenant => "tenant",
            Kind::Path => "path",
            Kind::Agent => "user agent",
        }
    }

    /// All, in the order in which they are told.
    pub const ALL: [Kind; 7] = [
        Kind::Client,
        Kind::Network,
        Kind::System,
        Kind::Country,
        Kind::Tenant,
        Kind::Path,
        Kind::Agent,
    ];
}

/// By what sources are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Requests, and connections that were closed before one was read.
    Requests,
    /// Those of them that the gate refused.
    Refused,
    /// Bytes of bodies, both ways.
    Bytes,
    /// Time that upstreams were held, from the complete head to the end; WebSockets not counted.
    Upstream,
}

impl Measure {
    /// All, in the order in which they are kept.
    pub const ALL: [Measure; 4] = [
        Measure::Requests,
        Measure::Refused,
        Measure::Bytes,
        Measure::Upstream,
    ];

    /// Its name.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Measure::Requests => "requests",
            Measure::Refused => "refused",
            Measure::Bytes => "bytes",
            Measure::Upstream => "upstream",
        }
    }
}

impl FromStr for Measure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Measure::ALL.into_iter();
        let found = all.find(|measure| measure.label() == text);
        found.ok_or_else(|| {
            format!("there is no measure {text:?}; there are requests, refused, bytes and upstream")
        })
    }
}

/// Requests, refused ones, bytes, microseconds of an upstream: in the order of [`Measure::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures(pub [u64; 4]);

impl Measures {
    /// One of them.
    pub fn get(&self, measure: Measure) -> u64 {
        let Measures(all) = self;
        all.get(measure as usize).copied().unwrap_or_default()
    }

    /// Adds others.
    pub fn add(&mut self, other: Measures) {
        for (here, there) in self.0.iter_mut().zip(other.0) {
            *here = here.saturating_add(there);
        }
    }
}

/// What a source is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// A client or a network.
    Prefix(IpNet),
    /// What was sent, as text.
    Text(Arc<str>),
}

/// Sums of a sample: what each request stands for, and how far the sums may be off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    pub measures: Measures,
    /// Of each sum: n (n - 1) y^2 of each request that stands for n and has y (Horvitz and Thompson 1952).
    variances: [f32; 4],
}

impl Sums {
    /// One request that stands for so many.
    pub fn of(Measures(one): Measures, stands_for: u32) -> Self {
        let n = stands_for as f32;
        Sums {
            measures: Measures(one.map(|value| value.saturating_mul(stands_for.into()))),
            variances: one.map(|value| n * (n - 1.0) * (value as f32).powi(2)),
        }
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.measures.add(other.measures);
        for (here, there) in self.variances.iter_mut().zip(other.variances) {
            *here += there;
        }
    }

    /// Two standard errors of one of them; 0 when it is exact.
    pub fn error(&self, measure: Measure) -> f64 {
        let variance = self.variances.get(measure as usize).copied();
        2.0 * f64::from(variance.unwrap_or_default()).sqrt()
    }
}

/// A source and what came from it.
#[derive(Clone, Debug)]
pub struct Counted {
    pub name: Name,
    pub sums: Sums,
}

impl Tally<4> for Counted {
    fn weights(&self) -> [u64; 4] {
        self.sums.measures.0
    }

    fn merge(&mut self, other: &Self) {
        self.sums.add(&other.sums);
    }
}
