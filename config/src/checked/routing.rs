//! Where requests come in, and where they go.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::Limit;

/// A place where connections are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address and port to bind; port 0 lets the system choose one.
    pub address: SocketAddr,
    /// The certificates it serves TLS with, the first for clients that name no other; empty without
    /// TLS.
    pub certificates: Vec<Certificate>,
    /// What clients' own certificates have to be; `None` when none is asked for.
    pub client_certificates: Option<ClientCertificates>,
    /// Whether HTTP/2 is offered; only with TLS.
    pub http2: bool,
    /// Whether connections begin with a PROXY protocol header.
    pub proxy_protocol: ProxyProtocol,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The file with the chain, the certificate itself first; absolute.
    pub chain: PathBuf,
    /// The file with the private key; absolute.
    pub key: PathBuf,
}

/// What clients' own certificates have to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// The file with the certificates of the authorities that sign them; absolute.
    pub authorities: PathBuf,
    /// Whether a client without one is turned away.
    pub required: bool,
}

/// Whether connections begin with a header that names the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyProtocol {
    /// They do not.
    #[default]
    Off,
    /// They do, version 1 or 2, and come from trusted proxies alone.
    Required,
}

/// A rule that sends requests to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Matches this host only, in lower case and without a port; `None` matches every host.
    pub host: Option<String>,
    /// Matches this path and those below it, on segment borders; it starts
    /// with `/`. `None` matches every path.
    pub path: Option<String>,
    /// Matches these methods only, in upper case; empty matches every method.
    pub methods: Vec<String>,
    /// The name of the upstream; it exists.
    pub upstream: String,
    /// The tokens that a request takes from each limit. No larger than the burst
    /// of any limit in this configuration that can apply to the request.
    pub cost: NonZeroU32,
    /// A limit of this route, beside those of the client and the tenant.
    pub limit: Option<RouteLimit>,
    /// Requests of this route that may be under way at a time, of all clients
    /// together; `None` is without limit.
    pub in_flight: Option<NonZeroU32>,
    /// Whether the limits of clients, networks and tenants do not apply. The
    /// route's own do, and so does the mode.
    pub exempt: bool,
    /// The most bytes of a request's body; [`u64::MAX`] for any.
    pub max_body: u64,
}

/// A limit of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteLimit {
    /// The rate and burst.
    pub limit: Limit,
    /// Who has one such budget each.
    pub per: Per,
}

/// What is counted: who has a budget of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// Each client.
    #[default]
    Client,
    /// Each tenant.
    Tenant,
    /// The route itself: one budget for all requests.
    Route,
}

impl Route {
    /// The route that sends everything to one upstream.
    pub(crate) fn catch_all(upstream: &str) -> Route {
        Route {
            host: None,
            path: None,
            methods: Vec::new(),
            upstream: upstream.to_owned(),
            cost: NonZeroU32::MIN,
            limit: None,
            in_flight: None,
            exempt: false,
            max_body: u64::MAX,
        }
    }
}
