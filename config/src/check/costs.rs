//! A request whose cost no bucket can ever hold would always be refused.

use std::num::NonZeroU32;

use crate::{
    checked::{Config, Listed, Route, TenantFrom},
    document::dotted,
    findings::Findings,
};

use super::routes::Placed;

/// Finds the routes with a cost above the burst of a limit that can apply to them.
pub(super) fn costs(findings: &mut Findings<'_>, routes: &[Placed], config: &Config) {
    let bursts = Bursts::of(config);
    for Placed { route, cost, .. } in routes {
        if let Some(span) = cost
            && let Some((limit, burst)) = bursts.smallest(route)
            && route.cost > burst
        {
            let right = format!(
                "the burst of {limit} is {burst}: this is a request that can never pass; lower \
                 the cost, or raise the burst to {} or more",
                route.cost
            );
            findings.wrong(span, &right);
        }
    }
}

/// The smallest bursts of a configuration, found once: there may be many
/// tenants, and many routes.
struct Bursts<'c> {
    config: &'c Config,
    /// Of clients, networks and tiers, with the key of the limit.
    shared: Option<(String, NonZeroU32)>,
    /// Of the tenants with a limit of their own, with what tells the tenant.
    tenant: Option<(&'c String, NonZeroU32)>,
}

impl<'c> Bursts<'c> {
    fn of(config: &'c Config) -> Bursts<'c> {
        let client = ("client.limit".to_owned(), config.client.limit);
        let network = config.client.ipv6_network.map(|network| network.limit);
        let network = network.map(|limit| ("client.ipv6_network.limit".to_owned(), limit));
        // Tiers only matter when requests have tenants.
        let tiers = config.tiers.iter().filter(|_| config.tenant.is_some());
        let tiers =
            tiers.filter_map(|(name, tier)| Some((dotted(&["tier", name, "limit"]), tier.limit?)));
        let shared = std::iter::once(client).chain(network).chain(tiers);
        Bursts {
            config,
            shared: shared
                .map(|(key, limit)| (key, limit.burst))
                .min_by_key(|(_, burst)| *burst),
            tenant: config
                .tenants
                .iter()
                .filter_map(own)
                .min_by_key(|(_, burst)| *burst),
        }
    }

    /// The smallest burst that a request of this route may meet.
    fn smallest(&self, route: &Route) -> Option<(String, NonZeroU32)> {
        let limit = route.limit.map(|route| route.limit.burst);
        let limit = limit.map(|burst| ("the route's own limit".to_owned(), burst));
        if route.exempt {
            return limit;
        }
        let tenant = self.of_tenants(route);
        let tenant = tenant.map(|(told_by, burst)| (dotted(&["tenants", told_by, "limit"]), burst));
        let all = self.shared.clone().into_iter().chain(tenant).chain(limit);
        all.min_by_key(|(_, burst)| *burst)
    }

    /// The requests of a route for one host are those of one tenant, when the
    /// host tells the tenant.
    fn of_tenants(&self, route: &Route) -> Option<(&'c String, NonZeroU32)> {
        let from = self.config.tenant.as_ref().map(|tenant| &tenant.from);
        match (&route.host, from) {
            (Some(host), Some(TenantFrom::Host)) => {
                self.config.tenants.get_key_value(host).and_then(own)
            }
            _ => self.tenant,
        }
    }
}

/// The burst of a tenant's own limit.
fn own<'c>((told_by, listed): (&'c String, &Listed)) -> Option<(&'c String, NonZeroU32)> {
    Some((told_by, listed.limit?.burst))
}
