//! One request judged, over whatever protocol it came: the verdict as the mode enforces it, an
//! exchange that holds its permits, or a reply and its account.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_config::Mode;
use tidegate_limit::GaugePermit;

use super::exchange::{Exchange, Held};
use crate::account::{Facts, Outcome};
use crate::claims::Permits;
use crate::door;
use crate::gate::Gate;
use crate::head::{Head, HeadError};
use crate::identity::{Caller, Identity, identify};
use crate::learn::Confirmable;
use crate::pass::{Pass, Presented};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::refuse::{Reply, status, wants_html};
use crate::route::Route;
use crate::verdict::{Case, Refusal};

/// What is known of a request's connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge<'connection> {
    pub(super) gate: &'connection Arc<Gate>,
    pub(super) caller: &'connection Caller,
    /// Whether it is the last on this connection: the gate is going down, or there were as many as
    /// may be.
    pub(super) last: bool,
    /// Whether it is one of many at once on its connection, as over HTTP/2.
    pub(super) stream: bool,
}

/// How long a client waits while the gate has as many requests in flight as it may.
const IN_FLIGHT_WAIT: Duration = Duration::from_secs(1);

/// A request that goes on: where, and what it holds meanwhile.
struct Passed<'policy> {
    route: &'policy Route,
    permits: Permits,
    held: Held,
    pass: Option<Pass>,
}

impl Judge<'_> {
    /// Judges a request. `refuse` sends the reply of one that goes no further; it is told whether the
    /// connection itself is refused with it.
    ///
    /// # Errors
    /// What `refuse` makes of the reply.
    pub(super) fn judge<T>(
        &self,
        head: &Head,
        started: Instant,
        refuse: impl FnOnce(&Reply, bool) -> T,
    ) -> Result<Box<Exchange>, T> {
        let policy = self.gate.policy.load();
        let client = policy.client.client(self.caller.address, head);
        // The identity and the route are looked at while this comes from memory.
        self.gate.known.prefetch(client);
        let hasher = &self.gate.limits.hasher;
        let certificate = self.caller.certificate.as_deref();
        let identity = identify(&policy, hasher, client, certificate, head);
        let case = self.gate.case(&policy, head, &identity);
        let pass = case.request.pass.held().map(|held| held.pass);
        match self.verdict(case) {
            Ok(passed) => {
                let exchange = self.exchange(&policy, head, &identity, passed, started);
                Ok(Box::new(exchange))
            }
            Err(refusal) => {
                let html = wants_html(head.values("accept"));
                let reply = Reply::to_refusal(&refusal, policy.ratelimit_fields, html);
                let refused = refuse(&reply, self.ends_with(&refusal, client));
                self.account_for(head, &identity, pass, &refusal, started);
                Err(refused)
            }
        }
    }

    fn exchange(
        &self,
        policy: &Policy,
        head: &Head,
        identity: &Identity,
        passed: Passed,
        started: Instant,
    ) -> Exchange {
        let Passed {
            route,
            permits,
            held,
            pass,
        } = passed;
        let tenant = identity.tenant.as_ref().and_then(|tenant| tenant.name);
        Exchange {
            gate: self.gate.clone(),
            upstream: route.upstream.clone(),
            deadlines: policy.deadlines.clone(),
            peer: self.caller.address,
            secure: self.caller.secure,
            trusted: policy.client.trusts(self.caller.address),
            client: identity.client,
            tenant: tenant.map(Box::from),
            confirmable: confirmable(policy, identity.client),
            passes: policy.pass.clone(),
            pass,
            websocket: head.websocket,
            tunnel_idle: head.websocket.then(Arc::default),
            keep_alive: head.keep_alive && !self.last,
            max_body: match self.gate.mode.mode() {
                Mode::Observe => u64::MAX,
                Mode::Normal | Mode::KnownOnly => route.max_body,
            },
            started,
            permits,
            held,
            tried: Vec::new(),
            server: None,
            failure: None,
            accounted: false,
        }
    }

    /// The verdict as the mode enforces it; what it does not enforce is counted.
    fn verdict<'policy>(
        &self,
        mut case: Case<'policy, '_>,
    ) -> Result<Passed<'policy>, Refusal<'policy>> {
        let (policy, identity) = (case.policy, case.identity);
        // A connection that was open before its peer was blocked serves nobody any more.
        case.request.blocked |= self.is_peer_blocked(identity.client);
        let account = &self.gate.account;
        if case.mode != Mode::KnownOnly && !case.request.blocked && case.request.is_shut_out() {
            account.would_refuse(Mode::KnownOnly, Reason::UnknownClient);
        }
        let known = case.request.known;
        let request = case.request;
        if request.admitted && !request.blocked && !request.exempt {
            account.admitted();
        }
        // A stream's places before its tokens: a refused one must cost nothing. Over HTTP/1.1 the
        // connection has its place, and the total is only reached when streams have taken it.
        let held = self.stream.then(|| self.hold(policy, identity, known));
        let held = held.transpose()?;
        self.count_pass(&case);
        let decided = case.decide().or_else(|refusal| match case.mode {
            Mode::Observe => {
                let route = case.destination()?;
                account.would_refuse(Mode::Normal, refusal.reason);
                Ok((route, Permits::default()))
            }
            Mode::Normal | Mode::KnownOnly => Err(refusal),
        });
        let (route, permits) = decided?;
        let held = match held {
            Some(held) => held,
            None => Held {
                total: Some(self.place(policy, known)?),
                client: None,
            },
        };
        Ok(Passed {
            route,
            permits,
            held,
            pass: case.request.pass.held().map(|held| held.pass),
        })
    }

    /// Counts passes that let somebody in, and what is none.
    fn count_pass(&self, case: &Case) {
        let passes = &self.gate.passes;
        match case.request.pass {
            Presented::Invalid => passes.count_invalid(),
            Presented::Valid(_) if case.let_in_by().is_some() => passes.count_let_in(),
            Presented::Valid(_) | Presented::Nothing => {}
        }
    }

    /// The places of a stream: one among all requests in flight, and one of the client's, which has
    /// as many for its connections and streams together as it may have connections.
    fn hold(
        &self,
        policy: &Policy,
        identity: &Identity,
        known: bool,
    ) -> Result<Held, Refusal<'static>> {
        let total = Some(self.place(policy, known)?);
        // Behind a trusted proxy there are many clients, whose connections are not counted either.
        if policy.client.speaks_for_others(self.caller.address) {
            return Ok(Held {
                total,
                client: None,
            });
        }
        let most = policy.client_connections;
        let places = &self.gate.limits.connections;
        let client = places.try_acquire(identity.client_key, most);
        if client.is_none() {
            match self.gate.mode.mode() {
                Mode::Observe => {
                    let account = &self.gate.account;
                    account.would_refuse(Mode::Normal, Reason::ClientInFlight);
                }
                Mode::Normal | Mode::KnownOnly => {
                    return Err(Refusal::new(Reason::ClientInFlight, Some(IN_FLIGHT_WAIT)));
                }
            }
        }
        Ok(Held { total, client })
    }

    /// A place among all requests in flight, of which there are as many as connections: each has a
    /// descriptor towards its upstream.
    fn place(&self, policy: &Policy, known: bool) -> Result<GaugePermit, Refusal<'static>> {
        let most = match known {
            true => policy.caps.total.get(),
            false => policy.caps.open_to_all(),
        };
        let place = self.gate.in_flight.try_acquire(most);
        place.ok_or(Refusal::new(Reason::InFlight, Some(IN_FLIGHT_WAIT)))
    }

    /// Whether an operator shut out who is at the other end. `client`: whose request it is, of whom
    /// the verdict has been told.
    fn is_peer_blocked(&self, client: IpAddr) -> bool {
        self.caller.address != client && self.gate.blocks.contains(self.caller.address)
    }

    /// Whether the connection itself is refused with the request. A trusted proxy's is not, when it
    /// asks for somebody who is blocked: others are served over it.
    fn ends_with(&self, refusal: &Refusal, client: IpAddr) -> bool {
        match refusal.reason {
            Reason::Blocked => self.caller.address == client || self.is_peer_blocked(client),
            // Nothing else of it would be served, and a new connection is closed for less.
            Reason::UnknownClient => door::is_shut_out(self.gate, self.caller.address),
            _ => false,
        }
    }

    fn account_for(
        &self,
        head: &Head,
        identity: &Identity,
        pass: Option<Pass>,
        refusal: &Refusal,
        started: Instant,
    ) {
        self.gate.account.request(&Facts {
            outcome: Outcome::Refused(refusal.reason),
            client: identity.client,
            method: head.method,
            host: head.authority,
            path: head.path,
            status: status(refusal.reason).as_u16(),
            tenant: identity.tenant.as_ref().and_then(|tenant| tenant.name),
            pass: pass.map(|pass| pass.id),
            upstream: None,
            received: 0,
            sent: 0,
            duration: started.elapsed(),
        });
    }

    /// The reply to a head that was not understood; it is accounted for.
    pub(super) fn refuse_head(&self, error: HeadError) -> Reply<'static> {
        self.refuse_unread(match error {
            HeadError::Malformed(_) => Reason::Malformed,
            HeadError::TooLarge => Reason::HeadTooLarge,
            HeadError::TargetTooLong => Reason::TargetTooLong,
            HeadError::Version => Reason::Version,
            HeadError::Method => Reason::Method,
        })
    }

    /// The reply to a request of which nothing else is known; it is accounted for.
    pub(super) fn refuse_unread(&self, reason: Reason) -> Reply<'static> {
        self.gate.account.request(&Facts {
            outcome: Outcome::of(reason),
            client: self.caller.address,
            method: "",
            host: "",
            path: "",
            status: status(reason).as_u16(),
            tenant: None,
            pass: None,
            upstream: None,
            received: 0,
            sent: 0,
            duration: Duration::ZERO,
        });
        Reply::to_failure(reason, false)
    }
}

/// Whom the app may confirm by its response.
fn confirmable(policy: &Policy, client: IpAddr) -> Option<Confirmable> {
    let by = policy.confirming.clone()?;
    let named = !policy.client.speaks_for_others(client);
    Some(Confirmable {
        by,
        prefix: named.then(|| policy.client.prefix(client)),
    })
}
