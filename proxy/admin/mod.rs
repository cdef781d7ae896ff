//! The admin side: the API on its Unix socket, the metrics on their own listener, the clockwork.
//!
//! It shares no thread and no cap with the traffic: one thread of its own, with its own runtime, so
//! that it answers during the worst flood.

mod api;
mod client;
mod exposition;
mod housekeeping;
mod notifying;
mod openapi;
mod operator;
mod over_tcp;
mod places;
mod problem;
mod reopening;
mod running;
mod serving;
mod socket;
mod tails;
mod target;
mod token;
mod turns;
pub mod wire;

pub use client::{Client, ClientError};
pub use housekeeping::{Rates, Tracked};
pub use openapi::document as openapi;
pub use over_tcp::{Refusals, Refused};
pub use problem::Problem;
use running::until;
pub use running::{Running, start};
pub use socket::Socket;
pub use tails::Tails;
pub use target::Target;
pub use token::{Token, TokenError};
pub use turns::Turns;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use tokio::sync::{Mutex, RwLock, watch};

use crate::audit::{Audit, Change, Record, Traffic};
use crate::clock;
use crate::door::Blocks;
use crate::gate::Gate;
use crate::minutes::Minutes;
use crate::pass::Revocations;
use crate::recent;
use crate::reload::Reloader;
use crate::top;
use crate::upgrade::{Earlier, Upgrader};
use places::Places;

/// Where the gate listens, as it turned out: port 0 has become a port.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// For traffic.
    pub listeners: Vec<SocketAddr>,
    /// For metrics.
    pub metrics: Option<SocketAddr>,
    /// For operators, over TCP.
    pub admin: Option<SocketAddr>,
}

/// What the admin side reads and sets.
#[derive(Debug)]
pub struct Admin {
    /// The gate.
    pub gate: Arc<Gate>,
    /// What replaces its configuration.
    pub reloader: Reloader,
    /// Who is shut out.
    pub blocks: Blocks,
    /// What went through in the last hour.
    pub recent: Arc<recent::Keeper>,
    /// Who sends the most.
    pub top: Arc<top::Keeper>,
    /// What went through minute by minute.
    pub minutes: Minutes,
    /// Which passes are not believed any more.
    pub revocations: Revocations,
    /// Where it listens.
    pub addresses: Addresses,
    /// Who changed what.
    pub audit: Audit,
    /// Requests a second, lately.
    pub rates: Rates,
    /// Buckets in use, lately.
    pub tracked: Tracked,
    /// Since when it has been running.
    pub started: Instant,
    /// What replaces this process by another.
    pub upgrader: Upgrader,
    /// The process that this one has replaced.
    pub earlier: Option<Earlier>,
    /// How it comes to an end.
    pub ending: Ending,
    /// Shared by changes that operators make, so that none is under way during an upgrade.
    pub changes: Arc<RwLock<()>>,
    /// One import at a time.
    pub imports: Mutex<()>,
    /// Where the state files are.
    pub directory: PathBuf,
    /// Whether the traffic did not move when it was last looked at.
    pub hangs: AtomicBool,
    /// Of whoever asks for it, one at a time.
    pub turns: Kinds,
    /// The places of its connections.
    pub places: Listeners,
    /// Who looks on.
    pub tails: Tails,
    /// What was refused over TCP.
    pub refused: Refused,
    /// One upgrade at a time.
    pub upgrades: Arc<Mutex<()>>,
}

/// Turns to ask what costs something, by kind, so that an expensive one holds up no cheap one.
#[derive(Debug, Default)]
pub struct Kinds {
    status: Turns,
    scrapes: Turns,
    /// What goes through all entries of something.
    lists: Turns,
    /// What goes through everything that was in the last hour.
    previews: Turns,
}

/// The places of each listener of the admin side.
#[derive(Debug, Default)]
pub struct Listeners {
    socket: Arc<Places>,
    tcp: Arc<Places>,
    metrics: Arc<Places>,
}

impl Listeners {
    /// Connections that were ended because others needed their places.
    fn ended(&self) -> u64 {
        self.socket.ended() + self.tcp.ended() + self.metrics.ended()
    }
}

/// Why the gate ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A signal says so.
    Signal,
    /// Another process serves.
    Superseded {
        /// Whether the admin socket's file is that one's.
        admin: bool,
    },
}

/// Tells the gate to end.
#[derive(Debug)]
pub struct Ending {
    end: mpsc::Sender<End>,
    /// Whether the admin side still accepts connections.
    leaving: watch::Sender<bool>,
}

impl Ending {
    /// The means to tell, and what is told.
    pub fn new() -> (Self, mpsc::Receiver<End>) {
        let (end, ends) = mpsc::channel();
        let (leaving, _) = watch::channel(false);
        (Ending { end, leaving }, ends)
    }

    fn tell(&self, end: End) {
        // Nobody listens only when the gate has ended.
        let _ = self.end.send(end);
    }

    /// Another process serves, on the admin socket, too, if it `takes_admin`.
    fn supersede(&self, takes_admin: bool) {
        self.leaving.send_replace(true);
        self.tell(End::Superseded { admin: takes_admin });
    }

    fn is_leaving(&self) -> bool {
        *self.leaving.borrow()
    }

    /// True once the admin side has to stop accepting.
    fn left(&self) -> watch::Receiver<bool> {
        self.leaving.subscribe()
    }
}

impl Admin {
    /// What goes through the gate now.
    fn traffic(&self) -> Traffic {
        let requests = self.rates.requests(self.gate.account.metrics.totals());
        Traffic {
            forwarded: requests.forwarded_per_second,
            refused: requests.refused_per_second,
            failed: requests.failed_per_second,
            connections: self.gate.connections.get(),
        }
    }

    /// Writes a change into the audit log, on another thread, as the disk may take its time. What
    /// went wrong, for whoever made the change: it is in force all the same.
    async fn audited(self: &Arc<Self>, by: &str, change: Change) -> Option<String> {
        let record = Record {
            time: clock::unix_seconds(),
            by: by.to_owned(),
            what: change.what.to_owned(),
            to: change.to,
            until: change.until,
            reason: change.reason,
            before: Some(self.traffic()),
            after: None,
        };
        let admin = self.clone();
        let written = tokio::task::spawn_blocking(move || admin.audit.append(record)).await;
        let problem = match written {
            Ok(written) => written.err()?.to_string(),
            Err(error) => error.to_string(),
        };
        Some(format!(
            "it could not be written into the audit log: {problem}"
        ))
    }

    /// Opens the log's file anew.
    fn reopen_log(&self) -> Result<wire::LogReopened, String> {
        let writer = self.gate.account.log.writer();
        let file = writer.file().map(Path::to_owned);
        match writer.reopen() {
            Ok(()) => {
                tracing::info!("the log was opened anew");
                Ok(wire::LogReopened { file })
            }
            Err(problem) => {
                let problem = format!("the log could not be opened anew: {problem}");
                tracing::error!("{problem}");
                Err(problem)
            }
        }
    }

    /// Where it listens, and with what.
    fn listeners(&self) -> Vec<wire::Listener> {
        let each = self.gate.listeners.iter().zip(&self.addresses.listeners);
        let told = each.map(|(listener, address)| {
            let rules = listener.rules.load();
            let certificates = rules.facts().iter();
            wire::Listener {
                address: *address,
                proxy_protocol: rules.proxy_protocol,
                tls: rules.tls.is_some(),
                certificates: certificates
                    .map(|facts| wire::Certificate {
                        chain: facts.chain.file.clone(),
                        not_after: facts.not_after,
                    })
                    .collect(),
            }
        });
        told.collect()
    }
}
