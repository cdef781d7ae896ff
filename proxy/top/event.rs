//! What is told of one request, cut to a fixed size.

use std::net::IpAddr;
use std::time::Duration;

use arrayvec::{ArrayString, ArrayVec};

use super::source::Measures;
use crate::account::Facts;
use crate::cut::cut;

/// Bytes of a body beyond which a request is always looked at: a share of those would say little about
/// who moves the most.
const LARGE: u64 = 64 * 1024;
/// The same for the time it held an upstream.
const LONG: Duration = Duration::from_millis(100);

impl Measures {
    /// Whether it is looked at whatever comes.
    pub fn is_large(&self) -> bool {
        let Measures([_, _, bytes, upstream]) = *self;
        bytes >= LARGE || u128::from(upstream) >= LONG.as_micros()
    }
}

/// An ended request, or a connection that was closed before there was one.
#[derive(Clone, Debug)]
pub struct Event {
    /// How many there were for each that was looked at.
    pub stands_for: u32,
    pub client: IpAddr,
    pub refused: bool,
    pub measures: Measures,
    /// The tenant, where it has a name.
    pub tenant: Option<ArrayString<48>>,
    /// Where the head was understood.
    pub path: Option<ArrayString<96>>,
    /// As it was sent; it need not be text.
    pub agent: Option<ArrayVec<u8, 128>>,
}

impl Event {
    /// Whether it was drawn by lot, and is not looked at whatever comes.
    pub fn is_drawn(&self) -> bool {
        !self.measures.is_large()
    }

    /// Of a request.
    pub fn of_request(facts: &Facts, measures: Measures, stands_for: u32) -> Self {
        Event {
            stands_for,
            client: facts.client,
            refused: facts.is_refused(),
            measures,
            tenant: facts.tenant.map(cut),
            path: (!facts.path.is_empty()).then(|| cut(facts.path)),
            agent: facts.agent.map(cut_bytes),
        }
    }

    /// Of a connection that was closed.
    pub fn of_connection(client: IpAddr, stands_for: u32) -> Self {
        Event {
            stands_for,
            client,
            refused: true,
            measures: Measures([1, 1, 0, 0]),
            tenant: None,
            path: None,
            agent: None,
        }
    }
}

/// What is counted of a request.
pub fn measures(facts: &Facts) -> Measures {
    // How long a tunnel was open says nothing about who keeps the app busy.
    let held = facts.upstream.is_some() && facts.status != 101;
    let upstream = if held { facts.duration } else { Duration::ZERO };
    Measures([
        1,
        facts.is_refused().into(),
        facts.received.saturating_add(facts.sent),
        u64::try_from(upstream.as_micros()).unwrap_or(u64::MAX),
    ])
}

fn cut_bytes<const N: usize>(bytes: &[u8]) -> ArrayVec<u8, N> {
    bytes.iter().copied().take(N).collect()
}
