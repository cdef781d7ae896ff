//! What a preview tells.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::crowd::Sum;

/// `GET /v1/preview`: what would have been refused in the last 1, 10 and 60 minutes.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Preview {
    /// Known prefixes now.
    pub known: usize,
    /// Whether all customers of the last hour are remembered: else there are more than 57,000.
    pub all_customers: bool,
    /// The last minute, ten minutes and hour.
    pub windows: Vec<Window>,
}

/// How much of something would have been refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Share {
    /// All that there was.
    pub all: u64,
    /// Of which would have been refused.
    pub refused: u64,
    /// By how much refused / all may be off: two standard errors; 0 when it is exact.
    pub error: f64,
}

impl Share {
    /// Of so many, a sum that may be off.
    pub(super) fn of(all: u64, refused: Sum) -> Self {
        Share {
            all,
            refused: u64::try_from(refused.value).unwrap_or(0).min(all),
            error: refused.error / all.max(1) as f64,
        }
    }

    /// Refused / all; 0 of nothing.
    pub fn part(&self) -> f64 {
        self.refused as f64 / self.all.max(1) as f64
    }
}

/// A tenant or a prefix of which requests would have been refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Named<T> {
    /// Which.
    pub name: T,
    /// Requests that would have been refused; of a limit those of its worst ten seconds.
    pub requests: u64,
    /// Confirmed customers in a prefix that would have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customers: Option<u64>,
}

/// What would have been refused in some time.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
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
    /// The requests of which it is known whose they were. The others are on their way, or were missed.
    pub looked_at: u64,
    /// Requests that came too fast to look at whose they were. They count among `requests` alone.
    pub missed: u64,
    /// Requests that were turned away before any limit was asked: what one would have said is not known.
    pub turned_away: u64,
    /// Connections that were closed before a request was read.
    pub closed: u64,
    /// By how much the requests of a tenant or a prefix may be off.
    pub named_error: u64,
    /// The tenants with the most that would have been refused; by what was known at the time.
    pub tenants: Vec<Named<String>>,
    /// The networks with the most, or the one client in it that nearly all of it came from.
    #[schemars(with = "Vec<Named<String>>")]
    pub prefixes: Vec<Named<IpNet>>,
    /// The customers with the most that would have been refused, and that `known add` would let in.
    #[schemars(with = "Vec<Named<String>>")]
    pub rescue: Vec<Named<IpNet>>,
}
