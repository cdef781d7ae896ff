//! The apps behind the gate, as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Written;
use crate::{checked::Server, literal::Deadline};

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
}
