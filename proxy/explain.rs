//! Why a request is decided as it is: every fact and rule, and the state of every counter, read and
//! not touched. It goes the way of a request, through the same stages.

mod asked;

use std::net::IpAddr;

use ipnet::IpNet;
use tidegate_config::{Mode, Per};
use tidegate_limit::Decision;

use crate::admin::wire::{Explanation, InFlight, Pass, Route, Tenant, Tokens, Use, Verdict};
use crate::claims::{Claim, Claims, Place};
use crate::clock;
use crate::door;
use crate::gate::Gate;
use crate::head::{self, Head, NO_FIELDS};
use crate::identity::{Identity, identify};
use crate::known::Entry;
use crate::pass::Presented;
use crate::policy::Policy;
use crate::prefixes::Added;
use crate::reason::Reason;
use crate::refuse::status;
use crate::verdict::Case;

pub use asked::Asked;

/// The entries that a client's address lies in.
#[derive(Debug)]
pub struct Listed {
    /// Those that make it known.
    pub known_by: Vec<Entry>,
    /// Those that shut it out.
    pub blocked_by: Vec<Added>,
}

/// Explains what would be decided now about this request of a client, which lies in these entries.
///
/// # Errors
/// When there can be no such request, or the gate refuses it unread; the text says why.
pub fn explain(
    gate: &Gate,
    address: IpAddr,
    listed: Listed,
    asked: &Asked,
) -> Result<Explanation, String> {
    let bytes = asked.head()?;
    let mut fields = NO_FIELDS;
    let head = head::parse(&bytes, &mut fields).map_err(asked::why)?;
    let policy = gate.policy.load();
    let identity = identify(
        &policy,
        &gate.limits.hasher,
        address,
        asked.certificate,
        &head,
    );
    let case = gate.case(&policy, &head, &identity, clock::now());
    let claims = case.claims();
    let rules = &policy.client;
    let tokens = claims.tokens.iter().map(|claim| tokens(claim, &case));
    let limits: Vec<Tokens> = tokens.collect();
    Ok(Explanation {
        address,
        client: rules.prefix(address),
        network: rules.network(address).map(IpNet::from),
        speaks_for_others: rules.speaks_for_others(address),
        mode: gate.mode.record(),
        known_by: listed.known_by,
        admitted: case.request.admitted,
        pass: pass(&case),
        blocked_by: listed.blocked_by,
        exempt_path: case.request.exempt,
        connections: Use {
            used: gate.limits.connections.count(identity.client_key),
            most: policy.client_connections.get(),
        },
        all_connections: Use {
            used: gate.connections.get(),
            most: policy.caps.total.get(),
        },
        closed_at_door: door::look(gate, &policy, address)
            .err()
            .map(|reason| reason.label().to_owned()),
        request: described(&head),
        names_host: !head.authority.is_empty(),
        route: route(&case),
        tenant: tenant(&policy, &identity),
        in_flight: in_flight(&claims, &case),
        verdict: verdict(&case, &limits),
        limits,
    })
}

fn verdict(case: &Case, limits: &[Tokens]) -> Verdict {
    let refusal = case.foresee().err();
    let enforced = match case.mode {
        Mode::Observe => case.destination().err(),
        Mode::Normal | Mode::KnownOnly => refusal,
    };
    let told = enforced.or(refusal);
    // Behind the limit that refuses there may be one that refuses for longer.
    let spent = told.is_some_and(|refusal| refusal.limit.is_some());
    let wait = limits.iter().map(|limit| limit.wait).fold(0.0, f64::max);
    Verdict {
        forward: enforced.is_none(),
        status: enforced.map(|refusal| status(refusal.reason).as_u16()),
        reason: told.map(|refusal| refusal.reason.label().to_owned()),
        wait: spent.then_some(wait),
    }
}

fn described(head: &Head) -> String {
    format!("{} {}{}", head.method, head.authority, head.path)
}

fn route(case: &Case) -> Option<Route> {
    let route = case.request.route?;
    Some(Route {
        number: route.number,
        matches: route.to_string(),
        upstream: route.upstream.name().to_owned(),
        cost: route.cost.get(),
        exempt: route.exempt,
    })
}

fn tenant(policy: &Policy, identity: &Identity) -> Option<Tenant> {
    let tenant = identity.tenant.as_ref()?;
    Some(Tenant {
        from: policy.tenants.as_ref()?.from.to_string(),
        name: tenant.name.map(str::to_owned),
        tier: tenant.tier.name.clone(),
        own: tenant.tier.own,
        source: tenant.source.map(str::to_owned),
    })
}

fn pass(case: &Case) -> Option<Pass> {
    case.policy.pass.as_ref()?;
    match case.request.pass {
        Presented::Nothing => None,
        Presented::Invalid => Some(Pass::Invalid),
        Presented::Valid(held) => Some(Pass::Valid {
            id: held.pass.id,
            issued: held.pass.issued,
            expires: held.pass.expires,
        }),
    }
}

fn tokens(claim: &Claim, case: &Case) -> Tokens {
    let limiter = &claim.limit.limiter;
    let wait = match limiter.look(claim.key, case.cost(), case.now) {
        Decision::Allowed { .. } => 0.0,
        Decision::Refused { wait } => wait.as_secs_f64(),
    };
    Tokens {
        reason: claim.reason.label().to_owned(),
        set_in: set_in(claim.reason, case),
        rate: claim.limit.written.rate.to_string(),
        burst: limiter.quota().burst().get(),
        left: limiter.peek(claim.key, case.now),
        wait,
    }
}

fn in_flight(claims: &Claims, case: &Case) -> Vec<InFlight> {
    let place = |place: &Place| InFlight {
        reason: place.reason.label().to_owned(),
        set_in: set_in(place.reason, case),
        places: Use {
            used: case.limits.in_flight.count(place.key),
            most: place.most.get(),
        },
    };
    claims.places.iter().map(place).collect()
}

/// Where an operator finds the number behind a refusal.
fn set_in(reason: Reason, case: &Case) -> String {
    let route = case.request.route;
    let number = route.map_or(0, |route| route.number);
    let of_tenant = |key: &str| match case.identity.tenant.as_ref().map(|tenant| tenant.tier) {
        Some(tier) if tier.own => format!("{key}, its own or of tier.{}", tier.name),
        Some(tier) => format!("tier.{}.{key}", tier.name),
        None => key.to_owned(),
    };
    match reason {
        Reason::PassRate => "known.pass.limit".to_owned(),
        Reason::ClientRate => "client.limit".to_owned(),
        Reason::NetworkRate => "client.ipv6_network.limit".to_owned(),
        Reason::TenantRate => of_tenant("limit"),
        Reason::TenantInFlight => of_tenant("in_flight"),
        Reason::RouteInFlight => format!("in_flight of route {number}"),
        _ => {
            let per = route.and_then(|route| Some(route.limit.as_ref()?.0));
            let whose = match per {
                Some(Per::Client) => "for this client",
                Some(Per::Tenant) => "for this tenant",
                Some(Per::Route) | None => "for all",
            };
            format!("limit of route {number}, {whose}")
        }
    }
}
