//! What `status` and metrics tell of an upstream.

use serde::{Deserialize, Serialize};

/// How an upstream has been doing. Times are seconds since the epoch, zero for never.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Health {
    /// Addresses that requests are spread over.
    pub servers: usize,
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
    /// When it last answered.
    pub last_success: u64,
    /// When it last failed to.
    pub last_failure: u64,
    /// For how many seconds it has answered nothing, though it was asked; `None` while that is short.
    pub silent_seconds: Option<u64>,
    /// For how many seconds nobody has asked it; `None` while that is short.
    pub idle_seconds: Option<u64>,
}
