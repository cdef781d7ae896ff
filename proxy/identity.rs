//! Who sends a request, from verified facts only.

mod forwarding;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arrayvec::ArrayString;
use ipnet::{IpNet, Ipv6Net};
use tidegate_config::{AddressFrom, LONGEST_TENANT, TenantFrom};
use tidegate_limit::{Domain, Key, KeyHasher};

use crate::head::{Head, segment};
use crate::policy::{ClientRules, Policy};
use crate::tenants::{Tenants, Tier};

/// What is known of a request's client and tenant.
#[derive(Debug)]
pub struct Identity<'request> {
    /// The client's address; IPv4 is never written as IPv6.
    pub client: IpAddr,
    /// The client's prefix, as it is counted.
    pub client_key: Key,
    /// The wider network around it, as it is counted, where that has a limit.
    pub network_key: Option<Key>,
    /// The tenant, when tenants are told apart.
    pub tenant: Option<Tenant<'request>>,
}

/// The customer whose traffic a request is.
#[derive(Debug)]
pub struct Tenant<'request> {
    /// Its name where that is vouched for; `None` for all that anybody could have invented, which
    /// share one bucket.
    pub name: Option<&'request str>,
    /// Its limits.
    pub tier: &'request Arc<Tier>,
    /// The tenant as it is counted.
    pub key: Key,
    /// Where it is listed, if it is.
    pub source: Option<&'request str>,
}

/// Who is at the other end of a connection, as far as the connection itself tells.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The peer, or whom the PROXY protocol named in its place.
    pub address: IpAddr,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// The name in the certificate that it proved to have.
    pub certificate: Option<Arc<str>>,
}

/// An address in the one form it is compared in: `::ffff:192.0.2.1` is 192.0.2.1.
pub fn canonical(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

impl ClientRules {
    /// The prefix that makes a client, as a key.
    pub fn key(&self, hasher: &KeyHasher, client: IpAddr) -> Key {
        self.key_in(Domain::Client, hasher, client)
    }

    /// The prefix that makes a client, as a key that tells who is in a share of all clients.
    pub fn share_key(&self, hasher: &KeyHasher, client: IpAddr) -> Key {
        self.key_in(Domain::Share, hasher, client)
    }

    fn key_in(&self, domain: Domain, hasher: &KeyHasher, client: IpAddr) -> Key {
        match self.prefix(client).network() {
            IpAddr::V4(prefix) => hasher.key(domain, &prefix.octets()),
            IpAddr::V6(prefix) => hasher.key(domain, &prefix.octets()),
        }
    }

    /// The prefix that makes a client.
    pub fn prefix(&self, client: IpAddr) -> IpNet {
        let length = match client {
            IpAddr::V4(_) => self.ipv4_prefix,
            IpAddr::V6(_) => self.ipv6_prefix,
        };
        // The lengths were checked; an address stands for itself where they were not.
        IpNet::new(client, length).map_or(client.into(), |net| net.trunc())
    }

    /// The wider network that has a limit of its own.
    pub fn network(&self, client: IpAddr) -> Option<Ipv6Net> {
        match (client, self.ipv6_network) {
            (IpAddr::V6(address), Some(length)) => {
                Ipv6Net::new(address, length).ok().map(|net| net.trunc())
            }
            _ => None,
        }
    }

    /// The wider network that has a limit of its own, as a key.
    pub fn network_key(&self, hasher: &KeyHasher, client: IpAddr) -> Option<Key> {
        let network = self.network(client)?;
        // With its length: the first /48 of a /32 is not the /32, whose budget must not be what the
        // one has left when the prefix is changed.
        let mut bytes = [network.prefix_len(); 17];
        let (octets, _length) = bytes.split_at_mut(16);
        octets.copy_from_slice(&network.addr().octets());
        Some(hasher.key(Domain::Network, &bytes))
    }

    /// Whether this peer may say who the client is.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }

    /// Whether the requests of this peer are other clients', so that its connections are, too.
    pub fn speaks_for_others(&self, peer: IpAddr) -> bool {
        self.address_from != AddressFrom::Peer && self.trusts(peer)
    }

    /// The client of a request: the peer, or whom a trusted one names.
    pub fn client(&self, peer: IpAddr, head: &Head) -> IpAddr {
        if !self.trusts(peer) {
            return peer;
        }
        match self.address_from {
            AddressFrom::Peer => peer,
            AddressFrom::XForwardedFor => self.nearest(peer, forwarding::x_forwarded_for(head)),
            AddressFrom::Forwarded => self.nearest(peer, forwarding::forwarded(head)),
        }
    }

    /// Walks from the nearest hop, which our own proxies wrote, to the first address that is not one
    /// of theirs. What cannot be read ends the walk: everything beyond it is hearsay.
    fn nearest(&self, peer: IpAddr, mut hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut client = peer;
        while self.trusts(client) {
            match hops.next() {
                Some(Some(address)) => client = address,
                Some(None) | None => break,
            }
        }
        client
    }
}

/// Everything known of one request.
pub fn identify<'request>(
    policy: &'request Policy,
    hasher: &KeyHasher,
    client: IpAddr,
    certificate: Option<&'request str>,
    head: &Head<'request>,
) -> Identity<'request> {
    let tenant = policy.tenants.as_ref();
    Identity {
        client,
        client_key: policy.client.key(hasher, client),
        network_key: policy.client.network_key(hasher, client),
        tenant: tenant.map(|tenants| tenant_of(policy, tenants, hasher, certificate, head)),
    }
}

fn tenant_of<'request>(
    policy: &'request Policy,
    tenants: &'request Tenants,
    hasher: &KeyHasher,
    certificate: Option<&'request str>,
    head: &Head<'request>,
) -> Tenant<'request> {
    let shared = || Tenant {
        name: None,
        tier: &tenants.unlisted,
        key: hasher.key(Domain::Tenant, b""),
        source: None,
    };
    let mut host = ArrayString::new();
    let mut space;
    let name = match &tenants.from {
        TenantFrom::Host => head.lowercase_host(&mut host),
        TenantFrom::Path(number) => {
            space = [0; LONGEST_TENANT];
            segment(head.path, *number, &mut space)
        }
        TenantFrom::Header(field) => from_header(head, field),
        TenantFrom::Cookie(name) => from_cookie(head, name),
        TenantFrom::ClientCert => certificate,
    };
    let by_host = tenants.from == TenantFrom::Host;
    // What is too long is nobody's, and not worth a hash.
    let sensible = |name: &&str| (1..=LONGEST_TENANT).contains(&name.len());
    let Some(name) = name.filter(sensible) else {
        return shared();
    };
    match tenants.find(name) {
        Some(listed) => Tenant {
            name: Some(&listed.name),
            tier: &listed.tier,
            key: listed.key,
            source: Some(&listed.source),
        },
        // A host with a route is the operator's word; any other name is the client's.
        None if by_host && policy.routes.name_host(name) => Tenant {
            name: Some(head.host()),
            tier: &tenants.unlisted,
            key: hasher.key(Domain::Tenant, name.as_bytes()),
            source: None,
        },
        None => shared(),
    }
}

fn from_header<'request>(head: &Head<'request>, name: &str) -> Option<&'request str> {
    let named = head
        .fields
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case(name));
    only(named.map(|field| field.value))
        .filter(|_| !head.nominates(name))
        .and_then(|value| std::str::from_utf8(value).ok())
}

fn from_cookie<'request>(head: &Head<'request>, name: &str) -> Option<&'request str> {
    only(head.cookies(name))
        .filter(|_| !head.nominates("cookie"))
        .and_then(|value| std::str::from_utf8(value).ok())
}

/// The one value there is: of two, the app may read the other one.
fn only<T>(mut values: impl Iterator<Item = T>) -> Option<T> {
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests;
