//! One app behind the gate: its servers, whose turn it is, and how it has been doing.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use pingora_load_balancing::{Backends, LoadBalancer, selection::RoundRobin};
use serde::{Deserialize, Serialize};
use tidegate_config as config;
use tokio::runtime::Handle;

use super::discovery::{Discovery, Names};
use crate::clock;
use crate::reason::Reason;

/// An upstream as it is running: its addresses change, its counters stay.
pub struct Upstream {
    config: config::Upstream,
    balancer: LoadBalancer<RoundRobin>,
    names: Arc<Names>,
    succeeded: AtomicU64,
    failed: AtomicU64,
    last_success: AtomicU64,
    last_failure: AtomicU64,
}

/// How an upstream has been doing, for `status` and metrics.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Health {
    /// Addresses that requests are spread over.
    pub servers: usize,
    /// When all of its names last had an answer; seconds since the epoch, zero for never.
    pub resolved_at: u64,
    /// What is wrong with its names.
    pub problem: Option<String>,
    /// Requests that it answered.
    pub succeeded: u64,
    /// Requests that it did not answer.
    pub failed: u64,
    /// When it last answered; seconds since the epoch, zero for never.
    pub last_success: u64,
    /// When it last failed to; seconds since the epoch, zero for never.
    pub last_failure: u64,
}

impl Upstream {
    /// An upstream without addresses yet: see [`Upstream::resolve`].
    pub fn new(config: &config::Upstream) -> Arc<Self> {
        let names = Arc::new(Names::default());
        let discovery = Discovery {
            servers: config.servers.clone(),
            names: names.clone(),
        };
        Arc::new(Upstream {
            config: config.clone(),
            balancer: LoadBalancer::from_backends(Backends::new(Box::new(discovery))),
            names,
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

    /// Looks its names up. Addresses that were known stay when there is no answer.
    pub async fn resolve(&self) {
        let before = self.names.problem();
        // A failure is in `names`, for the status and the metrics.
        let _ = self.balancer.update().await;
        match (before, self.names.problem()) {
            (None, Some(problem)) => tracing::warn!(
                upstream = self.name(),
                "cannot resolve {problem}; {} known addresses stay in use",
                self.health().servers
            ),
            (Some(_), None) => tracing::info!(upstream = self.name(), "resolved again"),
            _ => {}
        }
    }

    /// Looks its names up on its schedule for as long as anybody holds it.
    pub fn keep_resolved(self: &Arc<Self>, runtime: &Handle) {
        let every = self.config.resolve_every;
        runtime.spawn(resolve_on_schedule(Arc::downgrade(self), every));
    }

    /// The next server in turn that is not among those already tried.
    pub fn pick(&self, tried: &[SocketAddr]) -> Option<SocketAddr> {
        let address = |backend: &pingora_load_balancing::Backend| backend.addr.as_inet().copied();
        self.balancer
            .select_with(b"", 256, |backend, ready| {
                ready && address(backend).is_some_and(|address| !tried.contains(&address))
            })
            .and_then(|backend| address(&backend))
    }

    /// Records how one request at it ended.
    pub fn record(&self, failure: Option<Reason>) {
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

    /// How it has been doing.
    pub fn health(&self) -> Health {
        Health {
            servers: self.balancer.backends().get_backend().len(),
            resolved_at: self.names.resolved_at(),
            problem: self.names.problem(),
            succeeded: self.succeeded.load(Relaxed),
            failed: self.failed.load(Relaxed),
            last_success: self.last_success.load(Relaxed),
            last_failure: self.last_failure.load(Relaxed),
        }
    }
}

async fn resolve_on_schedule(upstream: Weak<Upstream>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        match upstream.upgrade() {
            Some(upstream) => upstream.resolve().await,
            None => return,
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
