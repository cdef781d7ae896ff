//! What the program needs: every value checked, every default filled in.
//!
//! The types here hold only what can be meant. What the user wrote, with its
//! optional keys and text forms, is in `raw`.

mod known;
mod limits;
mod operation;
mod routing;
mod tenants;
mod top;
mod upstream;

use std::{collections::BTreeMap, fmt, num::NonZeroUsize, path::PathBuf, str::FromStr};

use schemars::JsonSchema;
use serde::Deserialize;

pub use known::{Known, Learn, LearnRule, Pass};
pub use limits::{AddressFrom, Client, Connections, Ipv6Network, Limit, Rate};
pub use operation::{
    Admin, AdminTcp, Deadlines, KnownOnly, Log, LogFile, Metrics, Refusal, Reopen, Rotate, Sample,
    State, default_admin_socket,
};
pub use routing::{
    Certificate, ClientCertificates, Listener, Per, ProxyProtocol, Route, RouteLimit,
};
pub use tenants::{LONGEST_TENANT, Listed, SHA256, Tenant, TenantFrom, Tier};
pub use top::Top;
pub use upstream::{Balance, Eject, HealthCheck, Server, Upstream};

/// A whole configuration that has passed every check that needs no network
/// and no file but its own.
///
/// Made by [`Config::load`], [`Config::parse`] or [`Config::embedded`].
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file it came from; `None` for text that was in no file.
    pub source: Option<PathBuf>,
    /// The mode at the first start; later the mode last set at run time holds.
    pub mode: Mode,
    /// Worker threads for traffic; `None` means one per core.
    pub threads: Option<NonZeroUsize>,
    /// Where to accept connections: at least one, and no two that collide.
    pub listeners: Vec<Listener>,
    /// The apps behind the gate, by name: at least one.
    pub upstreams: BTreeMap<String, Upstream>,
    /// Which upstream serves a request, in order, first match wins: at least one.
    pub routes: Vec<Route>,
    /// Who the client is and what one client may use.
    pub client: Client,
    /// How to tell which customer a request belongs to; `None` when nobody asked.
    pub tenant: Option<Tenant>,
    /// The sets of limits that tenants are put in, by name.
    pub tiers: BTreeMap<String, Tier>,
    /// The tenants that the file itself lists, by what requests tell them by: see
    /// [`TenantFrom::listed`]. Without [`Config::tenant`] there are none.
    pub tenants: BTreeMap<String, Listed>,
    /// The caps on all connections together.
    pub connections: Connections,
    /// Where the known set is read from.
    pub known: Known,
    /// What `known-only` does when it is switched on.
    pub known_only: KnownOnly,
    /// How long each step of a request may take.
    pub deadlines: Deadlines,
    /// The access log.
    pub log: Log,
    /// What a refusal tells the client.
    pub refusal: Refusal,
    /// The administration API.
    pub admin: Admin,
    /// The metrics listener.
    pub metrics: Metrics,
    /// Where run-time state is kept.
    pub state: State,
    /// What `tidegate top` tells besides what requests say.
    pub top: Top,
    /// What is allowed but is most likely not meant: one message each, in the
    /// form of an error.
    pub warnings: Vec<String>,
}

/// What is done with verdicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Verdicts are made and counted, and none but the total connection cap is enforced.
    Observe,
    /// Limits and caps are enforced.
    #[default]
    Normal,
    /// As `normal`, and clients outside the known set are refused.
    KnownOnly,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Mode::Observe => "observe",
            Mode::Normal => "normal",
            Mode::KnownOnly => "known-only",
        })
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Mode, String> {
        match text {
            "observe" => Ok(Mode::Observe),
            "normal" => Ok(Mode::Normal),
            "known-only" => Ok(Mode::KnownOnly),
            _ => Err(r#"a mode is "observe", "normal" or "known-only""#.to_owned()),
        }
    }
}
