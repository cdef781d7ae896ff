//! What the user wrote: the keys as they are in the file, each of them
//! optional where there is a default, texts not yet read.
//!
//! The doc comments here are what users read: they become the descriptions of
//! the JSON schema. Ranges and examples become part of error messages.

mod known;
mod listed;
mod listener;
mod operation;
mod upstream;
mod written;

use std::{
    collections::BTreeMap,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

pub(crate) use known::{Known, Learn, LearnRule, Pass};
pub(crate) use listed::{Listed, Own};
pub(crate) use listener::Listener;
pub(crate) use operation::{Admin, Deadlines, KnownOnly, Log, Metrics, Refusal, State, Top};
pub(crate) use upstream::{Eject, HealthCheck, Upstream};
pub(crate) use written::Written;

use crate::{
    checked::{AddressFrom, Mode, Per, Rate, TenantFrom},
    literal::{BodySize, HostName, Method, PathPrefix},
};

/// The configuration of Tidegate, a rate-limiting reverse proxy.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "tidegate.toml")]
pub(crate) struct File {
    /// What is done with verdicts at the first start; afterwards the mode last
    /// set at run time holds. Default: "normal".
    pub(crate) mode: Option<Mode>,
    /// Worker threads for traffic. Default: one per core.
    #[schemars(range(min = 1, max = 1024), example = 2)]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Where connections are accepted; at least one.
    #[serde(default)]
    #[schemars(length(max = 1_000))]
    pub(crate) listener: Vec<Listener>,
    /// The apps behind the gate, by name; at least one.
    #[serde(default)]
    pub(crate) upstream: BTreeMap<String, Upstream>,
    /// Which upstream serves a request; the first match wins. Without routes
    /// everything goes to the only upstream.
    #[serde(default)]
    #[schemars(length(max = 10_000))]
    pub(crate) route: Vec<Route>,
    /// Who the client is, and what one client may use.
    #[serde(default)]
    pub(crate) client: Client,
    /// How to tell which customer a request belongs to. Without it there are
    /// no tenants.
    pub(crate) tenant: Option<Tenant>,
    /// Named sets of limits that tenants are put in.
    #[serde(default)]
    pub(crate) tier: BTreeMap<String, Tier>,
    /// The tier of each tenant that is known, by what requests tell it by: a
    /// host, a path's segment, or a credential, best as "sha256:" and the
    /// digits of its SHA-256.
    #[serde(default)]
    pub(crate) tenants: BTreeMap<String, Listed>,
    /// The caps on all connections together.
    #[serde(default)]
    pub(crate) connections: Connections,
    /// The addresses and prefixes of known customers.
    #[serde(default)]
    pub(crate) known: Known,
    /// What the mode "known-only" does.
    #[serde(default)]
    pub(crate) known_only: KnownOnly,
    /// How long each step may take: durations such as "500ms", "10s" or "2m",
    /// more than 0 and at most one day.
    #[serde(default)]
    pub(crate) deadlines: Deadlines,
    /// The access log.
    #[serde(default)]
    pub(crate) log: Log,
    /// What a refusal tells the client.
    #[serde(default)]
    pub(crate) refusal: Refusal,
    /// The administration API.
    #[serde(default)]
    pub(crate) admin: Admin,
    /// The metrics listener.
    #[serde(default)]
    pub(crate) metrics: Metrics,
    /// Where the mode, learned clients and the audit log are kept.
    #[serde(default)]
    pub(crate) state: State,
    /// Whose an address is, where `tidegate top` should tell that, too.
    #[serde(default)]
    pub(crate) top: Top,
}

/// A rule that sends requests to an upstream. What is not written matches everything.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    /// Matches this host only.
    pub(crate) host: Option<Written<HostName>>,
    /// Matches this path and those below it: "/search" matches /search and
    /// /search/books, not /searching.
    pub(crate) path: Option<Written<PathPrefix>>,
    /// Matches these methods only.
    #[serde(default)]
    #[schemars(example = serde_json::json!(["POST"]))]
    pub(crate) methods: Vec<Written<Method>>,
    /// The name of the upstream that serves it.
    pub(crate) upstream: Written<String>,
    /// The tokens that a request takes from each limit. Default: 1.
    #[schemars(
        with = "Option<NonZeroU32>",
        range(min = 1, max = 1_000_000),
        example = 5
    )]
    pub(crate) cost: Option<Spanned<NonZeroU32>>,
    /// A limit of this route, beside those of the client and the tenant. Default: none.
    pub(crate) limit: Option<RouteLimit>,
    /// Requests of this route that may be under way at a time, of all clients
    /// together. Default: no limit.
    #[schemars(range(min = 1, max = 10_000_000), example = 10)]
    pub(crate) in_flight: Option<NonZeroU32>,
    /// Whether the limits of clients, networks and tenants do not apply; the
    /// route's own do. Default: false.
    pub(crate) exempt: Option<bool>,
    /// The most bytes of a request's body, or "off". Default: what `[client]` says.
    pub(crate) max_body: Option<Written<BodySize>>,
}

/// A rate and a burst, and who has one such budget each.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    example = serde_json::json!({ "rate": "10/m" }),
    example = serde_json::json!({ "rate": "10/m", "burst": 5, "per": "client" })
)]
pub(crate) struct RouteLimit {
    /// How fast tokens come back: a number per second, minute or hour.
    pub(crate) rate: Written<Rate>,
    /// How many tokens may be spent at once. Default: the number of the rate.
    #[schemars(range(min = 1, max = 1_000_000), example = 5)]
    pub(crate) burst: Option<NonZeroU32>,
    /// Who has one such budget each: every client, every tenant, or the route
    /// once for all. Default: "client".
    #[schemars(with = "Option<Per>")]
    pub(crate) per: Option<Spanned<Per>>,
}

/// Who the client is, and what one client may use.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Client {
    /// What says the client's address. Default: "peer".
    pub(crate) address_from: Option<AddressFrom>,
    /// The addresses and networks whose word about the client's address is
    /// believed; anybody else's header is dropped. Default: nobody.
    #[serde(default)]
    #[schemars(example = serde_json::json!(["10.0.0.0/8"]))]
    pub(crate) trusted_proxies: Vec<Written<IpNet>>,
    /// IPv4 addresses that share this many leading bits are one client. Default: 32.
    #[schemars(range(min = 1, max = 32), example = 32)]
    pub(crate) ipv4_prefix: Option<u8>,
    /// IPv6 addresses that share this many leading bits are one client. Default: 64.
    #[schemars(range(min = 1, max = 128), example = 64)]
    pub(crate) ipv6_prefix: Option<u8>,
    /// What one client may request. Default: 50/s with a burst of 100.
    pub(crate) limit: Option<Limit>,
    /// A wider IPv6 network that is limited beside the client. Default: none.
    pub(crate) ipv6_network: Option<Ipv6Network>,
    /// Open connections of one client, its requests in flight over HTTP/2
    /// counted with them. Default: 100.
    #[schemars(range(min = 1, max = 10_000_000), example = 100)]
    pub(crate) connections: Option<NonZeroU32>,
    /// Requests on one connection, which closes behind the last. Default: 10_000.
    #[schemars(range(min = 1, max = 1_000_000_000), example = 10_000)]
    pub(crate) requests_per_connection: Option<NonZeroU32>,
    /// The most bytes of a request's body, or "off". Default: "1GiB".
    pub(crate) max_body: Option<Written<BodySize>>,
    /// How many clients are counted at a time; the memory for them is taken at
    /// the start. Default: 1_000_000.
    #[schemars(range(min = 1_000, max = 100_000_000), example = 1_000_000)]
    pub(crate) max_tracked: Option<usize>,
}

/// A wider IPv6 network, and what all clients in it may request together.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    example = serde_json::json!({ "prefix": 48, "limit": { "rate": "200/s", "burst": 400 } })
)]
pub(crate) struct Ipv6Network {
    /// IPv6 addresses that share this many leading bits are one network; fewer
    /// than make a client.
    #[schemars(with = "u8", range(min = 1, max = 127), example = 48)]
    pub(crate) prefix: Spanned<u8>,
    /// What one network may request.
    pub(crate) limit: Limit,
}

/// A rate and a burst.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    example = serde_json::json!({ "rate": "20/s" }),
    example = serde_json::json!({ "rate": "20/s", "burst": 40 })
)]
pub(crate) struct Limit {
    /// How fast tokens come back: a number per second, minute or hour.
    pub(crate) rate: Written<Rate>,
    /// How many tokens may be spent at once. Default: the number of the rate.
    #[schemars(range(min = 1, max = 1_000_000), example = 40)]
    pub(crate) burst: Option<NonZeroU32>,
}

/// How to tell which customer a request belongs to.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tenant {
    /// Where in a request the tenant's name stands: "host", "header:NAME",
    /// "cookie:NAME", "path:N", the segment N of the path counted from 1, or
    /// "client-cert", the name in the client's certificate.
    pub(crate) from: Written<TenantFrom>,
    /// The tier of a tenant that neither `[tenants]` nor a file lists.
    #[schemars(example = &"unverified")]
    pub(crate) tier: Written<String>,
    /// Files that list tenants, one a line, as `[tenants]` does; a pattern may
    /// stand for several. Default: none.
    #[serde(default)]
    #[schemars(example = serde_json::json!(["tenants.d/*.txt"]))]
    pub(crate) files: Vec<Written<PathBuf>>,
}

/// A named set of limits that tenants are put in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tier {
    /// What one tenant may request. Default: no limit.
    pub(crate) limit: Option<Limit>,
    /// Requests of one tenant that may be under way at a time. Default: no limit.
    #[schemars(range(min = 1, max = 10_000_000), example = 20)]
    pub(crate) in_flight: Option<NonZeroU32>,
}

/// The caps on all connections together.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connections {
    /// Open connections from all clients. Default: 10_000.
    #[schemars(range(min = 1, max = 10_000_000), example = 10_000)]
    pub(crate) total: Option<NonZeroU32>,
    /// How many of them only known clients get, so that these still get in
    /// while everybody else has taken the rest; below total. Default: a
    /// twentieth of total.
    #[schemars(with = "Option<u32>", range(min = 0, max = 9_999_999), example = 500)]
    pub(crate) reserved_for_known: Option<Spanned<u32>>,
    /// TLS handshakes under way at a time; beyond that only known clients get
    /// one. Default: 1_000.
    #[schemars(range(min = 1, max = 1_000_000), example = 1_000)]
    pub(crate) tls_handshakes: Option<NonZeroU32>,
}
