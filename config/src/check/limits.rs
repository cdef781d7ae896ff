//! Clients, tenants and tiers.

use std::{collections::BTreeMap, num::NonZeroU32};

use crate::{
    checked::{AddressFrom, Client, Config, Connections, Limit, Tenant, TenantFrom, Tier},
    findings::Findings,
    literal::{HostName, Literal},
    raw::{self, Written},
};

use super::{network::check_name, routes::existing};

/// Who the client is, and what one client may use.
pub(super) fn client(findings: &mut Findings<'_>, raw: raw::Client) -> Client {
    let default = Client::default();
    let client = Client {
        address_from: raw.address_from.unwrap_or(default.address_from),
        trusted_proxies: findings.read_all(&raw.trusted_proxies),
        ipv4_prefix: raw.ipv4_prefix.unwrap_or(default.ipv4_prefix),
        ipv6_prefix: raw.ipv6_prefix.unwrap_or(default.ipv6_prefix),
        limit: raw
            .limit
            .and_then(|limit| self::limit(findings, &limit))
            .unwrap_or(default.limit),
        connections: raw.connections.unwrap_or(default.connections),
        max_tracked: raw.max_tracked.unwrap_or(default.max_tracked),
    };
    warn_of_trust(findings, &client, &raw.trusted_proxies);
    client
}

fn limit(findings: &mut Findings<'_>, raw: &raw::Limit) -> Option<Limit> {
    let rate = findings.read(&raw.rate)?;
    Some(Limit {
        rate,
        burst: raw.burst.unwrap_or(rate.count),
    })
}

fn warn_of_trust(findings: &mut Findings<'_>, client: &Client, written: &[Written<ipnet::IpNet>]) {
    for (network, written) in client.trusted_proxies.iter().zip(written) {
        if network.prefix_len() == 0 {
            findings.warn(
                &written.span(),
                "everybody is trusted to claim any address".to_owned(),
            );
        }
    }
    if client.address_from != AddressFrom::Peer
        && written.is_empty()
        && let Some(span) = findings.document.span_of(&["client", "address_from"])
    {
        findings.warn(
            &span,
            "no proxy is trusted, so that the header is never used; name the proxies in \
             client.trusted_proxies"
                .to_owned(),
        );
    }
}

/// The tiers, by name.
pub(super) fn tiers(
    findings: &mut Findings<'_>,
    raw: BTreeMap<String, raw::Tier>,
) -> BTreeMap<String, Tier> {
    let mut tier = |(name, raw): (String, raw::Tier)| {
        check_name(findings, "tier", &name);
        let limit = raw.limit.and_then(|limit| self::limit(findings, &limit));
        (
            name,
            Tier {
                limit,
                in_flight: raw.in_flight,
            },
        )
    };
    raw.into_iter().map(&mut tier).collect()
}

/// How to tell which tenant a request belongs to.
pub(super) fn tenant(
    findings: &mut Findings<'_>,
    raw: Option<raw::Tenant>,
    tiers: &BTreeMap<String, Tier>,
) -> Option<Tenant> {
    let Some(raw) = raw else {
        if let (Some(span), false) = (findings.document.span_of(&["tier"]), tiers.is_empty()) {
            findings.warn(
                &span,
                "without [tenant], no request belongs to a tier".to_owned(),
            );
        }
        return None;
    };
    let tier = tier_name(findings, &raw.tier, tiers);
    Some(Tenant {
        from: findings.read(&raw.from)?,
        tier,
    })
}

fn tier_name(
    findings: &mut Findings<'_>,
    written: &Written<String>,
    tiers: &BTreeMap<String, Tier>,
) -> String {
    if !tiers.contains_key(written.text()) {
        findings.wrong(
            &written.span(),
            &existing("tier", written.text(), tiers.keys()),
        );
    }
    written.text().to_owned()
}

/// The tier of each tenant that is listed.
pub(super) fn tenants(
    findings: &mut Findings<'_>,
    raw: &BTreeMap<String, Written<String>>,
    tenant: Option<&Tenant>,
    tiers: &BTreeMap<String, Tier>,
) -> BTreeMap<String, String> {
    // When [tenant] is there and wrong, that is known already.
    let asked = findings.document.span_of(&["tenant"]).is_some();
    if let (Some(span), false, false) = (
        findings.document.span_of(&["tenants"]),
        asked,
        raw.is_empty(),
    ) {
        let tier = tiers.keys().next().map_or("unverified", String::as_str);
        let message = format!(
            "found tenants, but nothing says which request is whose; write\n\n\
             [tenant]\nfrom = \"host\"\ntier = \"{tier}\""
        );
        findings.problem(&span, message);
    }
    let by_host = tenant.is_some_and(|tenant| tenant.from == TenantFrom::Host);
    let mut tenants = BTreeMap::new();
    for (name, written) in raw {
        let tier = tier_name(findings, written, tiers);
        let name = if by_host {
            host(findings, name, written)
        } else {
            name.clone()
        };
        if tenants.insert(name.clone(), tier).is_some() {
            let message = format!("found the host \"{name}\" a second time; a host has one tier");
            findings.problem(&written.span(), message);
        }
    }
    tenants
}

/// The name of a tenant that is told by its host, as it is compared.
fn host(findings: &mut Findings<'_>, name: &str, written: &Written<String>) -> String {
    match HostName::read(name) {
        Ok(HostName(host)) => host,
        Err(right) => {
            let message = format!("found a tenant that no host can be: {right}");
            findings.problem(&written.span(), message);
            name.to_owned()
        }
    }
}

/// The caps on all connections together.
pub(super) fn connections(raw: &raw::Connections) -> Connections {
    Connections {
        total: raw.total.unwrap_or(Connections::default().total),
    }
}

/// Warns when one client may use up what all clients have together.
pub(super) fn caps(findings: &mut Findings<'_>, config: &Config) {
    let (one, all): (NonZeroU32, NonZeroU32) =
        (config.client.connections, config.connections.total);
    if one < all {
        return;
    }
    let written = [["client", "connections"], ["connections", "total"]];
    if let Some(span) = written
        .iter()
        .find_map(|path| findings.document.span_of(path))
    {
        findings.warn(
            &span,
            format!("one client may open {one} connections, and all together {all}: one is enough to lock out the rest"),
        );
    }
}
