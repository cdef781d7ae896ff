//! What the stages share: the policy, the known set and the mode, each swapped whole; the counters;
//! the account.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tidegate_limit::{Gauge, Now};
use tokio::sync::watch;

use crate::account::Account;
use crate::forward::fields::max_forwards;
use crate::head::Head;
use crate::identity::Identity;
use crate::in_force::InForce;
use crate::learn::Learned;
use crate::limits::Limits;
use crate::listener::Listeners;
use crate::mode::Switch;
use crate::pass::{Passes, Presented};
use crate::policy::Policy;
use crate::prefixes::Published;
use crate::recent::Recent;
use crate::verdict::{Case, Request};

/// One running gate.
#[derive(Debug)]
pub struct Gate {
    /// The rules in force.
    pub policy: InForce<Policy>,
    /// Who is a known customer.
    pub known: Published,
    /// Who has become one because the app said so.
    pub learned: Learned,
    /// Passes: which are revoked, and how many there were.
    pub passes: Passes,
    /// Who is shut out.
    pub blocks: Published,
    /// `observe`, `normal` or `known-only`.
    pub mode: Switch,
    /// What clients and tenants have used.
    pub limits: Limits,
    /// Connections that are open.
    pub connections: Arc<Gauge>,
    /// Requests in flight: over HTTP/2 a connection can have many, each with a descriptor of its own
    /// towards an upstream.
    pub in_flight: Arc<Gauge>,
    /// TLS handshakes under way.
    pub handshakes: Arc<Gauge>,
    /// Where connections are accepted.
    pub listeners: Listeners,
    /// Metrics and the access log.
    pub account: Account,
    /// What was judged lately.
    pub recent: Recent,
    /// Tells connections to look whether they may stay: true once the gate goes down.
    pub told: watch::Sender<bool>,
    /// Whether the gate is going down.
    pub draining: AtomicBool,
    /// Whether its listeners are closed.
    pub closed: AtomicBool,
}

impl Gate {
    /// Whether the address is a known customer's, by what files, operators or the app said.
    pub fn is_known(&self, address: IpAddr) -> bool {
        self.known.contains(address) || self.learned.contains(address)
    }

    /// How many prefixes are known. One that is both listed and learned counts twice.
    pub fn known_prefixes(&self) -> usize {
        self.known.len() + self.learned.len()
    }

    fn presented(&self, policy: &Policy, head: &Head) -> Presented {
        match &policy.pass {
            Some(rules) => rules.presented(head, &self.passes.revoked.load(), &self.limits.hasher),
            None => Presented::Nothing,
        }
    }

    /// Everything that decides about one request at this time.
    pub fn case<'request, 'gate>(
        &'gate self,
        policy: &'request Policy,
        head: &Head,
        identity: &'gate Identity<'request>,
        now: Now,
    ) -> Case<'request, 'gate> {
        // The route, the known set and the clock are looked at while this comes from memory.
        policy.client_limit.limiter.prefetch(identity.client_key);
        let route = policy.routes.find(head);
        let for_the_gate = is_last(head);
        let known = self.is_known(identity.client);
        // One look at both: the share belongs to the mode.
        let in_force = self.mode.in_force();
        Case {
            policy,
            limits: &self.limits,
            identity,
            request: Request {
                route,
                known,
                admitted: !known && self.mode.admits(in_force, &policy.client, identity.client),
                pass: self.presented(policy, head),
                blocked: self.blocks.contains(identity.client),
                exempt: policy.is_exempt(head.path),
                for_the_gate,
                too_large: route.is_some_and(|route| head.framing.exceeds(route.max_body)),
            },
            mode: in_force.mode,
            now,
        }
    }
}

/// RFC 9110 section 7.6.2: `OPTIONS` whose `Max-Forwards` is zero must not be forwarded, and is
/// answered by the gate.
fn is_last(head: &Head) -> bool {
    if head.method != "OPTIONS" {
        return false;
    }
    let value = head.values("max-forwards").next();
    let value = value.and_then(|value| http::HeaderValue::from_bytes(value).ok());
    max_forwards(value.as_ref()) == Some(0)
}
