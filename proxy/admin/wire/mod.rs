//! What goes over the admin socket, for both ends of it.

mod blocks;
mod explain;
mod lists;
mod tenants;

pub use blocks::{BlockList, BlockRequest, Unblock};
pub use explain::{ExplainQuery, Explanation, InFlight, Pass, Route, Tenant, Tokens, Use, Verdict};
pub use lists::{AuditQuery, PrefixQuery, TenantQuery};
pub use tenants::{ListedTenant, TenantList, TenantName, TenantRequest};

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::admin::Refusals;
use crate::forward::Health;
use crate::known::{Entry, Facts};
use crate::learn::Counts;
use crate::mode::Record;
use crate::prefixes::Added;
use crate::tenants::Moved;
use crate::upgrade::Process;

/// `GET /v1/status`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Status {
    /// The gate's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Since when it has been running.
    pub uptime_seconds: u64,
    /// Whether it is going down.
    pub draining: bool,
    /// Whether the threads of the traffic did not move when they were last looked at.
    #[serde(default)]
    pub hangs: bool,
    /// The process that this one has replaced, while that one still finishes its requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Process>,
    /// The file it was configured from.
    pub config: Option<PathBuf>,
    /// Why the last reload was not taken over.
    pub reload_problem: Option<String>,
    /// What is wrong with the state files.
    #[serde(default)]
    pub state_problems: Vec<String>,
    /// The mode in force.
    pub mode: Record,
    /// Where it listens for traffic.
    pub listeners: Vec<Listener>,
    /// Where it shows metrics.
    pub metrics: Option<SocketAddr>,
    /// Requests so far, and a second over the last ten.
    pub requests: Requests,
    /// Connections.
    pub connections: Connections,
    /// The limiter's table.
    pub clients: Clients,
    /// Known prefixes.
    pub known: Known,
    /// Blocked prefixes.
    #[serde(default)]
    pub blocks: Blocks,
    /// Tenants, when they are told apart.
    pub tenants: Option<Tenants>,
    /// The apps behind the gate.
    pub upstreams: Vec<Upstream>,
    /// The access log.
    pub log: Log,
    /// The admin side itself.
    #[serde(default)]
    pub admin: AdminSide,
}

/// The admin side itself.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AdminSide {
    /// Where it is to be had over TCP.
    pub address: Option<SocketAddr>,
    /// Connections to it that were ended because others needed their places: those that had kept it
    /// waiting longest.
    pub ended_for_others: u64,
    /// Requests over TCP that were refused, by what was wrong with them.
    pub refused_over_tcp: Refusals,
}

impl Status {
    /// How it is, in a word.
    pub fn state(&self) -> &'static str {
        match (self.hangs, self.draining) {
            (true, _) => "hangs",
            (false, true) => "draining",
            (false, false) => "serving",
        }
    }
}

/// One listener.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Listener {
    /// Its address, with the port that the system chose where none was configured.
    pub address: SocketAddr,
    /// Whether its connections begin with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// Whether it serves over TLS.
    pub tls: bool,
    /// What it serves TLS with.
    pub certificates: Vec<Certificate>,
}

/// A certificate of a listener.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Certificate {
    /// The file it was read from.
    pub chain: PathBuf,
    /// The last second in which it is valid, since the epoch.
    pub not_after: u64,
}

/// Requests by how they ended.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Requests {
    /// The upstream's response reached the client.
    pub forwarded: u64,
    /// The gate said no.
    pub refused: u64,
    /// The gate said yes, and it did not end well.
    pub failed: u64,
    /// Forwarded a second, over the last ten seconds.
    pub forwarded_per_second: f64,
    /// Refused a second.
    pub refused_per_second: f64,
    /// Failed a second.
    pub failed_per_second: f64,
}

/// Connections now and so far.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Connections {
    /// Open now.
    pub open: u32,
    /// That may be open.
    pub limit: u32,
    /// How many of those are kept for known clients.
    #[serde(default)]
    pub reserved_for_known: u32,
    /// Why fewer may be open than are configured.
    #[serde(default)]
    pub problem: Option<String>,
    /// Let in so far.
    pub accepted: u64,
    /// Closed at the door so far.
    pub refused: u64,
}

/// The limiter's table.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Clients {
    /// Buckets in use.
    pub tracked: usize,
    /// Buckets that there are.
    pub capacity: usize,
    /// Buckets in use that were taken for another client.
    pub evictions: u64,
}

/// Known prefixes by source.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Known {
    /// In force: each once from files, and once from operators.
    pub prefixes: usize,
    /// Lines of files.
    pub from_files: usize,
    /// Added or imported by operators.
    pub from_operators: usize,
    /// Learned from what the app said.
    #[serde(default)]
    pub learned: Counts,
    /// Why the files as they are now were not taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_problem: Option<String>,
}

/// Blocked prefixes.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Blocks {
    /// How many there are.
    pub blocks: usize,
    /// The first of them.
    pub first: Vec<Added>,
}

/// Tenants by who says what they may use.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Tenants {
    /// Listed names and credentials.
    pub listed: usize,
    /// How many operators have moved to another tier.
    pub moved: usize,
    /// The first of those.
    pub first_moved: Vec<Moved>,
}

/// One upstream.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// How it has been doing.
    #[serde(flatten)]
    pub health: Health,
}

/// Lines of the access log by what became of them.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Log {
    /// Written, or on their way.
    pub written: u64,
    /// Left out by the sample.
    pub sampled_out: u64,
    /// Left out by the budget.
    pub over_budget: u64,
    /// Lost to a disk that did not keep up, or took none.
    pub lost: u64,
    /// Why it cannot be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What the gate itself says.
    #[serde(default)]
    pub messages: Messages,
}

/// Messages of the gate by what became of them.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Messages {
    /// Written to the standard error.
    pub written: u64,
    /// Left out because the same had just been said several times.
    pub repeated: u64,
    /// Left out by the budget.
    pub over_budget: u64,
    /// Lost to a standard error that nobody read.
    pub lost: u64,
}

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
