//! Restart without loss: another process, of the same program or a newer one, goes on with the
//! listening sockets and the counters while this one finishes its requests.
//!
//! # Steps
//! | the process that goes | the process that comes |
//! |---|---|
//! | holds back changes by operators, starts the program at its own path | connects before it does anything else |
//! | `Answer::Offer`, then the sockets' descriptors | reads configuration and state, builds everything |
//! | | `Step::Built` |
//! | the counters, if they fit | |
//! | | accepts connections, `Step::Ready` |
//! | leaves the state files alone, `Yours` | writes the state files, answers operators |
//! | | `Step::Serving` |
//! | closes its sockets, drains, exits | |
//!
//! Until the last step nothing has been taken away from the process that goes: if the other one fails,
//! dies or is too late, it is killed and everything stays as it was. Both accept for a moment, from
//! the same kernel queue, so that no connection is refused or lost in it.
//!
//! # Who may connect
//! The socket exists only while an upgrade is under way, in the state directory, with mode 0600. Its
//! other end has to be the very process that was started, by the system's word (SO_PEERCRED).
//!
//! # Counters
//! The limiter's entries are read as late as possible, just before the other process accepts. What
//! this one still lets through on the connections that it has open is not in them: in the overlap
//! both count for themselves. Times in them run on CLOCK_MONOTONIC, which is the system's.

mod channel;
mod inheritance;
mod origin;
mod predecessor;
mod upgrader;

pub use inheritance::{AdminSocket, Inheritance};
pub use origin::Origin;
pub use predecessor::{Earlier, Predecessor};
pub use upgrader::{UpgradeError, Upgrader};

use std::io;
use std::os::unix::net::UnixStream;

use nix::sys::socket::{UnixCredentials, getsockopt, sockopt::PeerCredentials};
use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use inheritance::Announced;

/// What the two processes have to agree about. Whoever changes a message counts on; [`Hello`] and
/// [`Answer::Refused`] stay as they are, so that a mismatch can be told.
const PROTOCOL: u32 = 2;
/// This program's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A running gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its version.
    pub version: String,
}

impl Process {
    fn this() -> Self {
        Process {
            pid: std::process::id(),
            version: VERSION.to_owned(),
        }
    }
}

/// What an upgrade came to.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Upgraded {
    /// The process that ends once its requests are done.
    pub old: Process,
    /// The process that serves.
    pub new: Process,
    /// Seconds that the old one has for its requests.
    pub drain_seconds: u64,
    /// What the new one goes on with, for people.
    pub handed_over: Vec<String>,
    /// What begins anew, for people.
    pub not_handed_over: Vec<String>,
}

/// The first message, of the process that comes.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    protocol: u32,
    version: String,
}

/// The answer to a [`Hello`].
#[derive(Serialize, Deserialize)]
enum Answer {
    Offer(Box<Offer>),
    Refused(String),
}

/// What there is to go on with. The descriptors follow it.
#[derive(Serialize, Deserialize)]
struct Offer {
    from: Process,
    sockets: Announced,
    counters: Counters,
}

/// What has to match for counters to be handed over. Not `Debug`: the secret is one.
#[derive(Serialize, Deserialize)]
struct Counters {
    format: u32,
    parts: usize,
    /// Of the keys.
    secret: (u64, u64),
    /// Where times start: nanoseconds on CLOCK_MONOTONIC.
    start: u64,
}

/// How far the process that comes has got.
#[derive(Debug, Serialize, Deserialize)]
enum Step {
    Built { counters: bool },
    Ready(Taken),
    Serving,
    Failed(String),
}

/// What the process that comes goes on with.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Taken {
    admin: bool,
    handed_over: Vec<String>,
    not_handed_over: Vec<String>,
}

/// From here on the state files belong to the process that comes.
#[derive(Debug, Serialize, Deserialize)]
struct Yours;

/// Who is at the other end, if it is this user or root.
fn credentials(stream: &UnixStream) -> io::Result<UnixCredentials> {
    let peer = getsockopt(stream, PeerCredentials)?;
    match peer.uid() == 0 || peer.uid() == Uid::effective().as_raw() {
        true => Ok(peer),
        false => Err(io::Error::other(format!(
            "process {} of user {} has no business here",
            peer.pid(),
            peer.uid()
        ))),
    }
}
