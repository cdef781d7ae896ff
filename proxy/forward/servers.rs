//! The servers of an upstream, and which of them a request goes to.
//!
//! A choice takes no lock and no memory: it goes round a list that is replaced whole, and looks at
//! atomics.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tidegate_config::Balance;
use tidegate_limit::Now;

use super::health::ServerHealth;
use super::standing::{Record, Rules, Standing, State};

/// Servers that are compared for the least loaded: all of a few, and of many enough to miss those that
/// are overloaded.
const COMPARED: u32 = 8;

/// How a server is doing, whatever the configuration says of it in the meantime.
#[derive(Debug, Default)]
struct Vitals {
    record: Record,
    /// What its health check found wrong.
    problem: Mutex<Option<String>>,
    /// Requests that are under way at it.
    in_flight: AtomicU32,
}

impl Vitals {
    fn problem(&self) -> MutexGuard<'_, Option<String>> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One address, by what it is judged, and how it is doing.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    rules: Rules,
    vitals: Arc<Vitals>,
}

impl Server {
    fn standing(&self) -> Standing {
        self.vitals.record.standing(&self.rules)
    }

    /// What its health check found, if anything is wrong with it.
    pub(super) fn found(&self, problem: Option<String>) {
        let is_well = problem.is_none();
        *self.vitals.problem() = problem;
        self.vitals.record.found(is_well);
    }

    fn health(&self) -> ServerHealth {
        let (state, back_in) = match self.standing() {
            Standing::In => (State::Available, None),
            Standing::Warming(_) => (State::SlowStart, None),
            Standing::Out(time) => (State::Ejected, Some(time.as_secs())),
            Standing::Unwell => (State::Unhealthy, None),
        };
        let problem = self.vitals.problem().clone();
        ServerHealth {
            address: self.address,
            state,
            back_in_seconds: back_in,
            problem: problem.filter(|_| state == State::Unhealthy),
            in_flight: self.vitals.in_flight.load(Relaxed),
        }
    }
}

/// A server that a request goes to, until it is dropped.
#[derive(Debug)]
pub struct Chosen(Arc<Server>);

impl Chosen {
    fn new(server: &Arc<Server>) -> Self {
        server.vitals.in_flight.fetch_add(1, Relaxed);
        Chosen(server.clone())
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// It took the connection.
    pub fn connected(&self) {
        self.0.vitals.record.connected();
    }

    /// It did not.
    pub fn failed(&self) {
        self.0.vitals.record.failed(&self.0.rules);
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.0.vitals.in_flight.fetch_sub(1, Relaxed);
    }
}

/// The servers of one upstream.
#[derive(Debug)]
pub(super) struct Servers {
    rules: Rules,
    all: ArcSwap<Vec<Arc<Server>>>,
    /// Those that served before the configuration changed.
    before: Arc<Vec<Arc<Server>>>,
    turn: AtomicUsize,
}

impl Servers {
    /// No servers yet; those who come and were among `before` go on as they were.
    pub(super) fn new(rules: Rules, before: Option<&Servers>) -> Self {
        Servers {
            rules,
            all: ArcSwap::default(),
            before: before.map(Servers::all).unwrap_or_default(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Goes on with these addresses; who stays keeps what is known of it. Whether they are other ones.
    pub(super) fn replace(&self, addresses: &BTreeSet<SocketAddr>) -> bool {
        let all = self.all.load();
        if all.iter().map(|server| &server.address).eq(addresses) {
            return false;
        }
        let server = |address: &SocketAddr| {
            let mut known = all.iter().chain(self.before.iter());
            let known = known.find(|server| server.address == *address);
            Arc::new(Server {
                address: *address,
                rules: self.rules,
                vitals: known.map_or_else(Arc::default, |server| server.vitals.clone()),
            })
        };
        self.all
            .store(Arc::new(addresses.iter().map(server).collect()));
        true
    }

    /// All of them.
    pub(super) fn all(&self) -> Arc<Vec<Arc<Server>>> {
        self.all.load_full()
    }

    /// How each has been doing.
    pub(super) fn health(&self) -> Vec<ServerHealth> {
        self.all.load().iter().map(|one| one.health()).collect()
    }

    /// Forgets what is long over.
    pub(super) fn forget(&self, now: Now) {
        for server in self.all.load().iter() {
            server.vitals.record.forget(&server.rules, now);
        }
    }

    /// The next in turn that is not among those already tried, or the least loaded of the next few. One
    /// that is out gets a request only when all are out.
    pub(super) fn choose(&self, tried: &[SocketAddr]) -> Option<Chosen> {
        let all = self.all.load();
        let start = self.turn.fetch_add(1, Relaxed);
        let mut all_are_out = true;
        let (mut warming, mut out) = (None, None);
        let mut best = Best::of(self.rules.balance);
        for (passed, server) in from(&all, start).enumerate() {
            let standing = server.standing();
            all_are_out &= standing.is_out();
            if tried.contains(&server.address) {
                continue;
            }
            let its_turn = match standing {
                Standing::In => true,
                Standing::Warming(share) => fastrand::f32() < share,
                Standing::Out(_) | Standing::Unwell => false,
            };
            if its_turn {
                if best.is_none() && passed > 0 {
                    // The one behind those passed over does not get their turns beside its own.
                    self.turn.fetch_add(passed, Relaxed);
                }
                if best.is_found_with(server) {
                    break;
                }
            } else if standing.is_out() {
                out.get_or_insert(server);
            } else {
                warming.get_or_insert(server);
            }
        }
        let last = out.filter(|_| all_are_out);
        best.server.or(warming).or(last).map(Chosen::new)
    }

    /// Whether a request that has tried these has another one to try.
    pub(super) fn has_another(&self, tried: &[SocketAddr]) -> bool {
        let all = self.all.load();
        let is_out = |server: &Arc<Server>| server.standing().is_out();
        let all_are_out = all.iter().all(is_out);
        let untried = |server: &&Arc<Server>| !tried.contains(&server.address);
        let mut left = all.iter().filter(untried);
        left.any(|server| all_are_out || !is_out(server))
    }
}

/// All of them once, beginning with the one whose turn it is.
fn from(all: &[Arc<Server>], turn: usize) -> impl Iterator<Item = &Arc<Server>> {
    let first = turn.checked_rem(all.len()).unwrap_or(0);
    all.iter().skip(first).chain(all.iter().take(first))
}

/// The best of the servers that were looked at.
struct Best<'all> {
    server: Option<&'all Arc<Server>>,
    load: u32,
    left: u32,
}

impl<'all> Best<'all> {
    fn of(balance: Balance) -> Self {
        Best {
            server: None,
            load: u32::MAX,
            left: match balance {
                Balance::RoundRobin => 1,
                Balance::LeastLoaded => COMPARED,
            },
        }
    }

    fn is_none(&self) -> bool {
        self.server.is_none()
    }

    /// Looks at one more; whether that is enough. Of equals the first stays, so that they take turns.
    fn is_found_with(&mut self, server: &'all Arc<Server>) -> bool {
        let load = server.vitals.in_flight.load(Relaxed);
        if self.is_none() || load < self.load {
            (self.server, self.load) = (Some(server), load);
        }
        self.left = self.left.saturating_sub(1);
        self.left == 0
    }
}
