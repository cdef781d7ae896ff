//! Everything a verdict is made from: built from the configuration, immutable, swapped whole.
//!
//! Counters live elsewhere ([`Limits`]), so that a new policy reads what was
//! used under the old one.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::Context;
use ipnet::IpNet;
use tidegate_config::{AddressFrom, Config, Deadlines, TenantFrom};
use tidegate_limit::{Limiter, Quota};

use crate::forward::Upstream;
use crate::head::{Head, has_prefix};
use crate::limits::Limits;

/// The rules in force.
#[derive(Debug)]
pub struct Policy {
    /// Who a client is.
    pub client: ClientRules,
    /// The limit of each client.
    pub client_limit: NamedLimit,
    /// Open connections of one client.
    pub client_connections: NonZeroU32,
    /// Open connections of all clients.
    pub connections: NonZeroU32,
    /// Whose traffic a request is, when tenants are told apart.
    pub tenants: Option<Tenants>,
    /// Where requests go; first match wins.
    pub routes: Vec<Route>,
    /// What stays open in `known-only`.
    pub exempt_paths: Vec<String>,
    /// How long things may take.
    pub deadlines: Deadlines,
    /// Whether a refusal tells the client its quota.
    pub ratelimit_fields: bool,
    /// How long `known-only` lasts unless said otherwise.
    pub known_only_for: std::time::Duration,
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
}

/// A limit with the name under which a response speaks of it.
#[derive(Debug)]
pub struct NamedLimit {
    /// The policy's name in `RateLimit` fields.
    pub name: &'static str,
    /// The quota over the shared counters.
    pub limiter: Limiter,
}

/// A set of limits that tenants are put in.
#[derive(Debug)]
pub struct Tier {
    /// The tier's name.
    pub name: String,
    /// Its requests over time.
    pub limit: Option<NamedLimit>,
    /// Its requests at once.
    pub in_flight: Option<NonZeroU32>,
}

/// How tenants are told apart, and which tier each is in.
#[derive(Debug)]
pub struct Tenants {
    /// Where the tenant's name is read.
    pub from: TenantFrom,
    /// The tier of a tenant that is not listed.
    pub unlisted: Arc<Tier>,
    listed: HashMap<Box<str>, Arc<Tier>>,
}

impl Tenants {
    /// The name as it is listed and the tier it is in.
    pub fn find(&self, name: &str) -> Option<(&str, &Arc<Tier>)> {
        self.listed
            .get_key_value(name)
            .map(|(name, tier)| (&**name, tier))
    }
}

/// Where matching requests go, and what they cost.
#[derive(Debug)]
pub struct Route {
    host: Option<String>,
    path: Option<String>,
    methods: Vec<String>,
    /// The app behind it.
    pub upstream: Arc<Upstream>,
    /// Tokens a request takes.
    pub cost: NonZeroU32,
}

impl Route {
    fn matches(&self, head: &Head) -> bool {
        self.host
            .as_deref()
            .is_none_or(|host| host.eq_ignore_ascii_case(head.host()))
            && self
                .path
                .as_deref()
                .is_none_or(|prefix| has_prefix(head.path, prefix))
            && (self.methods.is_empty() || self.methods.iter().any(|method| method == head.method))
    }
}

/// The upstreams by name, as routes refer to them.
pub type Upstreams = BTreeMap<String, Arc<Upstream>>;

impl Policy {
    /// Builds the rules that `config` asks for over the counters in `limits`.
    ///
    /// # Errors
    /// When a rate and burst are outside what the counters can represent.
    pub fn new(config: &Config, upstreams: &Upstreams, limits: &Limits) -> anyhow::Result<Policy> {
        let client_limit = named("client", &config.client.limit, limits)
            .context("client.limit cannot be counted")?;
        Ok(Policy {
            client: ClientRules {
                address_from: config.client.address_from,
                trusted_proxies: config.client.trusted_proxies.clone(),
                ipv4_prefix: config.client.ipv4_prefix,
                ipv6_prefix: config.client.ipv6_prefix,
            },
            client_limit,
            client_connections: config.client.connections,
            connections: config.connections.total,
            tenants: tenants(config, limits)?,
            routes: routes(config, upstreams)?,
            exempt_paths: config.known_only.exempt_paths.clone(),
            deadlines: config.deadlines.clone(),
            ratelimit_fields: config.refusal.ratelimit_fields,
            known_only_for: config.known_only.duration,
        })
    }

    /// The first route that matches.
    pub fn route(&self, head: &Head) -> Option<&Route> {
        self.routes.iter().find(|route| route.matches(head))
    }

    /// Whether a path stays open in `known-only`.
    pub fn is_exempt(&self, path: &str) -> bool {
        self.exempt_paths
            .iter()
            .any(|prefix| has_prefix(path, prefix))
    }

    /// Whether a route names this host, so that it is one the operator vouches for.
    pub fn serves_host(&self, host: &str) -> bool {
        self.routes
            .iter()
            .filter_map(|route| route.host.as_deref())
            .any(|served| served.eq_ignore_ascii_case(host))
    }
}

fn named(
    name: &'static str,
    limit: &tidegate_config::Limit,
    limits: &Limits,
) -> anyhow::Result<NamedLimit> {
    let quota = Quota::new(limit.rate.count, limit.rate.per, limit.burst)?;
    Ok(NamedLimit {
        name,
        limiter: Limiter::new(quota, &limits.table),
    })
}

fn tenants(config: &Config, limits: &Limits) -> anyhow::Result<Option<Tenants>> {
    let Some(rules) = &config.tenant else {
        return Ok(None);
    };
    let mut tiers = BTreeMap::new();
    for (name, tier) in &config.tiers {
        let limit = tier.limit.as_ref();
        let limit = limit
            .map(|limit| named("tenant", limit, limits))
            .transpose()
            .with_context(|| format!("tier.{name}.limit cannot be counted"))?;
        let tier = Tier {
            name: name.clone(),
            limit,
            in_flight: tier.in_flight,
        };
        tiers.insert(name.as_str(), Arc::new(tier));
    }
    let tier = |name: &String| {
        let found = tiers.get(name.as_str()).cloned();
        found.with_context(|| format!("no tier is called {name}"))
    };
    let mut listed = HashMap::with_capacity(config.tenants.len());
    for (tenant, name) in &config.tenants {
        listed.insert(tenant.as_str().into(), tier(name)?);
    }
    Ok(Some(Tenants {
        from: rules.from.clone(),
        unlisted: tier(&rules.tier)?,
        listed,
    }))
}

fn routes(config: &Config, upstreams: &Upstreams) -> anyhow::Result<Vec<Route>> {
    let build = |route: &tidegate_config::Route| {
        let upstream = upstreams.get(&route.upstream).cloned();
        Ok(Route {
            host: route.host.clone(),
            path: route.path.clone(),
            methods: route.methods.clone(),
            upstream: upstream
                .with_context(|| format!("no upstream is called {}", route.upstream))?,
            cost: route.cost,
        })
    };
    config.routes.iter().map(build).collect()
}
