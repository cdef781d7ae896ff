//! One request judged, over whatever protocol it came: the verdict as the mode enforces it, an
//! exchange that holds its permits, or a reply and its account.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tidegate_config::Mode;
use tidegate_limit::GaugePermit;

use super::exchange::{Exchange, Held};
use crate::account::{Facts, Outcome, Stages};
use crate::claims::{IN_FLIGHT_WAIT, Permits};
use crate::clock;
use crate::door;
use crate::gate::Gate;
use crate::head::{Head, HeadError};
use crate::identity::{Caller, identify};
use crate::learn::Confirmable;
use crate::pass::Presented;
use crate::policy::Policy;
use crate::reason::Reason;
use crate::recent::Judged;
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

/// A request that goes on: where, and what it holds meanwhile.
struct Passed<'policy> {
    route: &'policy Route,
    permits: Permits,
    held: Held,
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
        let mut case = self.gate.case(&policy, head, &identity, clock::at(started));
        // A connection that was open before its peer was blocked serves nobody any more.
        case.request.blocked |= self.is_peer_blocked(client);
        let mut judged = judged(&case);
        let decided = self.verdict(&case, &mut judged);
        let tenant = identity.tenant.as_ref().and_then(|tenant| tenant.name);
        self.gate.recent.judged(&judged, tenant);
        match decided {
            Ok(passed) => Ok(Box::new(self.exchange(&case, head, passed, started))),
            Err(refusal) => {
                let html = wants_html(head.values("accept"));
                let reply = Reply::to_refusal(&refusal, policy.ratelimit_fields, html);
                let refused = refuse(&reply, self.ends_with(&refusal, client));
                self.account_for(&case, head, &refusal, started);
                Err(refused)
            }
        }
    }

    fn exchange(&self, case: &Case, head: &Head, passed: Passed, started: Instant) -> Exchange {
        let Passed {
            route,
            permits,
            held,
        } = passed;
        let (policy, identity) = (case.policy, case.identity);
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
            client_key: identity.client_key,
            known: is_customer(case),
            confirmable: confirmable(policy, identity.client),
            passes: policy.pass.clone(),
            pass: case.request.pass.held().map(|held| held.pass),
            websocket: head.websocket,
            tunnel_idle: head.websocket.then(Arc::default),
            keep_alive: head.keep_alive && !self.last,
            max_body: match case.mode {
                Mode::Observe => u64::MAX,
                Mode::Normal | Mode::KnownOnly => route.max_body,
            },
            started,
            permits,
            held,
            tried: Vec::new(),
            repeated: false,
            server: None,
            stages: Stages::default(),
            failure: None,
            accounted: false,
        }
    }

    /// The verdict as the mode enforces it; what it does not enforce is counted.
    fn verdict<'policy>(
        &self,
        case: &Case<'policy, '_>,
        judged: &mut Judged,
    ) -> Result<Passed<'policy>, Refusal<'policy>> {
        let account = &self.gate.account;
        let request = &case.request;
        if case.mode != Mode::KnownOnly && judged.shut_out() {
            account.would_refuse(Mode::KnownOnly, Reason::UnknownClient);
        }
        if request.admitted && !request.blocked && !request.exempt {
            account.admitted();
        }
        // A stream's places before its tokens: a refused one must cost nothing. Over HTTP/1.1 the
        // connection has its place, and the total is only reached when streams have taken it.
        let held = self.stream.then(|| self.hold(case, judged)).transpose()?;
        self.count_pass(case);
        let decided = case
            .decide()
            .or_else(|refusal| self.enforce(case, refusal, judged));
        let (route, permits) = decided?;
        let held = match held {
            Some(held) => held,
            None => Held {
                total: Some(self.place(case, judged)?),
                client: None,
            },
        };
        Ok(Passed {
            route,
            permits,
            held,
        })
    }

    /// A refusal, unless the mode does not enforce it.
    fn enforce<'policy>(
        &self,
        case: &Case<'policy, '_>,
        refusal: Refusal<'policy>,
        judged: &mut Judged,
    ) -> Result<(&'policy Route, Permits), Refusal<'policy>> {
        let route = case.destination();
        judged.turned_away = refusal.reason == Reason::UnknownClient;
        // A pass has its limit in `known-only` alone.
        let by_limit = !judged.turned_away && refusal.reason != Reason::PassRate;
        judged.limited = route.is_ok() && by_limit;
        if case.mode != Mode::Observe {
            return Err(refusal);
        }
        let route = route?;
        self.gate.account.would_refuse(Mode::Normal, refusal.reason);
        Ok((route, Permits::default()))
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
    fn hold(&self, case: &Case, judged: &mut Judged) -> Result<Held, Refusal<'static>> {
        let policy = case.policy;
        let total = Some(self.place(case, judged)?);
        // Behind a trusted proxy there are many clients, whose connections are not counted either.
        if policy.client.speaks_for_others(self.caller.address) {
            return Ok(Held {
                total,
                client: None,
            });
        }
        let most = policy.client_connections;
        let places = &self.gate.limits.connections;
        let client = places.try_acquire(case.identity.client_key, most);
        if client.is_none() {
            self.lack_place(case, Reason::ClientInFlight, judged)?;
        }
        Ok(Held { total, client })
    }

    /// A place among all requests in flight, of which there are as many as connections: each has a
    /// descriptor towards its upstream. In `observe` unknown clients get those, too, that are kept for
    /// known ones: nothing is enforced there but the total.
    fn place(&self, case: &Case, judged: &mut Judged) -> Result<GaugePermit, Refusal<'static>> {
        let caps = &case.policy.caps;
        let places = &self.gate.in_flight;
        if !case.request.known {
            match places.try_acquire(caps.open_to_all()) {
                Some(place) => return Ok(place),
                None => self.lack_place(case, Reason::InFlight, judged)?,
            }
        }
        let place = places.try_acquire(caps.total.get());
        place.ok_or(Refusal::new(Reason::InFlight, Some(IN_FLIGHT_WAIT)))
    }

    /// There is no place, which is a refusal unless the mode does not enforce it.
    fn lack_place(
        &self,
        case: &Case,
        reason: Reason,
        judged: &mut Judged,
    ) -> Result<(), Refusal<'static>> {
        judged.limited = true;
        match case.mode {
            Mode::Observe => {
                self.gate.account.would_refuse(Mode::Normal, reason);
                Ok(())
            }
            Mode::Normal | Mode::KnownOnly => Err(Refusal::new(reason, Some(IN_FLIGHT_WAIT))),
        }
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

    fn account_for(&self, case: &Case, head: &Head, refusal: &Refusal, started: Instant) {
        let identity = case.identity;
        self.gate.account.request(&Facts {
            outcome: Outcome::Refused(refusal.reason),
            client: identity.client,
            known: is_customer(case),
            method: head.method,
            host: head.authority,
            path: head.path,
            query: head.query(),
            status: status(refusal.reason).as_u16(),
            tenant: identity.tenant.as_ref().and_then(|tenant| tenant.name),
            pass: case.request.pass.held().map(|held| held.pass.id),
            agent: Some(head.values("user-agent").next().unwrap_or_default()),
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
            known: false,
            method: "",
            host: "",
            path: "",
            query: "",
            status: status(reason).as_u16(),
            tenant: None,
            pass: None,
            agent: None,
            upstream: None,
            received: 0,
            sent: 0,
            duration: Duration::ZERO,
        });
        Reply::to_failure(reason, false)
    }
}

/// Whether the client is a known customer, by its address or by its pass.
fn is_customer(case: &Case) -> bool {
    case.request.known || case.request.pass.held().is_some()
}

/// What is known of a request before it is decided.
fn judged(case: &Case) -> Judged {
    let (policy, identity, request) = (case.policy, case.identity, &case.request);
    let exempt = request.route.is_some_and(|route| route.exempt);
    let free = exempt || request.blocked || request.too_large;
    let tenant = identity.tenant.as_ref();
    let length = policy.client.prefix(identity.client).prefix_len();
    Judged {
        key: identity.client_key,
        client: IpNet::new(identity.client, length).unwrap_or(identity.client.into()),
        tenant: tenant.and_then(|tenant| tenant.name.map(|_| tenant.key)),
        tokens: if free { 0 } else { case.cost().get() },
        needs_known: !request.blocked && !request.exempt && request.pass.held().is_none(),
        known: request.known,
        limited: false,
        turned_away: false,
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
