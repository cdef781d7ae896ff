//! A request whose cost no bucket can ever hold would always be refused.

use std::num::NonZeroU32;

use crate::{
    checked::{Config, Route},
    findings::Findings,
};

use super::routes::Placed;

/// Finds the routes with a cost above the burst of a limit that applies to them.
pub(super) fn costs(findings: &mut Findings<'_>, routes: &[Placed], config: &Config) {
    let general = config.smallest_burst();
    for Placed { route, cost, .. } in routes {
        let own = own_burst(route);
        let applying = general.iter().filter(|_| !route.exempt).chain(&own);
        let Some((name, burst)) = applying.min_by_key(|(_, burst)| *burst) else {
            continue;
        };
        if let (Some(span), true) = (cost, route.cost > *burst) {
            let right = format!(
                "the burst of {name} is {burst}: this is a request that can never pass; lower \
                 the cost, or raise the burst to {} or more",
                route.cost
            );
            findings.wrong(span, &right);
        }
    }
}

fn own_burst(route: &Route) -> Option<(String, NonZeroU32)> {
    let limit = route.limit?;
    Some(("the route's own limit".to_owned(), limit.limit.burst))
}

impl Config {
    /// The smallest burst of the limits that every request may meet, with its
    /// key. Tiers and tenants only matter when requests have tenants.
    fn smallest_burst(&self) -> Option<(String, NonZeroU32)> {
        let client = ("client.limit".to_owned(), self.client.limit);
        let network = self.client.ipv6_network;
        let network = network.map(|network| ("client.ipv6_network".to_owned(), network.limit));
        let tiers = self.tiers.iter().filter(|_| self.tenant.is_some());
        let tiers =
            tiers.filter_map(|(name, tier)| Some((format!("tier.{name}.limit"), tier.limit?)));
        let own = self.tenants.iter().filter_map(|(key, tenant)| {
            let name = tenant.name.as_ref().unwrap_or(key);
            Some((format!("the tenant \"{name}\""), tenant.limit?))
        });
        std::iter::once(client)
            .chain(network)
            .chain(tiers)
            .chain(own)
            .map(|(name, limit)| (name, limit.burst))
            .min_by_key(|(_, burst)| *burst)
    }
}
