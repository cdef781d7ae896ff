//! `GET /v1/status`.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::admin::Refusals;
use crate::forward::Health;
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
