//! The verdict: forward, with permits to hold, or refuse, with a refusal.
//!
//! Pure but for the counters it takes from. The order is blocks, the mode, the size of the body, then
//! narrowest first, so that one
//! noisy client spends its own budget and nobody else's: the route's limit for each client, the
//! client's, its network's, the route's for each tenant, the tenant's, the route's for all; then the
//! route itself, if none matches. What is refused costs nothing: see [`Claims::take`] for how, and
//! for the one exception.

use std::num::NonZeroU32;
use std::time::Duration;

use tidegate_config::Mode;
use tidegate_limit::{Now, Quota};

use crate::claims::{Claims, Permits};
use crate::identity::Identity;
use crate::limits::Limits;
use crate::pass::{Held, Presented};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::route::Route;

/// What a verdict needs to know of a request beside its identity.
#[derive(Clone, Copy, Debug)]
pub struct Request<'request> {
    /// Where it would go.
    pub route: Option<&'request Route>,
    /// Whether its client is in the known set.
    pub known: bool,
    /// Whether `known-only` lets its client in without that, as one of a share of the unknown.
    pub admitted: bool,
    /// The pass that it presents.
    pub pass: Presented,
    /// Whether an operator shut its client out.
    pub blocked: bool,
    /// Whether its path stays open in `known-only`.
    pub exempt: bool,
    /// Whether the gate itself is the one who is asked.
    pub for_the_gate: bool,
    /// Whether its body is larger than the route takes.
    pub too_large: bool,
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

/// How long a client waits that `known-only` shut out: there is no instant to promise, so a short
/// and honest one.
const UNKNOWN_CLIENT_WAIT: Duration = Duration::from_secs(30);

/// One request at one instant, and everything that decides about it.
#[derive(Clone, Copy, Debug)]
pub struct Case<'request, 'limits> {
    /// The rules.
    pub policy: &'request Policy,
    /// The counters.
    pub limits: &'limits Limits,
    /// Whose request it is.
    pub identity: &'limits Identity<'request>,
    /// What is asked.
    pub request: Request<'request>,
    /// The mode in force.
    pub mode: Mode,
    /// The time.
    pub now: Now,
}

impl<'request> Case<'request, '_> {
    /// Decides, and takes what the request takes.
    ///
    /// In `observe` the limits are taken from as in `normal`; that the refusal is not enforced is the
    /// caller's business.
    ///
    /// # Errors
    /// The refusal.
    pub fn decide(&self) -> Result<(&'request Route, Permits), Refusal<'request>> {
        self.enter()?;
        let permits = self.claims().take(self.limits, self.cost(), self.now)?;
        Ok((self.destination()?, permits))
    }

    /// What would be decided; takes nothing.
    ///
    /// # Errors
    /// The refusal.
    pub fn foresee(&self) -> Result<(), Refusal<'request>> {
        self.enter()?;
        self.claims().look(self.limits, self.cost(), self.now)?;
        self.destination().map(|_| ())
    }

    /// Where the request goes when nothing is enforced, as in `observe`: to its route, unless an
    /// operator shut the client out, which is said about one client and holds in every mode.
    ///
    /// # Errors
    /// The refusal, when there is no such place.
    pub fn destination(&self) -> Result<&'request Route, Refusal<'request>> {
        let nowhere = |reason| Refusal::new(reason, None);
        self.pass_block()?;
        let route = self.request.route.ok_or(nowhere(Reason::NoRoute))?;
        match self.request.for_the_gate {
            true => Err(nowhere(Reason::MaxForwards)),
            false => Ok(route),
        }
    }

    fn pass_block(&self) -> Result<(), Refusal<'request>> {
        match self.request.blocked {
            true => Err(Refusal::new(Reason::Blocked, None)),
            false => Ok(()),
        }
    }

    fn enter(&self) -> Result<(), Refusal<'request>> {
        self.pass_block()?;
        if self.mode == Mode::KnownOnly && self.request.is_shut_out() {
            let wait = Some(UNKNOWN_CLIENT_WAIT);
            return Err(Refusal::new(Reason::UnknownClient, wait));
        }
        match self.request.too_large {
            true => Err(Refusal::new(Reason::BodyTooLarge, None)),
            false => Ok(()),
        }
    }

    /// What the request takes.
    pub fn claims(&self) -> Claims<'request> {
        let hasher = &self.limits.hasher;
        let mut claims = Claims::of(self.policy, hasher, self.identity, self.request.route);
        if let (Some(rules), Some(held)) = (&self.policy.pass, self.let_in_by()) {
            claims.pass(&rules.limit, held.key);
        }
        claims
    }

    /// The pass without which the request would be shut out. Where it would be let in anyway, its pass
    /// has no limit.
    pub fn let_in_by(&self) -> Option<Held> {
        let needed = self.mode == Mode::KnownOnly && !self.request.is_let_in_without_pass();
        self.request.pass.held().filter(|_| needed)
    }

    /// How many tokens it takes from each limit.
    pub fn cost(&self) -> NonZeroU32 {
        let route = self.request.route;
        route.map_or(NonZeroU32::MIN, |route| route.cost)
    }
}

impl Request<'_> {
    /// Whether `known-only` would refuse this request.
    pub fn is_shut_out(&self) -> bool {
        !self.is_let_in_without_pass() && self.pass.held().is_none()
    }

    fn is_let_in_without_pass(&self) -> bool {
        self.known || self.admitted || self.exempt
    }
}
