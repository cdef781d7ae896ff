//! `GET /v1/explain`.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::known::Entry;
use crate::mode::Record;
use crate::pass::Id;
use crate::prefixes::Added;

/// What is asked.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    /// The client's address.
    pub address: String,
    /// The host of the request; without it, the request names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its path; `/` when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its method; `GET` when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The name in the certificate that the client proved to have; it shows none when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Its other header fields, `NAME: VALUE`, one a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<String>,
}

/// Every fact and rule that decides about one request of a client now.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Explanation {
    /// The client's address.
    pub address: IpAddr,
    /// The prefix that is counted as one client.
    #[schemars(with = "String")]
    pub client: IpNet,
    /// The wider network that has a limit of its own.
    #[schemars(with = "Option<String>")]
    pub network: Option<IpNet>,
    /// Whether it is a trusted proxy, which says for whom it asks.
    pub speaks_for_others: bool,
    /// The mode in force, and its end.
    pub mode: Record,
    /// The entries that make it a known customer; none when it is not one.
    pub known_by: Vec<Entry>,
    /// Whether it is in the share of the unknown clients that `known-only` lets in now.
    #[serde(default)]
    pub admitted: bool,
    /// What the request has in the place of a pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<Pass>,
    /// The blocks that it lies in.
    #[serde(default)]
    pub blocked_by: Vec<Added>,
    /// Whether the path stays open in `known-only`.
    pub exempt_path: bool,
    /// Its open connections.
    pub connections: Use,
    /// The open connections of all clients.
    pub all_connections: Use,
    /// Why a new connection of it would be closed: `blocked`, `unknown_client`, or by
    /// whose cap is reached: `total`, `reserved` or `client`.
    pub closed_at_door: Option<String>,
    /// The request that is explained: method, host and path.
    pub request: String,
    /// Whether it names a host; rules about hosts do not apply to one that names none.
    pub names_host: bool,
    /// The route it takes.
    pub route: Option<Route>,
    /// Whose traffic it is, when tenants are told apart.
    pub tenant: Option<Tenant>,
    /// The limits it meets, in the order in which they are asked.
    pub limits: Vec<Tokens>,
    /// The caps on requests in flight that it meets.
    pub in_flight: Vec<InFlight>,
    /// What would be decided about it now.
    pub verdict: Verdict,
}

/// What a request has in the place of a pass.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// Something that is not believed: expired, revoked, forged, cut, or two cookies of that name.
    Invalid,
    /// A pass.
    Valid {
        /// Its number.
        id: Id,
        /// When it was issued, in seconds since the epoch.
        issued: u64,
        /// When it ends.
        expires: u64,
    },
}

/// So many of what there is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Use {
    /// In use.
    pub used: u32,
    /// That may be in use.
    pub most: u32,
}

/// The route of a request.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Route {
    /// Its place in the configuration, counted from 1.
    pub number: usize,
    /// What it matches.
    pub matches: String,
    /// The upstream it leads to.
    pub upstream: String,
    /// Tokens that a request takes from each limit.
    pub cost: u32,
    /// Whether only the route's own limits apply.
    pub exempt: bool,
}

/// The tenant of a request.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Tenant {
    /// Where its name is read: `host`, `header:NAME`, `cookie:NAME` or `path:N`,
    /// `client-cert`.
    pub from: String,
    /// Its name; none for all that are not listed, which share one budget.
    pub name: Option<String>,
    /// Its tier.
    pub tier: String,
    /// Whether it has numbers of its own.
    pub own: bool,
    /// Where it is listed.
    pub source: Option<String>,
}

/// One limit, and what is left of it.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Tokens {
    /// The reason with which it refuses.
    pub reason: String,
    /// Where it is set: a key of the configuration, or whose own number it is.
    pub set_in: String,
    /// Its rate, as configured.
    pub rate: String,
    /// Its burst.
    pub burst: u32,
    /// Tokens left.
    pub left: u32,
    /// Seconds until this request could pass it; 0 when it can now.
    pub wait: f64,
}

/// One cap on requests in flight.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InFlight {
    /// The reason with which it refuses.
    pub reason: String,
    /// Where it is set, as of a limit.
    pub set_in: String,
    /// How many there are.
    #[serde(flatten)]
    pub places: Use,
}

/// What would be decided.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Verdict {
    /// Whether the request would be forwarded.
    pub forward: bool,
    /// The status of the refusal.
    pub status: Option<u16>,
    /// Why it would be refused, also where the mode does not enforce that.
    pub reason: Option<String>,
    /// Seconds until no limit would refuse it; none when time alone does not change the verdict.
    pub wait: Option<f64>,
}
