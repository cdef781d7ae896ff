//! The verdict: forward, with permits to hold, or refuse, with a refusal.
//!
//! Pure but for the counters it takes from. The order is narrowest first, so that one noisy client
//! spends its own budget and nobody else's: the mode, the client's rate, the route, the tenant's
//! requests in flight, the tenant's rate. What a later step refuses has already spent the client's
//! tokens; requests in flight are given back.

use std::time::Duration;

use tidegate_config::Mode;
use tidegate_limit::{Decision, Key, Now, Permit, Quota};

use crate::identity::{Identity, Tenant};
use crate::limits::Limits;
use crate::policy::{NamedLimit, Policy, Route};
use crate::reason::Reason;

/// What a verdict needs to know of a request beside its identity.
#[derive(Debug)]
pub struct Request<'request> {
    /// Where it would go.
    pub route: Option<&'request Route>,
    /// Whether its client is in the known set.
    pub known: bool,
    /// Whether its path stays open in `known-only`.
    pub exempt: bool,
}

/// What is decided about a request.
#[derive(Debug)]
pub enum Verdict<'request> {
    /// It may go to the upstream of this route for as long as the permits are held.
    Forward(&'request Route, Permits),
    /// It may not.
    Refuse(Refusal<'request>),
}

/// Places that a forwarded request holds until it ends.
#[derive(Debug, Default)]
pub struct Permits {
    /// Held for its drop alone.
    _tenant: Option<Permit>,
}

/// Why a request is refused, and when to come back.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'policy> {
    /// Why.
    pub reason: Reason,
    /// How long until it would be let in; `None` when waiting changes nothing.
    pub wait: Option<Duration>,
    /// The limit that was spent, by name.
    pub limit: Option<(&'static str, &'policy Quota)>,
}

impl Refusal<'_> {
    /// A refusal that no limit is behind.
    pub fn new(reason: Reason, wait: Option<Duration>) -> Self {
        Refusal {
            reason,
            wait,
            limit: None,
        }
    }
}

/// How long a client waits that `known-only` shut out, or whose tenant has no place in flight:
/// there is no instant to promise, so a short and honest one.
const UNKNOWN_CLIENT_WAIT: Duration = Duration::from_secs(30);
const IN_FLIGHT_WAIT: Duration = Duration::from_secs(1);

/// Decides about one request at one instant.
///
/// In `observe` the limits are taken from as in `normal`; that the refusal is not enforced is the
/// caller's business.
pub fn decide<'request>(
    policy: &'request Policy,
    limits: &Limits,
    identity: &Identity<'request>,
    request: &Request<'request>,
    mode: Mode,
    now: Now,
) -> Verdict<'request> {
    if mode == Mode::KnownOnly && is_shut_out(request) {
        return Verdict::Refuse(Refusal::new(
            Reason::UnknownClient,
            Some(UNKNOWN_CLIENT_WAIT),
        ));
    }
    let cost = request
        .route
        .map_or(std::num::NonZeroU32::MIN, |route| route.cost);
    let client = &policy.client_limit;
    if let Err(refusal) = take(client, identity.client_key, cost, now, Reason::ClientRate) {
        return Verdict::Refuse(refusal);
    }
    let Some(route) = request.route else {
        return Verdict::Refuse(Refusal::new(Reason::NoRoute, None));
    };
    let permits = match &identity.tenant {
        Some(tenant) => tenant_permits(tenant, limits, cost, now),
        None => Ok(Permits::default()),
    };
    match permits {
        Ok(permits) => Verdict::Forward(route, permits),
        Err(refusal) => Verdict::Refuse(refusal),
    }
}

/// Whether `known-only` would refuse this request.
pub fn is_shut_out(request: &Request) -> bool {
    !request.known && !request.exempt
}

fn take<'policy>(
    limit: &'policy NamedLimit,
    key: Key,
    cost: std::num::NonZeroU32,
    now: Now,
    reason: Reason,
) -> Result<(), Refusal<'policy>> {
    match limit.limiter.take(key, cost, now) {
        Decision::Allowed { .. } => Ok(()),
        Decision::Refused { wait } => Err(Refusal {
            reason,
            wait: Some(wait),
            limit: Some((limit.name, limit.limiter.quota())),
        }),
    }
}

fn tenant_permits<'request>(
    tenant: &Tenant<'request>,
    limits: &Limits,
    cost: std::num::NonZeroU32,
    now: Now,
) -> Result<Permits, Refusal<'request>> {
    let tier = tenant.tier;
    let place = match tier.in_flight {
        None => None,
        Some(max) => Some(
            limits
                .in_flight
                .try_acquire(tenant.key, max)
                .ok_or(Refusal::new(Reason::TenantInFlight, Some(IN_FLIGHT_WAIT)))?,
        ),
    };
    if let Some(limit) = &tier.limit {
        take(limit, tenant.key, cost, now, Reason::TenantRate)?;
    }
    Ok(Permits { _tenant: place })
}
