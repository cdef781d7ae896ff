//! What goes over the admin socket, for both ends of it.

mod blocks;
mod explain;
mod lists;
mod status;
mod tenants;

pub use blocks::{BlockList, BlockRequest, Unblock};
pub use explain::{ExplainQuery, Explanation, InFlight, Pass, Route, Tenant, Tokens, Use, Verdict};
pub use lists::{AuditQuery, PrefixQuery, TenantQuery};
pub use status::{
    AdminSide, Blocks, Certificate, Clients, Connections, Known, Listener, Log, Messages, Requests,
    Status, Tenants, Upstream,
};
pub use tenants::{ListedTenant, TenantList, TenantName, TenantRequest};

use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::known::{Entry, Facts};

/// The answer to `POST /v1/log/reopen`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LogReopened {
    /// The file that was opened anew; none when the log goes to the standard output.
    pub file: Option<PathBuf>,
}

/// `POST /v1/mode`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeRequest {
    /// `observe`, `normal` or `known-only`.
    pub mode: String,
    /// For how long; for `known-only` the configured time when it is not said, otherwise no end.
    #[serde(default)]
    pub seconds: Option<u64>,
    /// Without an end, where there would be one.
    #[serde(default)]
    pub forever: bool,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// Which share of the unknown clients `known-only` lets in all the same: `5%`, `0.5%`. When the
    /// mode is in force already, it keeps its end unless another is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admit_unknown: Option<String>,
    /// Switch although every client would be refused.
    #[serde(default)]
    pub force: bool,
}

/// What `GET /v1/preview` is asked: about a mode, or about a limit for each client.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewQuery {
    /// `normal` or `known-only`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// How fast tokens would come back, such as `10/s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_limit: Option<String>,
    /// How many tokens there would be; as many as the rate says when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
}

/// What `GET /v1/top` is asked.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopQuery {
    /// `10s`, which it is when it is not said, `1m` or `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// `requests`, which it is when it is not said, `refused`, `bytes` or `upstream`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// How many of each kind are named: 10 when it is not said, at most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// What `GET /v1/report` is asked.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportQuery {
    /// How far back it looks, in seconds: two hours when it is not said, at most seven days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

/// `POST /v1/reopen`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReopenRequest {
    /// The shares of unknown clients to let in, one after the other: `5%`, `20%`. The last may be all.
    #[serde(default)]
    pub steps: Vec<String>,
    /// Seconds of calm before each step but the first.
    #[serde(default)]
    pub every: u64,
    /// Go no further, and stay where it is; steps are not said then.
    #[serde(default)]
    pub stop: bool,
}

/// The answer to a change.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Changed<T> {
    /// What is in force now.
    #[serde(flatten)]
    pub now: T,
    /// What the operator should know beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl<T> Changed<T> {
    /// Adds something that the operator should know.
    pub fn warn(&mut self, warning: Option<String>) {
        let warnings = self.warning.take().into_iter().chain(warning);
        self.warning = warnings.reduce(|first, next| format!("{first}; {next}"));
    }
}

/// `POST /v1/known`, and `DELETE` with the prefix alone.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownRequest {
    /// An address or a prefix.
    pub prefix: String,
    /// For how long; for ever when it is not said.
    #[serde(default)]
    pub seconds: Option<u64>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What `POST /v1/known/import` takes beside the prefixes, which are its body: one a line, or CSV.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportQuery {
    /// What errors call the body.
    #[serde(default = "the_body")]
    pub name: String,
    /// For how long; for ever when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

fn the_body() -> String {
    "body".to_owned()
}

/// The answer to an import.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Imported(pub Facts);

/// `GET /v1/known`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KnownList {
    /// How many are in force, as in [`Known`].
    pub prefixes: usize,
    /// The first of them, at most as many as were asked for.
    pub entries: Vec<Entry>,
}

/// `DELETE /v1/passes`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PassRequest {
    /// The number of a pass, or `all`.
    pub id: String,
}

/// `POST /v1/reload`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReloadRequest {
    /// Reload although most of the known customers or tenants are gone from their files.
    #[serde(default)]
    pub force: bool,
}

/// The answer to `POST /v1/reload`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reloaded {
    /// A line for each value that is another one now.
    pub changes: Vec<String>,
    /// What the configuration should be looked at for.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Seconds that a new process has to come to serve, unless more are asked for.
pub const UPGRADE_SECONDS: u64 = 30;
/// The most that can be asked for: connections of operators do not last much longer.
pub const MOST_UPGRADE_SECONDS: u64 = 50;

/// `POST /v1/upgrade`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpgradeRequest {
    /// Within which time the new process has to serve.
    #[serde(default)]
    pub seconds: Option<u64>,
}
