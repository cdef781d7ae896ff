//! Why a request is decided as it is: every fact and rule, and the state of every counter, read and
//! not touched. It goes the way of a request, through the same stages.

use std::net::IpAddr;

use ipnet::IpNet;
use tidegate_config::Mode;
use tidegate_limit::{Decision, Now};

use crate::admin::wire::{Explanation, InFlight, Route, Tenant, Tokens, Use, Verdict};
use crate::claims::Claim;
use crate::gate::Gate;
use crate::head::{self, Head, HeadError, MAX_FIELDS};
use crate::identity::{Identity, identify};
use crate::known::Entry;
use crate::policy::Policy;
use crate::verdict::Case;

/// A request as an operator describes it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'text> {
    /// Its method.
    pub method: &'text str,
    /// Its path.
    pub path: &'text str,
    /// The host it asks for.
    pub host: Option<&'text str>,
    /// Its other header fields, one a line.
    pub fields: &'text str,
}

impl Asked<'_> {
    /// The head of the request.
    fn head(&self) -> String {
        let Asked { method, path, .. } = self;
        let mut head = match self.host {
            Some(host) => format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n"),
            // The one version that needs no host.
            None => format!("{method} {path} HTTP/1.0\r\n"),
        };
        for field in self.fields.lines() {
            head.push_str(field);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        head
    }
}

/// Explains what would be decided now about this request of a client.
///
/// # Errors
/// When the gate would not even understand such a request; the text says why.
pub fn explain(
    gate: &Gate,
    address: IpAddr,
    known_by: Vec<Entry>,
    asked: &Asked,
) -> Result<Explanation, String> {
    let bytes = asked.head();
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let head = head::parse(bytes.as_bytes(), &mut fields).map_err(why)?;
    let policy = gate.policy.load();
    let identity = identify(&policy, &gate.limits.hasher, address, &head);
    let case = gate.case(&policy, &head, &identity);
    let request = &case.request;
    let (claims, cost) = (case.claims(), case.cost());
    let rules = &policy.client;
    Ok(Explanation {
        address,
        client: prefix(address, rules.ipv4_prefix, rules.ipv6_prefix),
        network: network(&policy, address),
        speaks_for_others: rules.speaks_for_others(address),
        mode: case.mode.to_string(),
        known_by,
        exempt_path: request.exempt,
        connections: Use {
            used: gate.limits.connections.count(identity.client_key),
            most: policy.client_connections.get(),
        },
        request: described(&head),
        route: request.route.map(|route| Route {
            number: route.number,
            matches: route.to_string(),
            upstream: route.upstream.name().to_owned(),
            cost: cost.get(),
            exempt: route.exempt,
        }),
        tenant: tenant(&identity),
        limits: claims
            .tokens
            .iter()
            .map(|claim| tokens(claim, cost, case.now))
            .collect(),
        in_flight: claims
            .places
            .iter()
            .map(|place| InFlight {
                reason: place.reason.label().to_owned(),
                places: Use {
                    used: gate.limits.in_flight.count(place.key),
                    most: place.most.get(),
                },
            })
            .collect(),
        verdict: verdict(&case),
    })
}

fn verdict(case: &Case) -> Verdict {
    let refusal = case.foresee().err();
    let unenforced = case.mode == Mode::Observe && case.request.route.is_some();
    Verdict {
        forward: refusal.is_none() || unenforced,
        reason: refusal.map(|refusal| refusal.reason.label().to_owned()),
        wait: refusal.and_then(|refusal| Some(refusal.wait?.as_secs_f64())),
    }
}

fn why(error: HeadError) -> String {
    match error {
        HeadError::Malformed(rule) => format!("no such request is understood: {rule}"),
        HeadError::TooLarge => "the gate refuses such a request: its head is too large".to_owned(),
        HeadError::TargetTooLong => {
            "the gate refuses such a request: its path is too long".to_owned()
        }
        HeadError::Version | HeadError::Method => {
            "the gate refuses every request with this method".to_owned()
        }
    }
}

fn described(head: &Head) -> String {
    match head.authority {
        "" => format!("{} {} (no host)", head.method, head.path),
        authority => format!("{} {authority}{}", head.method, head.path),
    }
}

fn prefix(address: IpAddr, ipv4: u8, ipv6: u8) -> IpNet {
    let length = if address.is_ipv4() { ipv4 } else { ipv6 };
    // The lengths were checked; an address stands for itself where they were not.
    IpNet::new(address, length).map_or(address.into(), |net| net.trunc())
}

fn network(policy: &Policy, address: IpAddr) -> Option<IpNet> {
    let length = policy.client.ipv6_network.filter(|_| address.is_ipv6())?;
    Some(IpNet::new(address, length).ok()?.trunc())
}

fn tenant(identity: &Identity) -> Option<Tenant> {
    let tenant = identity.tenant.as_ref()?;
    Some(Tenant {
        name: tenant.name.map(str::to_owned),
        tier: tenant.tier.name.clone(),
        own: tenant.tier.own,
        source: tenant.source.map(str::to_owned),
    })
}

fn tokens(claim: &Claim, cost: std::num::NonZeroU32, now: Now) -> Tokens {
    let limiter = &claim.limit.limiter;
    let wait = match limiter.look(claim.key, cost, now) {
        Decision::Allowed { .. } => 0.0,
        Decision::Refused { wait } => wait.as_secs_f64(),
    };
    Tokens {
        reason: claim.reason.label().to_owned(),
        rate: claim.limit.written.rate.to_string(),
        burst: limiter.quota().burst().get(),
        left: limiter.peek(claim.key, now),
        wait,
    }
}
