//! Who is let in: blocks, the mode, and the caps on connections.
//!
//! In two parts, because the other end of a connection need not be the client: the place among all
//! connections is taken at the start, the client's own when it is known who that is.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use tidegate_config::Mode;
use tidegate_limit::{GaugePermit, Occupancy, Permit};

use super::DoorReason;
use crate::gate::Gate;
use crate::policy::{Caps, Policy};

/// A place among all connections, given back when dropped.
#[derive(Debug)]
#[must_use = "dropping it gives the place back"]
pub struct Place {
    _total: GaugePermit,
    /// Whether it is one of those that are kept for known clients.
    reserved: bool,
}

/// A connection's places in the caps; it gives them back when dropped, however the connection ends.
#[derive(Debug)]
#[must_use = "dropping it gives the places back"]
pub struct Guard {
    _place: Place,
    /// None when the cap is a trusted proxy's, or not enforced.
    _client: Option<Permit>,
}

/// Whether a connection from `client` would be let in now; takes nothing. No lock, no allocation.
///
/// # Errors
/// Why it would not.
pub fn look(gate: &Gate, policy: &Policy, client: IpAddr) -> Result<(), DoorReason> {
    enter(gate, policy, client)?;
    let open = gate.connections.get();
    if open >= policy.caps.total.get() {
        return Err(DoorReason::Total);
    }
    if gate.mode.mode() == Mode::Observe {
        return Ok(());
    }
    if open >= policy.caps.open_to_all() && !gate.is_known(client) {
        return Err(DoorReason::Reserved);
    }
    if policy.client.speaks_for_others(client) {
        return Ok(());
    }
    let key = policy.client.key(&gate.limits.hasher, client);
    let most = policy.client_connections;
    match gate.limits.connections.at_limit(key, most) {
        true => Err(DoorReason::Client),
        false => Ok(()),
    }
}

/// Whether a connection would be let in now whose `peer` has yet to announce the client; takes
/// nothing. Who may not announce anybody is closed here; a load balancer's own block is the only one
/// that it can meet.
///
/// # Errors
/// Why it would not.
pub fn look_at_peer(gate: &Gate, policy: &Policy, peer: IpAddr) -> Result<(), DoorReason> {
    if gate.blocks.contains(peer) {
        return Err(DoorReason::Blocked);
    }
    if !policy.client.trusts(peer) {
        return Err(DoorReason::ProxyUntrusted);
    }
    match gate.connections.get() >= policy.caps.total.get() {
        true => Err(DoorReason::Total),
        false => Ok(()),
    }
}

/// Takes a connection's place among all, whoever its client will turn out to be.
///
/// # Errors
/// When none is left, not even one that is kept for known clients.
pub fn admit_total(gate: &Gate, caps: Caps) -> Result<Place, DoorReason> {
    let among = |most: u32, reserved: bool| {
        let total = gate.connections.try_acquire(most)?;
        Some(Place {
            _total: total,
            reserved,
        })
    };
    among(caps.open_to_all(), false)
        .or_else(|| among(caps.total.get(), true))
        .ok_or(DoorReason::Total)
}

/// Lets a client in, once it is known who the client is, to the place among all that it holds.
///
/// # Errors
/// Why it is not let in. The place among all is given back.
pub fn admit_client(gate: &Gate, place: Place, client: IpAddr) -> Result<Guard, DoorReason> {
    let policy = gate.policy.load();
    enter(gate, &policy, client)?;
    take_client_place(gate, &policy, place, client)
}

/// Takes all places of a connection whose client is known from the start.
///
/// # Errors
/// Why it is not let in.
pub fn admit(gate: &Gate, client: IpAddr) -> Result<Guard, DoorReason> {
    let policy = gate.policy.load();
    // First, as in `look`: of two reasons both name the same one.
    enter(gate, &policy, client)?;
    let place = admit_total(gate, policy.caps)?;
    take_client_place(gate, &policy, place, client)
}

/// Takes the client's own place, when it may have the one among all that it holds.
fn take_client_place(
    gate: &Gate,
    policy: &Policy,
    place: Place,
    client: IpAddr,
) -> Result<Guard, DoorReason> {
    // Places may have become free since: then the reserve is whole without this one.
    let from_reserve = place.reserved && gate.connections.get() > policy.caps.open_to_all();
    if from_reserve && !gate.is_known(client) {
        not_in_observe(gate, DoorReason::Reserved)?;
    }
    let (own, most) = (&gate.limits.connections, policy.client_connections);
    let own = client_place(gate, policy, client, own, most, DoorReason::Client)?;
    Ok(Guard {
        _place: place,
        _client: own,
    })
}

/// Takes one of the `most` places that a client may have. None for a trusted proxy, behind which
/// there are many clients: their number is not this peer's doing. In `observe` it is not enforced.
///
/// # Errors
/// With this reason when the client has them all.
pub fn client_place(
    gate: &Gate,
    policy: &Policy,
    client: IpAddr,
    places: &Arc<Occupancy>,
    most: NonZeroU32,
    reason: DoorReason,
) -> Result<Option<Permit>, DoorReason> {
    if policy.client.speaks_for_others(client) {
        return Ok(None);
    }
    let key = policy.client.key(&gate.limits.hasher, client);
    let place = places.try_acquire(key, most);
    if place.is_none() {
        not_in_observe(gate, reason)?;
    }
    Ok(place)
}

/// What is about the client and no count. A block holds in every mode: an operator named the client.
fn enter(gate: &Gate, policy: &Policy, client: IpAddr) -> Result<(), DoorReason> {
    if gate.blocks.contains(client) {
        return Err(DoorReason::Blocked);
    }
    match shuts_out(gate, policy, client) {
        true => Err(DoorReason::UnknownClient),
        false => Ok(()),
    }
}

/// Whether the mode leaves a connection's client nothing that it could ask for.
pub fn is_shut_out(gate: &Gate, client: IpAddr) -> bool {
    // First, as it is almost always the answer.
    gate.mode.mode() == Mode::KnownOnly && shuts_out(gate, &gate.policy.load(), client)
}

/// Only when nothing it could ask would be served: a path that stays open is told by the request,
/// and so are a pass and whom a trusted proxy asks for.
fn shuts_out(gate: &Gate, policy: &Policy, client: IpAddr) -> bool {
    let in_force = gate.mode.in_force();
    in_force.mode == Mode::KnownOnly
        && policy.exempt_paths.is_empty()
        && policy.pass.is_none()
        && !policy.client.speaks_for_others(client)
        && !gate.is_known(client)
        && !gate.mode.admits(in_force, &policy.client, client)
}

/// In `observe` who gets which place is counted and not enforced.
fn not_in_observe(gate: &Gate, reason: DoorReason) -> Result<(), DoorReason> {
    match gate.mode.mode() {
        Mode::Observe => {
            gate.account.would_close(reason);
            Ok(())
        }
        Mode::Normal | Mode::KnownOnly => Err(reason),
    }
}
