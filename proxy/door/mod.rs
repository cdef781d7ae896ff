//! The door: which connections are let in, before anything is spent on them.

mod admission;
mod blocks;

pub use admission::{
    Guard, Place, admit, admit_client, admit_total, client_place, is_shut_out, look, look_at_peer,
};
pub use blocks::{BlockError, Blocks, LONGEST as LONGEST_BLOCK, USUAL as USUAL_BLOCK};

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::gate::Gate;
use crate::identity::canonical;
use crate::listener::Listener;

/// Why a connection was closed before anything was read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoorReason {
    /// An operator shut the client out.
    Blocked,
    /// A client outside the known set in `known-only`.
    UnknownClient,
    /// As many connections are open as may be.
    Total,
    /// As many connections are open as unknown clients may have.
    Reserved,
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
    pub const ALL: [DoorReason; 12] = [
        DoorReason::Blocked,
        DoorReason::UnknownClient,
        DoorReason::Total,
        DoorReason::Reserved,
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
            DoorReason::Blocked => "blocked",
            DoorReason::UnknownClient => "unknown_client",
            DoorReason::Total => "total",
            DoorReason::Reserved => "reserved",
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

/// The look at a connection inside the accept loop.
///
/// It only looks: the places are taken by [`admit`], in the connection's own task, where its guard
/// lives. What slips in meanwhile is refused there.
#[derive(Debug)]
pub struct Filter {
    gate: Arc<Gate>,
    /// Where the connections come in.
    listener: Arc<Listener>,
    /// Connections that were let through and may not have taken their place yet.
    on_their_way: Arc<AtomicU32>,
}

impl Filter {
    /// The look into this gate. All of its listeners share `on_their_way`.
    pub fn new(gate: Arc<Gate>, listener: Arc<Listener>, on_their_way: Arc<AtomicU32>) -> Self {
        Filter {
            gate,
            listener,
            on_their_way,
        }
    }

    /// Whether a connection may come in, and when it may, whether as many may be on their way as there
    /// are places.
    fn look(&self, peer: IpAddr) -> Result<bool, DoorReason> {
        let policy = self.gate.policy.load();
        match self.listener.rules.load().proxy_protocol {
            // The client is not known yet.
            true => look_at_peer(&self.gate, &policy, peer)?,
            false => look(&self.gate, &policy, peer)?,
        }
        let taken = self.gate.connections.get();
        let taken = taken.saturating_add(self.on_their_way.load(Relaxed));
        Ok(taken >= policy.caps.total.get())
    }

    /// Whether a connection may come in; one that may not is accounted for.
    pub async fn lets_in(&self, peer: Option<SocketAddr>) -> bool {
        let Some(peer) = peer else {
            return true;
        };
        let peer = canonical(peer);
        let mut looked = self.look(peer);
        if looked == Ok(true) {
            // Those on their way arrive before more are let through: a backlog is accepted faster than
            // tasks start, and each connection holds a descriptor meanwhile. That is once in so many
            // connections as places are free, and runs after the tasks that the accept loop has
            // spawned.
            tokio::task::yield_now().await;
            self.on_their_way.store(0, Relaxed);
            looked = self.look(peer);
        }
        match looked {
            Ok(_) => {
                self.on_their_way.fetch_add(1, Relaxed);
                true
            }
            Err(reason) => {
                let account = &self.gate.account;
                account.refused_connection(reason, peer, self.listener.address);
                false
            }
        }
    }
}
