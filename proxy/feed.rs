//! The way of events from requests to a thread: bounded, and never waited for.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Where events go in. The other end looks again and again and never sleeps in the queue: to wake it would
/// take a lock.
#[derive(Debug)]
pub struct Feed<T> {
    queue: SyncSender<T>,
    missed: AtomicU64,
}

impl<T> Feed<T> {
    /// One with room for so many that wait, and where they arrive.
    pub fn new(room: usize) -> (Self, Receiver<T>) {
        let (queue, arrivals) = sync_channel(room);
        let missed = AtomicU64::new(0);
        (Feed { queue, missed }, arrivals)
    }

    /// Hands over an event that stands for so many; whether there was room for it. No lock and no
    /// allocation.
    pub fn send(&self, event: T, stands_for: u32) -> bool {
        let is_sent = self.queue.try_send(event).is_ok();
        if !is_sent {
            self.missed.fetch_add(stands_for.into(), Relaxed);
        }
        is_sent
    }

    /// For how many those stood for which there was no room.
    pub fn missed(&self) -> u64 {
        self.missed.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted() {
        let (feed, arrivals) = Feed::new(2);
        let sent = [1, 8, 64].map(|stands_for| feed.send(stands_for, stands_for));
        assert_eq!((sent, feed.missed()), ([true, true, false], 64));
        assert_eq!(arrivals.try_iter().collect::<Vec<_>>(), [1, 8]);
        assert!(feed.send(2, 2));
    }
}
