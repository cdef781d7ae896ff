//! The apps behind the gate.

use std::{fmt, net::Ipv6Addr, num::NonZeroU32, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::share::Share;

/// An app behind the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its name: 1 to 64 letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The servers that serve it: at least one.
    pub servers: Vec<Server>,
    /// How often the names of its servers are looked up again: more than 0,
    /// at most one day.
    pub resolve_every: Duration,
    /// After how long without an answer, while there are requests, it is told of.
    pub silent_after: Duration,
    /// After how long without any request it is told of.
    pub idle_after: Duration,
    /// Which of its servers a request goes to.
    pub balance: Balance,
    /// When a server that takes no connections is left out.
    pub eject: Eject,
    /// How long the share of a server grows that comes back.
    pub slow_start: Duration,
    /// Of its requests, the share that may be sent once more when a server did not take them.
    pub retries: Share,
    /// How each server is asked whether it is well; `None` when it is not.
    pub health: Option<HealthCheck>,
}

/// How a server is asked whether it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The path, with or without a query, that it has to answer with a status from 200 to 399; `None`
    /// when it is enough that it takes a connection.
    pub path: Option<String>,
    /// The host that it is asked for; `None` is its address.
    pub host: Option<String>,
    /// How often.
    pub every: Duration,
    /// How long it may take.
    pub timeout: Duration,
    /// So many good answers in a row bring it back.
    pub rise: NonZeroU32,
    /// So many bad ones in a row leave it out.
    pub fall: NonZeroU32,
}

impl Default for HealthCheck {
    fn default() -> HealthCheck {
        HealthCheck {
            path: None,
            host: None,
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            rise: NonZeroU32::MIN.saturating_add(1),
            fall: NonZeroU32::MIN.saturating_add(2),
        }
    }
}

/// Which server a request goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// Each in turn.
    #[default]
    RoundRobin,
    /// The one at which the fewest requests of this gate are under way.
    LeastLoaded,
}

/// When a server that takes no connections is left out, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eject {
    /// Connections that fail in a row.
    pub failures: NonZeroU32,
    /// How long the first time.
    pub first: Duration,
    /// Each time in a row it is twice as long, up to this; not below the first.
    pub longest: Duration,
}

impl Default for Eject {
    fn default() -> Eject {
        Eject {
            failures: NonZeroU32::MIN.saturating_add(4),
            first: Duration::from_secs(10),
            longest: Duration::from_secs(5 * 60),
        }
    }
}

impl Upstream {
    /// An upstream with everything that nobody has to say.
    pub(crate) fn new(name: String, servers: Vec<Server>) -> Upstream {
        Upstream {
            name,
            servers,
            resolve_every: Duration::from_secs(10),
            silent_after: Duration::from_secs(5 * 60),
            idle_after: Duration::from_secs(60 * 60),
            balance: Balance::default(),
            eject: Eject::default(),
            slow_start: Duration::from_secs(10),
            retries: Share::of_parts(Share::WHOLE / 5),
            health: None,
        }
    }
}

/// A host and a port. Its text form is `127.0.0.1:3000`, `[::1]:3000` or
/// `app.internal:3000`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Server {
    /// An IPv4 address, an IPv6 address without brackets, or a DNS name in
    /// lower case. A name is not looked up here.
    pub host: String,
    /// 1 to 65,535.
    pub port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.parse::<Ipv6Addr>().is_ok() {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Server {
    type Err = String;

    /// Reads the text form; the error says what would be right.
    fn from_str(text: &str) -> Result<Server, String> {
        crate::literal::server(text)
    }
}
