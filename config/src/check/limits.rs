//! Clients and connections.

use std::num::NonZeroU32;

use crate::{
    checked::{AddressFrom, Client, Config, Connections, Ipv6Network, Limit, Rate},
    findings::Findings,
    literal::BodySize,
    raw::{self, Written},
};

/// Who the client is, and what one client may use.
pub(super) fn client(findings: &mut Findings<'_>, raw: raw::Client) -> Client {
    let default = Client::default();
    let BodySize(max_body) = findings.read_or(raw.max_body, BodySize(default.max_body));
    let ipv6_prefix = raw.ipv6_prefix.unwrap_or(default.ipv6_prefix);
    let client = Client {
        address_from: raw.address_from.unwrap_or(default.address_from),
        trusted_proxies: findings.read_all(&raw.trusted_proxies),
        ipv4_prefix: raw.ipv4_prefix.unwrap_or(default.ipv4_prefix),
        ipv6_prefix,
        limit: raw
            .limit
            .and_then(|raw| limit(findings, &raw.rate, raw.burst))
            .unwrap_or(default.limit),
        ipv6_network: raw
            .ipv6_network
            .and_then(|network| ipv6_network(findings, &network, ipv6_prefix)),
        connections: raw.connections.unwrap_or(default.connections),
        requests_per_connection: raw
            .requests_per_connection
            .unwrap_or(default.requests_per_connection),
        max_body,
        max_tracked: raw.max_tracked.unwrap_or(default.max_tracked),
    };
    warn_of_trust(findings, &client, &raw.trusted_proxies);
    client
}

/// A rate and a burst, wherever they are written.
pub(super) fn limit(
    findings: &mut Findings<'_>,
    rate: &Written<Rate>,
    burst: Option<NonZeroU32>,
) -> Option<Limit> {
    let rate = findings.read(rate)?;
    Some(Limit {
        rate,
        burst: burst.unwrap_or(rate.count),
    })
}

/// The network has to be wider than a client, which shares `client` leading bits.
fn ipv6_network(
    findings: &mut Findings<'_>,
    raw: &raw::Ipv6Network,
    client: u8,
) -> Option<Ipv6Network> {
    let limit = limit(findings, &raw.limit.rate, raw.limit.burst);
    let prefix = *raw.prefix.get_ref();
    if prefix >= client {
        let right = format!(
            "a network is wider than one client, and ipv6_prefix is {client}: write a number \
             below {client}"
        );
        findings.wrong(&raw.prefix.span(), &right);
        return None;
    }
    Some(Ipv6Network {
        prefix,
        limit: limit?,
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

/// The caps on all connections together.
pub(super) fn connections(findings: &mut Findings<'_>, raw: &raw::Connections) -> Connections {
    let total = raw.total.unwrap_or(Connections::default().total);
    let usual = Connections::of(total);
    let usual = Connections {
        tls_handshakes: raw.tls_handshakes.unwrap_or(usual.tls_handshakes),
        ..usual
    };
    let Some(reserved) = &raw.reserved_for_known else {
        return usual;
    };
    if *reserved.get_ref() >= total.get() {
        let right = format!(
            "somebody else has to get in, too, and total is {total}: write a number below {total}"
        );
        findings.wrong(&reserved.span(), &right);
        return usual;
    }
    Connections {
        reserved_for_known: *reserved.get_ref(),
        ..usual
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
