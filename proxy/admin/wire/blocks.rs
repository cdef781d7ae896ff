//! `/v1/blocks`.

use serde::{Deserialize, Serialize};

use crate::prefixes::Added;

/// `POST /v1/blocks`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockRequest {
    /// An address or a prefix.
    pub prefix: String,
    /// For how long: an hour when it is not said, at most 30 days.
    #[serde(default)]
    pub seconds: Option<u64>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// Block it although it looks like a mistake: this machine, a trusted proxy, or a good part of
    /// the Internet.
    #[serde(default)]
    pub force: bool,
}

/// `DELETE /v1/blocks`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unblock {
    /// The address or prefix, as it was blocked.
    pub prefix: String,
}

/// `GET /v1/blocks`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BlockList {
    /// Blocks in all.
    pub blocks: usize,
    /// The first of them, at most as many as were asked for.
    pub entries: Vec<Added>,
}
