//! The streams of a connection that are being served.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

/// How many there are.
#[derive(Debug, Default)]
pub(super) struct Active {
    count: AtomicUsize,
    last: Notify,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Stream(Arc<Active>);

impl Active {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn begin(self: &Arc<Self>) -> Stream {
        self.count.fetch_add(1, AcqRel);
        Stream(self.clone())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.count.load(Acquire) == 0
    }

    /// Waits until there was none for so long. Only the connection's own task begins streams, and it
    /// waits anew after each.
    pub(super) async fn idle_for(&self, idle: Duration) {
        while !self.is_idle() {
            self.last.notified().await;
        }
        sleep(idle).await;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, AcqRel) == 1 {
            // Kept for a waiter that comes later, so that the last stream is never missed.
            self.0.last.notify_one();
        }
    }
}
