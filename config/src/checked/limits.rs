//! Who is counted, and how much each may use.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::literal::Literal;

/// A number that is written in this source and is not 0.
pub(crate) const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// A rate and a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How fast tokens come back.
    pub rate: Rate,
    /// How many tokens there are at most, so how many may be spent at once:
    /// 1 to 1,000,000. Not written, it is the rate's number.
    pub burst: NonZeroU32,
}

/// A number of tokens per second, minute or hour. Its text form is `20/s`,
/// `100/m` or `1000/h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens in each `per`: 1 to 1,000,000.
    pub count: NonZeroU32,
    /// A second, a minute or an hour.
    pub per: Duration,
}

impl FromStr for Rate {
    type Err = String;

    /// Reads the text form; the error says what would be right.
    fn from_str(text: &str) -> Result<Rate, String> {
        Literal::read(text)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.per.as_secs() {
            1 => write!(f, "{}/s", self.count),
            60 => write!(f, "{}/m", self.count),
            3600 => write!(f, "{}/h", self.count),
            // Only a hand-made rate has another unit.
            seconds => write!(f, "{}/{seconds}s", self.count),
        }
    }
}

/// Who the client is and what one client may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// What says the client's address.
    pub address_from: AddressFrom,
    /// The peers whose word about the client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// IPv4 addresses that share this many leading bits are one client: 1 to 32.
    pub ipv4_prefix: u8,
    /// IPv6 addresses that share this many leading bits are one client: 1 to 128.
    pub ipv6_prefix: u8,
    /// What one client may request.
    pub limit: Limit,
    /// The wider IPv6 network that is limited beside the client; `None` for none.
    pub ipv6_network: Option<Ipv6Network>,
    /// Open connections of one client, its requests in flight over HTTP/2 counted with them.
    pub connections: NonZeroU32,
    /// Requests on one connection, which closes behind the last.
    pub requests_per_connection: NonZeroU32,
    /// The most bytes of a request's body, for routes that say nothing else; [`u64::MAX`] for any.
    pub max_body: u64,
    /// How many clients are counted at a time: 1,000 to 100,000,000.
    pub max_tracked: usize,
}

impl Default for Client {
    fn default() -> Client {
        Client {
            address_from: AddressFrom::Peer,
            trusted_proxies: Vec::new(),
            ipv4_prefix: 32,
            ipv6_prefix: 64,
            limit: Limit {
                rate: Rate {
                    count: at_least_one(50),
                    per: Duration::from_secs(1),
                },
                burst: at_least_one(100),
            },
            ipv6_network: None,
            connections: at_least_one(100),
            requests_per_connection: at_least_one(10_000),
            // Bodies pass through and cost the gate no memory, so that it is for the apps' sake. An
            // app knows better what it takes; a gate that refuses uploads which the app would take
            // is switched off. This is above what browsers are given to upload, and still ends.
            max_body: 1 << 30,
            max_tracked: 1_000_000,
        }
    }
}

/// A wider IPv6 network and what all clients in it may request together, so that
/// whoever was delegated many `/64` has not as many budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Network {
    /// Addresses that share this many leading bits are one network: fewer than
    /// make a client.
    pub prefix: u8,
    /// What one network may request.
    pub limit: Limit,
}

/// What says the client's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AddressFrom {
    /// The other end of the TCP connection.
    #[default]
    Peer,
    /// The `X-Forwarded-For` header, when a trusted proxy sent it.
    XForwardedFor,
    /// The `Forwarded` header (RFC 7239), when a trusted proxy sent it.
    Forwarded,
}

/// The caps on all connections together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// Open connections from all clients.
    pub total: NonZeroU32,
    /// TLS handshakes under way at a time.
    pub tls_handshakes: NonZeroU32,
    /// How many of them only known clients get: below `total`.
    pub reserved_for_known: u32,
}

impl Connections {
    /// So many connections, with the usual share of them reserved: a twentieth.
    #[must_use]
    pub fn of(total: NonZeroU32) -> Connections {
        Connections {
            total,
            tls_handshakes: at_least_one(1_000),
            reserved_for_known: total.get() / 20,
        }
    }
}

impl Default for Connections {
    fn default() -> Connections {
        Connections::of(at_least_one(10_000))
    }
}
