//! The door: which connections are let in, before anything is spent on them.

mod admission;
mod blocks;

pub use admission::{Guard, Place, admit, admit_client, admit_total, look};
pub use blocks::{BlockError, Blocks, LONGEST as LONGEST_BLOCK, USUAL as USUAL_BLOCK};

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use async_trait::async_trait;
use pingora_core::listeners::ConnectionFilter;

use crate::gate::Gate;
use crate::identity::canonical;

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
}

impl DoorReason {
    /// Every reason.
    pub const ALL: [DoorReason; 5] = [
        DoorReason::Blocked,
        DoorReason::UnknownClient,
        DoorReason::Total,
        DoorReason::Reserved,
        DoorReason::Client,
    ];

    /// The value of the `reason` label.
    pub fn label(self) -> &'static str {
        match self {
            DoorReason::Blocked => "blocked",
            DoorReason::UnknownClient => "unknown_client",
            DoorReason::Total => "total",
            DoorReason::Reserved => "reserved",
            DoorReason::Client => "client",
        }
    }
}

/// The look at a connection inside Pingora's accept loop.
///
/// It only looks: the places are taken by [`admit`], where the connection's guard lives, because
/// Pingora has no hook for a connection that ends between the two. What slips in meanwhile is
/// refused there.
#[derive(Debug)]
pub struct Filter {
    gate: Arc<Gate>,
    /// Connections that were let through and may not have taken their place yet.
    on_their_way: AtomicU32,
}

impl Filter {
    /// The look into this gate.
    pub fn new(gate: Arc<Gate>) -> Self {
        Filter {
            gate,
            on_their_way: AtomicU32::new(0),
        }
    }

    /// Lets the connections that are on their way arrive, before more are let through than there are
    /// places: a backlog is accepted faster than tasks start, and each connection holds a descriptor
    /// meanwhile. That is once in so many connections as places are free. Whether it was necessary.
    async fn waited_for_arrivals(&self) -> bool {
        let most = self.gate.policy.load().caps.total.get();
        let taken = self.gate.connections.get();
        if taken.saturating_add(self.on_their_way.load(Relaxed)) < most {
            return false;
        }
        // Runs after the tasks that the accept loop has spawned.
        tokio::task::yield_now().await;
        self.on_their_way.store(0, Relaxed);
        true
    }
}

#[async_trait]
impl ConnectionFilter for Filter {
    async fn should_accept(&self, peer: Option<&SocketAddr>) -> bool {
        let Some(peer) = peer else {
            return true;
        };
        let client = canonical(*peer);
        let mut looked = look(&self.gate, client);
        if looked.is_ok() && self.waited_for_arrivals().await {
            looked = look(&self.gate, client);
        }
        match looked {
            Ok(()) => {
                self.on_their_way.fetch_add(1, Relaxed);
                true
            }
            Err(reason) => {
                self.gate.account.refused_connection(reason);
                false
            }
        }
    }
}
