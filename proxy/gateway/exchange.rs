//! One forwarded request, from the verdict to the account.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use http::StatusCode;
use pingora_error::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use tidegate_config::Deadlines;
use tidegate_limit::{GaugePermit, Key, Permit};
use tokio::task_local;

use crate::account::{Asked, Facts, Outcome, Stages};
use crate::claims::Permits;
use crate::forward::fields::X_FORWARDED_PROTO;
use crate::forward::{Chosen, Upstream};
use crate::gate::Gate;
use crate::learn::Confirmable;
use crate::pass::{self, Pass};
use crate::reason::Reason;

/// A request's places among those in flight, given back when dropped.
#[derive(Debug, Default)]
pub struct Held {
    /// Among all: each has a descriptor towards its upstream.
    pub total: Option<GaugePermit>,
    /// Among its client's, as if it were a connection: for streams of HTTP/2.
    pub client: Option<Permit>,
}

/// A forwarded request and the permits it holds. It is accounted for once: by the hook at its end,
/// or, when that is never reached, when it is dropped.
#[derive(Debug)]
pub struct Exchange {
    /// The gate it belongs to.
    pub gate: Arc<Gate>,
    /// Those of the rules it was judged by, which hold for it to its end. The rules themselves are not
    /// kept: a tunnel would hold every tenant in memory that was listed when it began.
    pub deadlines: Arc<Deadlines>,
    /// Where it goes.
    pub upstream: Arc<Upstream>,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// Whether it was believed about the client's address.
    pub trusted: bool,
    /// The client, as the verdict took it.
    pub client: IpAddr,
    /// The tenant, where it has a name.
    pub tenant: Option<Box<str>>,
    /// The client, as it is counted.
    pub client_key: Key,
    /// Whether it is a known customer, by its address or by its pass.
    pub known: bool,
    /// What its response may say about the client.
    pub confirmable: Option<Confirmable>,
    /// How passes are given.
    pub passes: Option<Arc<pass::Rules>>,
    /// The pass that it presented and that is believed.
    pub pass: Option<Pass>,
    /// Whether it may become a tunnel.
    pub websocket: bool,
    /// For one that may become a tunnel: whether it ended because it was silent for too long.
    pub tunnel_idle: Option<Arc<AtomicBool>>,
    /// Whether the connection may stay open behind it.
    pub keep_alive: bool,
    /// Bytes that its body may have when it does not say its length.
    pub max_body: u64,
    /// When its head was complete.
    pub started: Instant,
    /// Places it holds until it ends.
    pub permits: Permits,
    /// Its places among the requests in flight.
    pub held: Held,
    /// Servers that did not take the connection.
    pub tried: Vec<SocketAddr>,
    /// Whether it is sent once more, as a kept connection was closed.
    pub repeated: bool,
    /// The server that is being tried.
    pub server: Option<Chosen>,
    /// How far it came there.
    pub stages: Stages,
    /// What went wrong.
    pub failure: Option<Reason>,
    /// Whether it was accounted for.
    pub accounted: bool,
}

/// What only the hook at the end knows of a request.
#[derive(Debug)]
pub struct Ending<'request> {
    /// The method.
    pub method: &'request str,
    /// The host that was asked for.
    pub host: &'request str,
    /// The path, without query.
    pub path: &'request str,
    /// The query.
    pub query: &'request str,
    /// The user agent; empty where there was none.
    pub agent: Option<&'request [u8]>,
    /// The status that was sent.
    pub status: u16,
    /// Bytes of the request's body.
    pub received: u64,
    /// Bytes of the response's body.
    pub sent: u64,
}

task_local! {
    /// The exchange of the request that is about to be forwarded by this task.
    static ABOUT_TO: Cell<Option<Box<Exchange>>>;
}

impl Exchange {
    /// Runs Pingora's proxy with this as the first request's exchange. It travels beside the session,
    /// because a session over HTTP/2 takes nothing along.
    pub async fn carried_by<F: Future>(self: Box<Self>, proxy: F) -> F::Output {
        ABOUT_TO.scope(Cell::new(Some(self)), proxy).await
    }

    /// The exchange that the running task carries.
    pub fn arrived() -> Option<Box<Self>> {
        ABOUT_TO.try_with(Cell::take).ok().flatten()
    }

    /// The address of the server that it goes to next.
    pub fn choose(&mut self) -> Option<SocketAddr> {
        if self.server.is_none() && self.tried.is_empty() {
            self.upstream.asked();
        }
        self.server = self.upstream.choose(&self.tried);
        self.server.as_ref().map(Chosen::address)
    }

    /// Whether it may be sent once more, over a new connection; it is taken as done.
    pub fn repeat(&mut self) -> bool {
        self.repeated = self.upstream.take_retry();
        self.repeated
    }

    /// Looks whether the response confirms the client, who then becomes known and gets a pass.
    ///
    /// # Errors
    /// When the pass cannot be written into the response.
    pub fn confirm(&self, request: &RequestHeader, response: &mut ResponseHeader) -> Result<()> {
        let Some(confirmable) = &self.confirmable else {
            return Ok(());
        };
        let confirmed = confirmable.look_at(&self.gate, request, response);
        // Behind a proxy that names nobody there are more than this one.
        if confirmed && confirmable.prefix.is_some() {
            self.gate.recent.confirmed(self.client_key);
        }
        match &self.passes {
            Some(rules) if confirmed && response.status != StatusCode::SWITCHING_PROTOCOLS => {
                let secure = self.secure || self.is_said_secure(request);
                rules.give(&self.gate.passes, self.pass, secure, response)
            }
            _ => Ok(()),
        }
    }

    /// Whether a trusted proxy says that its client's connection is encrypted.
    fn is_said_secure(&self, request: &RequestHeader) -> bool {
        let said = request.headers.get(X_FORWARDED_PROTO);
        self.trusted && said.is_some_and(|said| said.as_bytes().eq_ignore_ascii_case(b"https"))
    }

    /// Accounts for it.
    pub fn end(&mut self, ending: &Ending) {
        self.accounted = true;
        // Closing the connection takes its time, in which the tenant may do something else.
        self.permits = Permits::default();
        self.held = Held::default();
        self.server = None;
        self.upstream
            .record(self.failure, self.stages.answered.is_some());
        self.gate.account.request(&Facts {
            outcome: self.failure.map_or(Outcome::Forwarded, Outcome::of),
            client: self.client,
            known: self.known,
            method: ending.method,
            host: ending.host,
            path: ending.path,
            query: ending.query,
            status: ending.status,
            tenant: self.tenant.as_deref(),
            pass: self.pass.map(|pass| pass.id),
            agent: ending.agent,
            upstream: Some(Asked {
                upstream: self.upstream.name(),
                stages: self.stages,
            }),
            received: ending.received,
            sent: ending.sent,
            duration: self.started.elapsed(),
        });
    }
}

impl Drop for Exchange {
    /// Cut off: the gate went down around it, or Pingora would not have it.
    fn drop(&mut self) {
        if self.accounted {
            return;
        }
        let drained = self.gate.draining.load(Relaxed);
        self.failure = Some(if drained {
            Reason::Drained
        } else {
            Reason::Internal
        });
        self.end(&Ending {
            method: "",
            host: "",
            path: "",
            query: "",
            agent: None,
            status: 0,
            received: 0,
            sent: 0,
        });
    }
}
