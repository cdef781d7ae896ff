//! The door: which connections are let in, before anything is spent on them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::listeners::ConnectionFilter;
use tidegate_config::Mode;
use tidegate_limit::{GaugePermit, Permit};

use crate::gate::Gate;
use crate::identity::canonical;
use crate::listener::Listener;

/// Why a connection was closed before anything was read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoorReason {
    /// As many connections are open as may be.
    Total,
    /// As many connections of this client are open as it may have.
    Client,
    /// A PROXY protocol header is required, and this peer may not send one.
    ProxyUntrusted,
    /// What came is no PROXY protocol header.
    ProxyMalformed,
    /// No whole PROXY protocol header came in time.
    ProxyTimeout,
    /// As many TLS handshakes are under way as may be.
    TlsHandshakes,
    /// The TLS handshake was not done in time.
    TlsTimeout,
    /// What came is not TLS, or client and gate have no protocol, cipher or certificate in common.
    TlsFailed,
    /// The connection ended before it was one that speaks HTTP.
    Gone,
}

impl DoorReason {
    /// Every reason.
    pub const ALL: [DoorReason; 9] = [
        DoorReason::Total,
        DoorReason::Client,
        DoorReason::ProxyUntrusted,
        DoorReason::ProxyMalformed,
        DoorReason::ProxyTimeout,
        DoorReason::TlsHandshakes,
        DoorReason::TlsTimeout,
        DoorReason::TlsFailed,
        DoorReason::Gone,
    ];

    /// The value of the `reason` label.
    pub fn label(self) -> &'static str {
        match self {
            DoorReason::Total => "total",
            DoorReason::Client => "client",
            DoorReason::ProxyUntrusted => "proxy_untrusted",
            DoorReason::ProxyMalformed => "proxy_malformed",
            DoorReason::ProxyTimeout => "proxy_timeout",
            DoorReason::TlsHandshakes => "tls_handshakes",
            DoorReason::TlsTimeout => "tls_timeout",
            DoorReason::TlsFailed => "tls_failed",
            DoorReason::Gone => "gone",
        }
    }
}

/// A connection's places in the caps; it gives them back when dropped, however the connection ends.
#[derive(Debug)]
pub struct Guard {
    _total: GaugePermit,
    /// None when the cap is a trusted proxy's, or not enforced.
    _client: Option<Permit>,
}

/// Takes the places of a connection from `peer`.
///
/// # Errors
/// When a cap is reached.
pub fn admit(gate: &Gate, peer: IpAddr) -> Result<Guard, DoorReason> {
    let policy = gate.policy.load();
    let total = gate.connections.try_acquire(policy.connections.get());
    let total = total.ok_or(DoorReason::Total)?;
    // Behind a trusted proxy there are many clients: their number is not this peer's doing.
    let client = if policy.client.speaks_for_others(peer) {
        None
    } else {
        let key = policy.client.key(&gate.limits.hasher, peer);
        let place = gate
            .limits
            .connections
            .try_acquire(key, policy.client_connections);
        if place.is_none() {
            refuse_client(gate)?;
        }
        place
    };
    Ok(Guard {
        _total: total,
        _client: client,
    })
}

/// In `observe` the cap of a client is counted and not enforced.
fn refuse_client(gate: &Gate) -> Result<(), DoorReason> {
    match gate.mode.mode() {
        Mode::Observe => {
            gate.account.would_close(DoorReason::Client);
            Ok(())
        }
        Mode::Normal | Mode::KnownOnly => Err(DoorReason::Client),
    }
}

/// The look at a connection inside Pingora's accept loop.
///
/// It only looks: the places are taken by [`admit`], where the connection's guard lives, because
/// Pingora has no hook for a connection that ends between the two. What slips in meanwhile is
/// refused there.
#[derive(Debug)]
pub struct Filter {
    /// The gate.
    pub gate: Arc<Gate>,
    /// Where the connections come in.
    pub listener: Arc<Listener>,
}

/// Whether a connection from `peer` would be let in now; takes nothing.
///
/// # Errors
/// When a cap is reached.
pub fn look(gate: &Gate, peer: IpAddr) -> Result<(), DoorReason> {
    look_at_total(gate)?;
    let policy = gate.policy.load();
    if gate.mode.mode() == Mode::Observe || policy.client.speaks_for_others(peer) {
        return Ok(());
    }
    let key = policy.client.key(&gate.limits.hasher, peer);
    match gate
        .limits
        .connections
        .at_limit(key, policy.client_connections)
    {
        true => Err(DoorReason::Client),
        false => Ok(()),
    }
}

fn look_at_total(gate: &Gate) -> Result<(), DoorReason> {
    match gate.connections.get() >= gate.policy.load().connections.get() {
        true => Err(DoorReason::Total),
        false => Ok(()),
    }
}

#[async_trait]
impl ConnectionFilter for Filter {
    async fn should_accept(&self, peer: Option<&SocketAddr>) -> bool {
        let Some(peer) = peer else {
            return true;
        };
        let look = match self.listener.rules.load().proxy_protocol {
            // The client is not known yet.
            true => look_at_total(&self.gate),
            false => look(&self.gate, canonical(*peer)),
        };
        match look {
            Ok(()) => true,
            Err(reason) => {
                self.gate.account.refused_connection(reason);
                false
            }
        }
    }
}
