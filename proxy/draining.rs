//! The end: requests under way are completed, and it takes no longer than configured.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::admin::End;
use crate::gate::Gate;
use crate::notify;

/// How long a connection may take that was accepted and is not counted yet: so long a process stays
/// at least that another one has replaced.
const UNCOUNTED: Duration = Duration::from_secs(1);

/// How long the service manager is to wait for another word, and after how much of that it gets one:
/// its own patience may be shorter than the deadline.
const PATIENCE: Duration = Duration::from_secs(20);
const WORD: Duration = Duration::from_secs(1);

/// Waits until every connection has ended, but no longer than the drain deadline, nor after a
/// second signal. The accept loops were told already.
pub fn drain(
    gate: &Gate,
    traffic: &Runtime,
    accepting: JoinHandle<()>,
    ends: &mpsc::Receiver<End>,
    end: End,
) {
    let limit = gate.policy.load().deadlines.drain;
    let began = Instant::now();
    let is_service = end == End::Signal;
    let (mut signals, least) = match end {
        End::Signal => {
            notify::stopping();
            notify::extend(PATIENCE);
            (1, Duration::ZERO)
        }
        // The service manager's first signal is for the process that serves: this one drains already.
        End::Superseded { .. } => (2, UNCOUNTED),
    };
    tracing::info!(
        "draining {} open connections for at most {limit:?}; signal again to stop at once",
        gate.connections.get()
    );
    traffic.block_on(async {
        // The accept loops end at once; their listeners are closed with them.
        let _ = tokio::time::timeout(limit, accepting).await;
        gate.closed.store(true, Relaxed);
        let mut told = began;
        while (gate.connections.get() > 0 || began.elapsed() < least)
            && began.elapsed() < limit
            && signals > 0
        {
            if is_service && told.elapsed() >= WORD {
                notify::extend(PATIENCE);
                told = Instant::now();
            }
            signals -= ends.try_iter().count().min(signals);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    match gate.connections.get() {
        0 => tracing::info!("drained; goodbye"),
        open => tracing::warn!("{open} connections are still open and are closed now"),
    }
}
