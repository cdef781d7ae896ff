//! Everything a verdict is made from: built from the configuration, immutable, swapped whole.
//!
//! Counters live elsewhere ([`Limits`]), so that a new policy reads what was
//! used under the old one.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::Context;
use ipnet::IpNet;
use tidegate_config::{AddressFrom, Config, Connections, Deadlines};

use crate::forward::Upstream;
use crate::head::has_prefix;
use crate::learn::Confirming;
use crate::limits::{Limits, NamedLimit};
use crate::pass;
use crate::route::{Route, Routes};
use crate::tenants::{Moved, Roster, Tenants};

/// The rules in force.
#[derive(Debug)]
pub struct Policy {
    /// Who a client is.
    pub client: ClientRules,
    /// The limit of each client.
    pub client_limit: NamedLimit,
    /// The limit of each wider IPv6 network.
    pub network_limit: Option<NamedLimit>,
    /// Open connections of one client.
    pub client_connections: NonZeroU32,
    /// Requests on one connection.
    pub requests_per_connection: NonZeroU32,
    /// Open connections of all clients.
    pub caps: Caps,
    /// TLS handshakes under way at a time.
    pub tls_handshakes: NonZeroU32,
    /// Whose traffic a request is, when tenants are told apart.
    pub tenants: Option<Tenants>,
    /// Where requests go; first match wins.
    pub routes: Routes,
    /// Which responses confirm customers, when any do.
    pub confirming: Option<Arc<Confirming>>,
    /// How customers come in from new addresses, when there are passes.
    pub pass: Option<Arc<pass::Rules>>,
    /// What stays open in `known-only`.
    pub exempt_paths: Vec<String>,
    /// How long things may take. What a forwarded request keeps of all this to its end.
    pub deadlines: Arc<Deadlines>,
    /// Whether a refusal tells the client its quota.
    pub ratelimit_fields: bool,
    /// How long `known-only` lasts unless said otherwise.
    pub known_only_for: std::time::Duration,
    /// Known prefixes without which it is not switched to `known-only`.
    pub known_only_minimum: NonZeroU32,
    /// More than which share of the requests of confirmed customers `known-only` may not shut out.
    pub customers_refused: tidegate_config::Share,
    /// What tells that an attack is still on while it is opened again.
    pub reopen: tidegate_config::Reopen,
}

/// How many connections may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Of all clients.
    pub total: NonZeroU32,
    /// How many of them only known clients get: below the total.
    pub reserved_for_known: u32,
    /// The total that the configuration asks for, and that the descriptors may be too few for.
    pub asked: NonZeroU32,
}

impl Caps {
    /// What the configuration asks for.
    pub fn asked(connections: Connections) -> Self {
        Caps {
            total: connections.total,
            reserved_for_known: connections.reserved_for_known,
            asked: connections.total,
        }
    }

    /// With no more than this in all, and the same share of it reserved.
    pub fn lowered_to(self, most: NonZeroU32) -> Self {
        let total = self.total.min(most);
        let share = u64::from(self.reserved_for_known) * u64::from(total.get());
        let reserved = share / u64::from(self.total.get());
        Caps {
            total,
            // A share of the total is less than the total.
            reserved_for_known: u32::try_from(reserved).unwrap_or(0),
            ..self
        }
    }

    /// How many of all connections anybody may have.
    pub fn open_to_all(&self) -> u32 {
        self.total.get().saturating_sub(self.reserved_for_known)
    }

    /// What an operator has to know about them.
    pub fn warning(&self) -> Option<String> {
        let (total, asked) = (self.total, self.asked);
        (total < asked).then(|| {
            format!(
                "connections.total is {asked}, but the limit of open files leaves room for {total}, which is in force: raise LimitNOFILE (systemd) or `ulimit -Hn`, or lower connections.total"
            )
        })
    }
}

/// How a client is told from the connection and its trusted headers.
#[derive(Debug)]
pub struct ClientRules {
    /// Where its address is read.
    pub address_from: AddressFrom,
    /// Who may say so.
    pub trusted_proxies: Vec<IpNet>,
    /// Bits of an IPv4 address that make a client.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 address that make a client.
    pub ipv6_prefix: u8,
    /// Bits of an IPv6 address that make a network with a limit of its own.
    pub ipv6_network: Option<u8>,
}

/// The upstreams by name, as routes refer to them.
pub type Upstreams = BTreeMap<String, Arc<Upstream>>;

impl Policy {
    /// Builds the rules that `config` asks for over the counters in `limits`, with the tenants in
    /// `roster` as operators have moved them.
    ///
    /// # Errors
    /// When a rate and burst are outside what the counters can represent, or a tenant was moved to a
    /// tier that is not there.
    pub fn new(
        config: &Config,
        upstreams: &Upstreams,
        roster: &Roster,
        moves: &[Moved],
        limits: &Limits,
    ) -> anyhow::Result<Policy> {
        let client_limit = NamedLimit::new("client", &config.client.limit, limits)
            .context("client.limit cannot be counted")?;
        let network = config.client.ipv6_network;
        let network_limit = network
            .map(|network| NamedLimit::new("network", &network.limit, limits))
            .transpose()
            .context("client.ipv6_network.limit cannot be counted")?;
        Ok(Policy {
            client: ClientRules {
                address_from: config.client.address_from,
                trusted_proxies: config.client.trusted_proxies.clone(),
                ipv4_prefix: config.client.ipv4_prefix,
                ipv6_prefix: config.client.ipv6_prefix,
                ipv6_network: network.map(|network| network.prefix),
            },
            client_limit,
            network_limit,
            client_connections: config.client.connections,
            requests_per_connection: config.client.requests_per_connection,
            caps: Caps::asked(config.connections),
            tls_handshakes: config.connections.tls_handshakes,
            tenants: Tenants::new(config, roster, moves, limits)?,
            routes: routes(config, upstreams, limits)?,
            confirming: confirming(config)?,
            // Their keys are not in the configuration.
            pass: None,
            exempt_paths: config.known_only.exempt_paths.clone(),
            deadlines: Arc::new(config.deadlines.clone()),
            ratelimit_fields: config.refusal.ratelimit_fields,
            known_only_for: config.known_only.duration,
            known_only_minimum: config.known_only.minimum,
            customers_refused: config.known_only.customers_refused,
            reopen: config.known_only.reopen,
        })
    }

    /// Whether a path stays open in `known-only`.
    pub fn is_exempt(&self, path: &str) -> bool {
        self.exempt_paths
            .iter()
            .any(|prefix| has_prefix(path, prefix))
    }
}

fn confirming(config: &Config) -> anyhow::Result<Option<Arc<Confirming>>> {
    let learn = config.known.learn.as_ref();
    let rules = learn.map(Confirming::new).transpose();
    Ok(rules.context("known.learn")?.map(Arc::new))
}

fn routes(config: &Config, upstreams: &Upstreams, limits: &Limits) -> anyhow::Result<Routes> {
    let routes = config.routes.iter().zip(1..);
    let build = |(route, number)| Route::new(route, number, upstreams, limits);
    let routes: anyhow::Result<Vec<Route>> = routes.map(build).collect();
    Ok(Routes::new(routes?))
}
