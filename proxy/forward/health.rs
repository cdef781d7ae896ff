//! What `status` and metrics tell of an upstream.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::State;

/// How an upstream has been doing. Times are seconds since the epoch, zero for never.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Health {
    /// The servers that requests are spread over.
    pub addresses: Vec<ServerHealth>,
    /// When all of its names last had an answer.
    pub resolved_at: u64,
    /// When an answer last brought other addresses.
    pub addresses_changed_at: u64,
    /// What is wrong with its names.
    pub problem: Option<String>,
    /// Requests that it answered.
    pub succeeded: u64,
    /// Requests that it did not answer.
    pub failed: u64,
    /// Requests that were sent once more, as a server did not take them.
    pub retries: u64,
    /// Requests that were not, as the budget for that was spent.
    pub retries_refused: u64,
    /// When it last answered.
    pub last_success: u64,
    /// When it last failed to.
    pub last_failure: u64,
    /// For how many seconds it has answered nothing, though it was asked; `None` while that is short.
    pub silent_seconds: Option<u64>,
    /// For how many seconds nobody has asked it; `None` while that is short.
    pub idle_seconds: Option<u64>,
}

impl Health {
    /// How many of its servers are in this state.
    pub fn count(&self, state: State) -> usize {
        let in_it = self.addresses.iter().filter(|one| one.state == state);
        in_it.count()
    }
}

/// How one server has been doing.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ServerHealth {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether it gets requests.
    pub state: State,
    /// When it is left out for a time: how many seconds are left.
    pub back_in_seconds: Option<u64>,
    /// What its health check found wrong.
    pub problem: Option<String>,
    /// Requests of this gate that are under way at it.
    pub in_flight: u32,
}
