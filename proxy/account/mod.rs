//! The account: one outcome for each request and connection, in metrics and in the access log. The
//! only writer of both.

mod access;
mod allowance;
mod closing;
mod connections;
mod counts;
mod families;
mod file;
mod firsts;
mod messages;
mod metrics;
mod queue;
mod requests;
mod scrape;
mod sharded;
mod slow;
mod summary;
mod would_refuse;
mod writer;

pub use access::{AccessLog, Line};
pub(crate) use access::{write_connection, write_request};
pub use allowance::Allowance;
pub use closing::Closing;
pub use counts::{Class, Counts, Tallied, Tally};
pub use messages::Messages;
pub use metrics::Metrics;
pub use queue::WritingGuard;
pub use scrape::Scrape;
pub use slow::Slow;
pub use writer::{LogWriter, Opened};

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tidegate_config::Mode;

use crate::door::DoorReason;
use crate::pass::Id;
use crate::reason::Reason;
use crate::tail::{Event, Tail};
use crate::top::Top;

/// How an accounted request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream's response reached the client whole.
    Forwarded,
    /// The gate said no; the upstream saw nothing.
    Refused(Reason),
    /// The gate said yes, and it did not end well.
    Failed(Reason),
}

impl Outcome {
    /// The outcome of a request that was not served for this reason.
    pub fn of(reason: Reason) -> Self {
        match reason.is_refusal() {
            true => Outcome::Refused(reason),
            false => Outcome::Failed(reason),
        }
    }

    /// The values of the `outcome` and `reason` labels.
    pub fn labels(self) -> (&'static str, &'static str) {
        match self {
            Outcome::Forwarded => ("forwarded", "none"),
            Outcome::Refused(reason) => ("refused", reason.label()),
            Outcome::Failed(reason) => ("failed", reason.label()),
        }
    }
}

/// The upstream of a request, and when what happened there.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'request> {
    /// Its name.
    pub upstream: &'request str,
    /// How far it came.
    pub stages: Stages,
}

/// How far a request came at its upstream: each from the complete head on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stages {
    /// Until there was a connection, new or kept: the last one, of those that were tried.
    pub connected: Option<Duration>,
    /// Until the response began.
    pub answered: Option<Duration>,
    /// Until the end of its body.
    pub ended: Option<Duration>,
}

/// What is told of a request, borrowed from wherever it is at its end.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'request> {
    /// How it ended.
    pub outcome: Outcome,
    /// The client.
    pub client: IpAddr,
    /// Whether the client is a known customer, by its address or by its pass.
    pub known: bool,
    /// The method; empty when the head was not understood.
    pub method: &'request str,
    /// The host that was asked for.
    pub host: &'request str,
    /// The path, without query.
    pub path: &'request str,
    /// The query, which may hold credentials.
    pub query: &'request str,
    /// The status that was sent; zero when none was.
    pub status: u16,
    /// The tenant, where it has a name.
    pub tenant: Option<&'request str>,
    /// The number of the pass that was presented and believed.
    pub pass: Option<Id>,
    /// The user agent, empty where the request had none; none when its head was not understood.
    pub agent: Option<&'request [u8]>,
    /// The upstream, once there is one.
    pub upstream: Option<Asked<'request>>,
    /// Bytes of the request's body.
    pub received: u64,
    /// Bytes of the response's body.
    pub sent: u64,
    /// From the complete head to the end.
    pub duration: Duration,
}

impl Facts<'_> {
    /// Whether the gate said no.
    pub fn is_refused(&self) -> bool {
        matches!(self.outcome, Outcome::Refused(_))
    }
}

/// Metrics, the access log, and the top sources.
#[derive(Debug)]
pub struct Account {
    /// The counters.
    pub metrics: Metrics,
    /// The lines.
    pub log: AccessLog,
    /// Answers that took long.
    pub slow: Slow,
    /// Who sends the most.
    pub top: Top,
    /// Who looks on.
    pub tail: Tail,
}

impl Account {
    /// Accounts for one request.
    pub fn request(&self, facts: &Facts) {
        self.metrics
            .request(facts.outcome, facts.duration, facts.known);
        self.log.request(facts);
        self.top.ended(facts);
        self.tail.show(|| Event::request(facts));
        // How long a tunnel was open says nothing about the app.
        if facts.outcome == Outcome::Forwarded && facts.status != 101 {
            self.slow.add(facts.duration);
        }
    }

    /// Counts a request that another mode would have refused.
    pub fn would_refuse(&self, mode: Mode, reason: Reason) {
        self.metrics.would_refuse(mode, reason);
    }

    /// Counts a request that `known-only` let in because its client is in the admitted share.
    pub fn admitted(&self) {
        self.metrics.admitted();
    }

    /// Counts a connection that `normal` would have closed.
    pub fn would_close(&self, reason: DoorReason) {
        self.metrics.would_close(reason);
    }

    /// Counts a connection that was let in.
    pub fn accepted_connection(&self) {
        self.metrics.accepted_connection();
    }

    /// Counts a connection that was let in and has ended.
    pub fn closed_connection(&self, closing: Closing) {
        self.metrics.closed_connection(closing);
    }

    /// Accounts for a connection that was closed at the door of this listener. `client`: the other
    /// end, as far as it is known by then. Allocates only for a line that is written.
    pub fn refused_connection(&self, reason: DoorReason, client: IpAddr, listener: SocketAddr) {
        self.metrics.refused_connection(reason);
        self.log.connection(reason, client, listener);
        self.top.closed(client);
        self.tail
            .show(|| Event::connection(reason, client, listener));
    }
}
