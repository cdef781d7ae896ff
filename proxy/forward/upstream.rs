//! One app behind the gate: its servers, whose turn it is, and how it has been doing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tidegate_config as config;
use tokio::runtime::Handle;

use super::Health;
use super::budget::Budget;
use super::checks::Checker;
use super::discovery::{Names, keep_resolved};
use super::servers::{Chosen, Servers};
use super::silence::Silence;
use super::standing::Rules;
use super::watch::watch;
use crate::clock;
use crate::reason::Reason;

/// An upstream as it is running: its addresses change, its counters stay.
#[derive(Debug)]
pub struct Upstream {
    pub(super) config: config::Upstream,
    pub(super) names: Names,
    servers: Servers,
    checkers: Mutex<BTreeMap<SocketAddr, Checker>>,
    retired: AtomicBool,
    silence: Silence,
    retries: Budget,
    addresses_changed_at: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
    last_success: AtomicU64,
    last_failure: AtomicU64,
}

impl Upstream {
    /// An upstream without addresses yet: see [`Upstream::start`]. It takes over what is known of the
    /// servers from the one that it replaces.
    pub fn new(config: &config::Upstream, before: Option<&Self>) -> Arc<Self> {
        Arc::new(Upstream {
            config: config.clone(),
            names: Names::new(config.servers.len()),
            servers: Servers::new(Rules::new(config), before.map(|before| &before.servers)),
            checkers: Mutex::default(),
            retired: AtomicBool::new(false),
            silence: Silence::new(clock::now()),
            retries: Budget::new(config.retries),
            addresses_changed_at: AtomicU64::new(0),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            last_success: AtomicU64::new(0),
            last_failure: AtomicU64::new(0),
        })
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Whether it was built from exactly this configuration, so that a reload can keep it.
    pub fn is_built_from(&self, config: &config::Upstream) -> bool {
        self.config == *config
    }

    /// Looks its names up, and after it, until it is retired or nobody holds it any more. `resolving` is dropped once
    /// each name has had its first look-up.
    pub fn start(self: &Arc<Self>, runtime: &Handle, resolving: &Sender<()>) {
        for place in self.config.servers.iter().cloned().enumerate() {
            let this = Arc::downgrade(self);
            runtime.spawn(keep_resolved(this, place, resolving.clone()));
        }
        runtime.spawn(watch(Arc::downgrade(self)));
    }

    /// Another one serves in its place. Requests that are under way hold it for as long as they take,
    /// which nobody has to look after it for.
    pub fn retire(&self) {
        self.retired.store(true, Relaxed);
        self.checkers().clear();
    }

    /// It, while it has to be looked after.
    pub(super) fn in_service(upstream: &Weak<Self>) -> Option<Arc<Self>> {
        let upstream = upstream.upgrade()?;
        let retired = upstream.retired.load(Relaxed);
        (!retired).then_some(upstream)
    }

    fn checkers(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Checker>> {
        self.checkers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spreads its requests over these addresses from now on.
    pub(super) fn spread_over(&self, addresses: &BTreeSet<SocketAddr>) {
        if !self.servers.replace(addresses) {
            return;
        }
        self.addresses_changed_at
            .store(clock::unix_seconds(), Relaxed);
        if let Some(check) = &self.config.health {
            self.check(check);
        }
    }

    /// Has each server checked, and no other one.
    fn check(&self, check: &config::HealthCheck) {
        let servers = self.servers.all();
        let checkers = servers.iter().map(|server| (server.address, server));
        let checkers: BTreeMap<_, _> = checkers.collect();
        let mut running = self.checkers();
        if self.retired.load(Relaxed) {
            return;
        }
        running.retain(|address, _| checkers.contains_key(address));
        for (address, server) in checkers {
            let start = || Checker::start(check.clone(), server.clone());
            running.entry(address).or_insert_with(start);
        }
    }

    /// A request is going to be sent.
    pub fn asked(&self) {
        self.silence.asked(clock::now());
        self.retries.asked();
    }

    /// The server whose turn it is, but for those already tried.
    pub fn choose(&self, tried: &[SocketAddr]) -> Option<Chosen> {
        self.servers.choose(tried)
    }

    /// Whether there is a server left to try.
    pub fn has_another(&self, tried: &[SocketAddr]) -> bool {
        self.servers.has_another(tried)
    }

    /// Records how one request at it ended, and whether there was an answer of its own.
    pub fn record(&self, failure: Option<Reason>, answered: bool) {
        self.silence.ended(answered, clock::now());
        let (counter, at) = match failure {
            None => (&self.succeeded, &self.last_success),
            Some(
                Reason::UpstreamUnresolved
                | Reason::UpstreamConnect
                | Reason::UpstreamTimeout
                | Reason::UpstreamBroken,
            ) => (&self.failed, &self.last_failure),
            // The client's doing says nothing about the upstream.
            Some(_) => return,
        };
        counter.fetch_add(1, Relaxed);
        at.store(clock::unix_seconds(), Relaxed);
    }

    /// Whether one more request may be sent once more; it is taken as done.
    pub fn take_retry(&self) -> bool {
        self.retries.take()
    }

    /// What has to be done once a second, so that no request has to.
    pub(super) fn tick(&self) {
        self.retries.tick();
        self.servers.forget(clock::now());
    }

    /// How it has been doing.
    pub fn health(&self) -> Health {
        let now = clock::now();
        let addresses = self.servers.health();
        let [retries, retries_refused] = self.retries.counts();
        let idle = match addresses.iter().any(|server| server.in_flight > 0) {
            true => Duration::ZERO,
            false => self.silence.idle(now),
        };
        let told = |time: Duration, from: Duration| (time >= from).then_some(time.as_secs());
        Health {
            addresses,
            resolved_at: self.names.resolved_at(),
            addresses_changed_at: self.addresses_changed_at.load(Relaxed),
            problem: self.names.problem(&self.config.servers),
            succeeded: self.succeeded.load(Relaxed),
            failed: self.failed.load(Relaxed),
            retries,
            retries_refused,
            last_success: self.last_success.load(Relaxed),
            last_failure: self.last_failure.load(Relaxed),
            silent_seconds: told(self.silence.silent(), self.config.silent_after),
            idle_seconds: told(idle, self.config.idle_after),
        }
    }
}
