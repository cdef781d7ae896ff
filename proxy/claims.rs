//! What one request would take: tokens of several limits, and places in flight.

use std::num::NonZeroU32;
use std::time::Duration;

use arrayvec::ArrayVec;
use tidegate_config::Per;
use tidegate_limit::{Decision, Domain, Key, KeyHasher, Now, Permit};

use crate::identity::Identity;
use crate::limits::{Limits, NamedLimit};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::route::Route;
use crate::verdict::Refusal;

/// How long a client waits for whom there is no place in flight: there is no instant to promise, so
/// a short and honest one.
pub(crate) const IN_FLIGHT_WAIT: Duration = Duration::from_secs(1);

/// A limit that a request meets, and as what it is counted there.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'policy> {
    /// The limit.
    pub limit: &'policy NamedLimit,
    /// Whose tokens it takes.
    pub key: Key,
    /// Why it is refused when there are none.
    pub reason: Reason,
}

/// A cap on requests in flight that a request meets.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The cap.
    pub most: NonZeroU32,
    /// Whose place it takes.
    pub key: Key,
    /// Why it is refused when there is none.
    pub reason: Reason,
}

/// Everything that one request would take.
#[derive(Debug, Default)]
pub struct Claims<'policy> {
    /// Tokens, the narrowest limit first.
    pub tokens: ArrayVec<Claim<'policy>, 5>,
    /// Places in flight, the narrowest cap first.
    pub places: ArrayVec<Place, 2>,
}

/// Places that a forwarded request holds until it ends.
#[derive(Debug, Default)]
pub struct Permits {
    /// Held for their drop alone.
    _places: ArrayVec<Permit, 2>,
}

impl<'policy> Claims<'policy> {
    /// What a request of this client and tenant to this route takes. One that no route serves takes
    /// from its client and network alone.
    pub fn of(
        policy: &'policy Policy,
        hasher: &KeyHasher,
        identity: &Identity<'policy>,
        route: Option<&'policy Route>,
    ) -> Self {
        let mut claims = Claims::default();
        let own = route.and_then(|route| Some((route, route.limit.as_ref()?)));
        let exempt = route.is_some_and(|route| route.exempt);
        let client = identity.client_key;
        if let Some((route, (Per::Client, limit))) = own {
            let key = hasher.pair(Domain::Route, route.key, client);
            claims.token(limit, key, Reason::RouteRate);
        }
        if !exempt {
            claims.token(&policy.client_limit, client, Reason::ClientRate);
            if let (Some(limit), Some(key)) = (&policy.network_limit, identity.network_key) {
                claims.token(limit, key, Reason::NetworkRate);
            }
        }
        let tenant = identity.tenant.as_ref().filter(|_| route.is_some());
        if let (Some((route, (Per::Tenant, limit))), Some(tenant)) = (own, tenant) {
            let key = hasher.pair(Domain::Route, route.key, tenant.key);
            claims.token(limit, key, Reason::RouteRate);
        }
        if let (Some(tenant), false) = (tenant, exempt) {
            if let Some(limit) = &tenant.tier.limit {
                claims.token(limit, tenant.key, Reason::TenantRate);
            }
            claims.place(tenant.tier.in_flight, tenant.key, Reason::TenantInFlight);
        }
        if let Some((route, (Per::Route, limit))) = own {
            claims.token(limit, route.key, Reason::RouteRate);
        }
        if let Some(route) = route {
            claims.place(route.in_flight, route.key, Reason::RouteInFlight);
        }
        claims
    }

    /// Adds the limit of the pass that lets the request in: few share one, so it is the narrowest.
    pub fn pass(&mut self, limit: &'policy NamedLimit, key: Key) {
        let reason = Reason::PassRate;
        let _ = self.tokens.try_insert(0, Claim { limit, key, reason });
    }

    fn token(&mut self, limit: &'policy NamedLimit, key: Key, reason: Reason) {
        // There is room: a route has one limit, and the others are four.
        let _ = self.tokens.try_push(Claim { limit, key, reason });
    }

    fn place(&mut self, most: Option<NonZeroU32>, key: Key, reason: Reason) {
        if let Some(most) = most {
            let _ = self.places.try_push(Place { most, key, reason });
        }
    }

    /// Takes all of it, or nothing and says what is missing.
    ///
    /// Every limit is looked at before the first token is taken, and places are given back, so that
    /// a request which one limit refuses costs nothing of the others. The exception is a race: when
    /// another thread takes the last tokens of a limit between the look and the take, this request
    /// is refused and has spent the tokens of narrower limits.
    ///
    /// # Errors
    /// The first of them, from the narrowest, that is spent.
    pub fn take(
        &self,
        limits: &Limits,
        cost: NonZeroU32,
        now: Now,
    ) -> Result<Permits, Refusal<'policy>> {
        // A single limit that refuses takes nothing anyway.
        if self.tokens.len() > 1 || !self.places.is_empty() {
            self.look_at_tokens(cost, now)?;
        }
        let mut permits = Permits::default();
        for place in &self.places {
            let permit = place.take(limits)?;
            let _ = permits._places.try_push(permit);
        }
        for claim in &self.tokens {
            claim.take(cost, now)?;
        }
        Ok(permits)
    }

    /// Whether all of it could be taken; takes nothing.
    ///
    /// # Errors
    /// As [`Claims::take`].
    pub fn look(
        &self,
        limits: &Limits,
        cost: NonZeroU32,
        now: Now,
    ) -> Result<(), Refusal<'policy>> {
        self.look_at_tokens(cost, now)?;
        self.places.iter().try_for_each(|place| place.look(limits))
    }

    fn look_at_tokens(&self, cost: NonZeroU32, now: Now) -> Result<(), Refusal<'policy>> {
        self.tokens
            .iter()
            .try_for_each(|claim| claim.look(cost, now))
    }
}

impl<'policy> Claim<'policy> {
    fn look(&self, cost: NonZeroU32, now: Now) -> Result<(), Refusal<'policy>> {
        self.judge(self.limit.limiter.look(self.key, cost, now))
    }

    fn take(&self, cost: NonZeroU32, now: Now) -> Result<(), Refusal<'policy>> {
        self.judge(self.limit.limiter.take(self.key, cost, now))
    }

    fn judge(&self, decision: Decision) -> Result<(), Refusal<'policy>> {
        match decision {
            Decision::Allowed { .. } => Ok(()),
            Decision::Refused { wait } => Err(Refusal {
                reason: self.reason,
                wait: Some(wait),
                limit: Some((self.limit.name, self.limit.limiter.quota())),
            }),
        }
    }
}

impl Place {
    fn take(&self, limits: &Limits) -> Result<Permit, Refusal<'static>> {
        let permit = limits.in_flight.try_acquire(self.key, self.most);
        permit.ok_or(self.refusal())
    }

    fn look(&self, limits: &Limits) -> Result<(), Refusal<'static>> {
        match limits.in_flight.at_limit(self.key, self.most) {
            true => Err(self.refusal()),
            false => Ok(()),
        }
    }

    fn refusal(&self) -> Refusal<'static> {
        Refusal::new(self.reason, Some(IN_FLIGHT_WAIT))
    }
}
