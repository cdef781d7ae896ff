//! One request judged, over whatever protocol it came: the verdict as the mode enforces it, an
//! exchange that holds its permits, or a reply and its account.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_config::Mode;
use tidegate_limit::GaugePermit;

use super::exchange::Exchange;
use crate::account::{Facts, Outcome};
use crate::claims::Permits;
use crate::gate::Gate;
use crate::head::{Head, HeadError};
use crate::identity::{Caller, Identity, identify};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::refuse::{Reply, status, wants_html};
use crate::route::Route;
use crate::verdict::Refusal;

/// What is known of a request's connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge<'connection> {
    pub(super) gate: &'connection Arc<Gate>,
    pub(super) caller: &'connection Caller,
    /// Whether it is the last on this connection: the gate is going down, or there were as many as
    /// may be.
    pub(super) last: bool,
}

/// How long a client waits while the gate has as many requests in flight as it may.
const IN_FLIGHT_WAIT: Duration = Duration::from_secs(1);

/// A request that goes on: where, and what it holds meanwhile.
struct Passed<'policy> {
    route: &'policy Route,
    permits: Permits,
    place: GaugePermit,
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
        match self.verdict(&policy, head, &identity) {
            Ok(passed) => {
                let exchange = self.exchange(&policy, head, &identity, passed, started);
                Ok(Box::new(exchange))
            }
            Err(refusal) => {
                let html = wants_html(head.values("accept"));
                let reply = Reply::to_refusal(&refusal, policy.ratelimit_fields, html);
                let refused = refuse(&reply, self.ends_with(&refusal, client));
                self.account_for(head, &identity, &refusal, started);
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
            place,
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
            websocket: head.websocket,
            tunnel_idle: head.websocket.then(Arc::default),
            keep_alive: head.keep_alive && !self.last,
            max_body: match self.gate.mode.mode() {
                Mode::Observe => u64::MAX,
                Mode::Normal | Mode::KnownOnly => route.max_body,
            },
            started,
            permits,
            place: Some(place),
            tried: Vec::new(),
            server: None,
            failure: None,
            accounted: false,
        }
    }

    /// The verdict as the mode enforces it; what it does not enforce is counted.
    fn verdict<'policy>(
        &self,
        policy: &'policy Policy,
        head: &Head<'policy>,
        identity: &Identity<'policy>,
    ) -> Result<Passed<'policy>, Refusal<'policy>> {
        let mut case = self.gate.case(policy, head, identity);
        // A connection that was open before its peer was blocked serves nobody any more.
        case.request.blocked |= self.is_peer_blocked(identity.client);
        let account = &self.gate.account;
        if case.mode != Mode::KnownOnly && !case.request.blocked && case.request.is_shut_out() {
            account.would_refuse(Mode::KnownOnly, Reason::UnknownClient);
        }
        let decided = case.decide().or_else(|refusal| match case.mode {
            Mode::Observe => {
                let route = case.destination()?;
                account.would_refuse(Mode::Normal, refusal.reason);
                Ok((route, Permits::default()))
            }
            Mode::Normal | Mode::KnownOnly => Err(refusal),
        });
        let (route, permits) = decided?;
        Ok(Passed {
            route,
            permits,
            place: self.place(policy, case.request.known)?,
        })
    }

    /// A place among all requests in flight, of which there are as many as connections: each has a
    /// descriptor towards its upstream. Over HTTP/1.1 that is never reached.
    fn place<'policy>(
        &self,
        policy: &Policy,
        known: bool,
    ) -> Result<GaugePermit, Refusal<'policy>> {
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
        refusal.reason == Reason::Blocked
            && (self.caller.address == client || self.is_peer_blocked(client))
    }

    fn account_for(&self, head: &Head, identity: &Identity, refusal: &Refusal, started: Instant) {
        self.gate.account.request(&Facts {
            outcome: Outcome::Refused(refusal.reason),
            client: identity.client,
            method: head.method,
            host: head.authority,
            path: head.path,
            status: status(refusal.reason).as_u16(),
            tenant: identity.tenant.as_ref().and_then(|tenant| tenant.name),
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
            upstream: None,
            received: 0,
            sent: 0,
            duration: Duration::ZERO,
        });
        Reply::to_failure(reason, false)
    }
}
