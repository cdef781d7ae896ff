//! The servers of an upstream, and which of them a request goes to.
//!
//! A choice takes no lock and no memory: it goes round a list that is replaced whole, and looks at
//! atomics.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwap;

/// One address, and how it has been doing.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// Requests that are under way at it.
    in_flight: AtomicU32,
}

impl Server {
    fn new(address: SocketAddr) -> Self {
        Server {
            address,
            in_flight: AtomicU32::new(0),
        }
    }
}

/// A server that a request goes to, until it is dropped.
#[derive(Debug)]
pub struct Chosen {
    server: Arc<Server>,
    /// Whether it has begun to answer.
    pub answered: bool,
}

impl Chosen {
    fn new(server: &Arc<Server>) -> Self {
        server.in_flight.fetch_add(1, Relaxed);
        Chosen {
            server: server.clone(),
            answered: false,
        }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.server.in_flight.fetch_sub(1, Relaxed);
    }
}

/// The servers of one upstream.
#[derive(Debug, Default)]
pub(super) struct Servers {
    all: ArcSwap<Vec<Arc<Server>>>,
    turn: AtomicUsize,
}

impl Servers {
    /// Goes on with these addresses; who stays keeps what is known of it. Whether they are other ones.
    pub(super) fn replace(&self, addresses: &BTreeSet<SocketAddr>) -> bool {
        let before = self.all.load();
        if before.iter().map(|server| &server.address).eq(addresses) {
            return false;
        }
        let kept = |address: &SocketAddr| before.iter().find(|server| server.address == *address);
        let server = |address| {
            kept(address)
                .cloned()
                .unwrap_or_else(|| Arc::new(Server::new(*address)))
        };
        self.all
            .store(Arc::new(addresses.iter().map(server).collect()));
        true
    }

    pub(super) fn len(&self) -> usize {
        self.all.load().len()
    }

    /// Whether requests are under way at any of them.
    pub(super) fn are_busy(&self) -> bool {
        self.all
            .load()
            .iter()
            .any(|server| server.in_flight.load(Relaxed) > 0)
    }

    /// The next in turn that is not among those already tried.
    pub(super) fn choose(&self, tried: &[SocketAddr]) -> Option<Chosen> {
        let all = self.all.load();
        let start = self.turn.fetch_add(1, Relaxed);
        let (passed, server) = from(&all, start)
            .enumerate()
            .find(|(_, server)| !tried.contains(&server.address))?;
        if passed > 0 {
            // The one behind those passed over does not get their turns beside its own.
            self.turn.fetch_add(passed, Relaxed);
        }
        Some(Chosen::new(server))
    }

    /// Whether there is one that is not among those already tried.
    pub(super) fn has_another(&self, tried: &[SocketAddr]) -> bool {
        self.all
            .load()
            .iter()
            .any(|server| !tried.contains(&server.address))
    }
}

/// All of them once, beginning with the one whose turn it is.
fn from(all: &[Arc<Server>], turn: usize) -> impl Iterator<Item = &Arc<Server>> {
    let first = turn.checked_rem(all.len()).unwrap_or(0);
    all.iter().skip(first).chain(all.iter().take(first))
}
