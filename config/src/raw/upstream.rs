//! The apps behind the gate, as they are written.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Written;
use crate::{
    checked::{Balance, Server},
    literal::{Deadline, HostName, Target},
    share::Share,
};

/// An app behind the gate.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upstream {
    /// The servers that serve it, each a host and a port.
    #[schemars(length(min = 1), example = serde_json::json!(["127.0.0.1:3000"]))]
    pub(crate) servers: Vec<Written<Server>>,
    /// How often the names of its servers are looked up again. Default: "10s".
    pub(crate) resolve: Option<Written<Deadline>>,
    /// The log and the status say so when it has not answered for so long, while
    /// there were requests. Default: "5m".
    pub(crate) silent_after: Option<Written<Deadline>>,
    /// The log and the status say so when nobody has asked for so long. Default: "1h".
    pub(crate) idle_after: Option<Written<Deadline>>,
    /// Which of its servers a request goes to: each in turn, or the one at which the
    /// fewest requests of this gate are under way. Default: "round-robin".
    pub(crate) balance: Option<Balance>,
    /// When a server that takes no connections is left out, and for how long.
    #[serde(default)]
    pub(crate) eject: Eject,
    /// How long the share of a server grows that comes back. Default: "10s".
    pub(crate) slow_start: Option<Written<Deadline>>,
    /// When a server does not take a request, it goes to another one, or over another
    /// connection, so long as this share of the requests of the last ten seconds is
    /// not exceeded; 20 are always allowed, but for "0%". Default: "20%".
    pub(crate) retries: Option<Written<Share>>,
    /// Asks each server now and then whether it is well, and leaves it out while it
    /// is not. Default: nobody asks.
    pub(crate) health: Option<HealthCheck>,
}

/// How a server is asked whether it is well. When none is, all are used.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "path": "/healthz" }))]
pub(crate) struct HealthCheck {
    /// The path, with a query or without, that it has to answer with a status from
    /// 200 to 399. Default: it is enough that it takes a connection.
    #[schemars(example = &"/healthz")]
    pub(crate) path: Option<Written<Target>>,
    /// The host that it is asked for. Default: its address.
    #[schemars(example = &"shop.example.com")]
    pub(crate) host: Option<Written<HostName>>,
    /// How often it is asked. Default: "5s".
    pub(crate) every: Option<Written<Deadline>>,
    /// How long it may take to answer. Default: "2s".
    pub(crate) timeout: Option<Written<Deadline>>,
    /// So many good answers in a row bring it back. Default: 2.
    #[schemars(range(min = 1, max = 100), example = 2)]
    pub(crate) rise: Option<NonZeroU32>,
    /// So many bad ones in a row leave it out. Default: 3.
    #[schemars(range(min = 1, max = 100), example = 3)]
    pub(crate) fall: Option<NonZeroU32>,
}

/// When a server that takes no connections is left out, and for how long. When
/// all are, all are used.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "failures": 5, "first": "10s", "longest": "5m" }))]
pub(crate) struct Eject {
    /// Connections that fail in a row. Default: 5.
    #[schemars(range(min = 1, max = 1_000), example = 5)]
    pub(crate) failures: Option<NonZeroU32>,
    /// How long it is left out the first time; each time in a row it is twice as
    /// long. Default: "10s".
    pub(crate) first: Option<Written<Deadline>>,
    /// How long at most. Default: "5m".
    pub(crate) longest: Option<Written<Deadline>>,
}
