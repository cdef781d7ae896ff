//! How the gate itself is run, as it is written: time, logs, and its own doors.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::Written;
use crate::literal::{Bandwidth, Deadline, FileSize, LeastRate, PathPrefix, Stay};
use crate::share::Share;

/// What the mode "known-only" does.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownOnly {
    /// How long it lasts when nothing else is said, at most "30d". Default: "30m".
    pub(crate) r#for: Option<Written<Stay>>,
    /// Paths that stay open to everybody, with those below them. Default: none.
    #[serde(default)]
    #[schemars(example = serde_json::json!(["/healthz"]))]
    pub(crate) exempt_paths: Vec<Written<PathPrefix>>,
    /// Known prefixes that there have to be before it can be switched to without
    /// --force. Default: 1.
    #[schemars(range(min = 1, max = 4_000_000), example = 100)]
    pub(crate) minimum: Option<NonZeroU32>,
    /// It is not switched to without --force when more than this share of what confirmed
    /// customers asked in the last hour would be refused. Default: "5%".
    pub(crate) customers_refused: Option<Written<Share>>,
    /// What tells `tidegate reopen` that the attack is still on.
    #[serde(default)]
    pub(crate) reopen: Reopen,
}

/// What tells `tidegate reopen` that the attack is still on, so that it steps
/// back: shares of the requests of the last ten seconds.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reopen {
    /// More than this share of those let in are refused by a limit. Default: "20%".
    pub(crate) refused: Option<Written<Share>>,
    /// More than this share of them get no answer from an upstream. Default: "5%".
    pub(crate) failed: Option<Written<Share>>,
    /// More than this share of the answers takes longer than `slower_than`. Default: "20%".
    pub(crate) slow: Option<Written<Share>>,
    /// From the end of a request's head to the end of its answer. Default: "5s".
    pub(crate) slower_than: Option<Written<Deadline>>,
    /// More than this share of the connections that unknown clients may have is
    /// open. Default: "80%".
    pub(crate) connections: Option<Written<Share>>,
}

/// How long each step may take.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deadlines {
    /// To receive the header of the PROXY protocol. Default: "3s".
    pub(crate) proxy_header: Option<Written<Deadline>>,
    /// To finish a TLS handshake. Default: "5s".
    pub(crate) tls_handshake: Option<Written<Deadline>>,
    /// To receive the whole head of a request. Default: "10s".
    pub(crate) request_header: Option<Written<Deadline>>,
    /// Between two parts of a request's body. Default: "30s".
    pub(crate) request_body_idle: Option<Written<Deadline>>,
    /// How fast a request's body comes at least, while the gate waits for it, in each
    /// `request_body_idle`; or "off". Default: "500B/s".
    pub(crate) request_body_rate: Option<Written<LeastRate>>,
    /// Between two parts of a response that the client reads. Default: "60s".
    pub(crate) response_body_idle: Option<Written<Deadline>>,
    /// How fast a client reads at least, while the gate waits for it, in each
    /// `response_body_idle`; or "off". Default: "500B/s".
    pub(crate) response_body_rate: Option<Written<LeastRate>>,
    /// How long a connection may stay open with no request. Default: "60s".
    pub(crate) keepalive: Option<Written<Deadline>>,
    /// How long a connection that was upgraded may be silent. Default: "10m".
    pub(crate) upgraded_idle: Option<Written<Deadline>>,
    /// To connect to a server of an upstream. Default: "2s".
    pub(crate) upstream_connect: Option<Written<Deadline>>,
    /// From the end of a request to the head of its response. Default: "60s".
    pub(crate) upstream_response: Option<Written<Deadline>>,
    /// How long requests under way may go on after the gate was told to stop.
    /// Default: "30s".
    pub(crate) drain: Option<Written<Deadline>>,
}

/// The access log.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    /// "stdout", or the path of a file. Default: "stdout".
    #[schemars(example = &"stdout")]
    pub(crate) file: Option<Written<PathBuf>>,
    /// Which share of the requests gets a line.
    #[serde(default)]
    pub(crate) sample: Sample,
    /// The most that is written, messages of the gate included: KiB, MiB or GiB
    /// per second. Default: "64KiB/s".
    pub(crate) budget: Option<Written<Bandwidth>>,
    /// When a new file is begun, and how many earlier ones are kept.
    #[serde(default)]
    pub(crate) rotate: Rotate,
    /// Whether a line has the query string of its request, too, which may hold
    /// credentials. Default: false.
    pub(crate) query: Option<bool>,
}

/// When a new file of the log is begun, and how many earlier ones are kept beside
/// it: FILE.1 is the last of those.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "size": "64MiB", "keep": 4 }))]
pub(crate) struct Rotate {
    /// The most that one file has: KiB, MiB or GiB. Default: "64MiB".
    pub(crate) size: Option<Written<FileSize>>,
    /// How many earlier files are kept. Default: 4.
    #[schemars(range(min = 1, max = 99), example = 4)]
    pub(crate) keep: Option<u32>,
}

/// Which share of the requests gets a line, from 0 (none) to 1 (all).
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "forwarded": 0.01, "refused": 0.001, "failed": 1.0 }))]
pub(crate) struct Sample {
    /// Of the requests that were forwarded and answered. Default: 0.01.
    #[schemars(range(min = 0.0, max = 1.0), example = 0.01)]
    pub(crate) forwarded: Option<f64>,
    /// Of the requests that were refused; the first three of a client in a minute
    /// always get one. Default: 0.001.
    #[schemars(range(min = 0.0, max = 1.0), example = 0.001)]
    pub(crate) refused: Option<f64>,
    /// Of the requests that were forwarded and failed. Default: 1.0.
    #[schemars(range(min = 0.0, max = 1.0), example = 1.0)]
    pub(crate) failed: Option<f64>,
}

/// What a refusal tells the client.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refusal {
    /// Whether a 429 carries RateLimit and RateLimit-Policy. Default: true.
    pub(crate) ratelimit_fields: Option<bool>,
}

/// The administration API.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admin {
    /// The Unix socket it listens on. Default: /run/tidegate/admin.sock;
    /// unprivileged: $XDG_RUNTIME_DIR/tidegate/admin.sock.
    #[schemars(example = &"/run/tidegate/admin.sock")]
    pub(crate) socket: Option<Written<PathBuf>>,
    /// Where it listens over TCP as well, on this machine alone. Default: nowhere.
    #[schemars(example = &"127.0.0.1:9903")]
    pub(crate) address: Option<Written<SocketAddr>>,
    /// The file with the token that is asked for over TCP: one line of at least 32
    /// characters.
    #[schemars(example = &"/etc/tidegate/admin.token")]
    pub(crate) token_file: Option<Written<PathBuf>>,
}

/// The metrics listener.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metrics {
    /// Where it listens, or "off". Default: "127.0.0.1:9902".
    pub(crate) address: Option<Written<Option<SocketAddr>>>,
}

/// Whose an address is, where `tidegate top` should tell that, too: databases
/// in MaxMind's format.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Top {
    /// Autonomous systems, as in GeoLite2-ASN.mmdb. Default: none.
    #[schemars(example = &"GeoLite2-ASN.mmdb")]
    pub(crate) systems_file: Option<Written<PathBuf>>,
    /// Countries, as in GeoLite2-Country.mmdb. Default: none.
    #[schemars(example = &"GeoLite2-Country.mmdb")]
    pub(crate) countries_file: Option<Written<PathBuf>>,
}

/// Where the mode, learned clients and the audit log are kept.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// The folder. Default: /var/lib/tidegate; unprivileged:
    /// $XDG_STATE_HOME/tidegate.
    #[schemars(example = &"/var/lib/tidegate")]
    pub(crate) directory: Option<Written<PathBuf>>,
}
