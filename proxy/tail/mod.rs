//! What is decided, as it happens, for operators who look on.
//!
//! While nobody does, an outcome costs one look at a flag. While somebody does, it is put into a bounded
//! queue, with neither a lock nor an allocation; what finds the queue full is counted. The admin side takes
//! it from there, looks whom it is for, and forms lines (`admin/tails.rs`).

mod event;
mod filter;

pub use event::Event;
pub use filter::{Filter, TailQuery};

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::Receiver;

use crate::feed::Feed;
use crate::in_force::InForce;

/// Outcomes that may wait to be taken over: those of 20 ms at 200,000 a second. They take 2.4 MiB, while
/// somebody looks on.
const QUEUE: usize = 4096;

/// The way of outcomes to who looks on.
#[derive(Debug, Default)]
pub struct Tail {
    is_looked_at: AtomicBool,
    feed: InForce<Option<Feed<Event>>>,
}

impl Tail {
    /// Shows an outcome to who looks on.
    pub fn show(&self, event: impl FnOnce() -> Event) {
        if !self.is_looked_at.load(Relaxed) {
            return;
        }
        if let Some(feed) = self.feed.load().as_ref() {
            feed.send(event(), 1);
        }
    }

    /// Begins, and gives where outcomes arrive. May take a moment.
    pub fn open(&self) -> Receiver<Event> {
        let (feed, events) = Feed::new(QUEUE);
        self.feed.replace(|| Some(feed));
        self.is_looked_at.store(true, Relaxed);
        events
    }

    /// Ends it. May take a moment.
    pub fn close(&self) {
        self.is_looked_at.store(false, Relaxed);
        self.feed.replace(|| None);
    }

    /// Outcomes that came faster than they were taken over, since it began.
    pub fn missed(&self) -> u64 {
        self.feed.load().as_ref().as_ref().map_or(0, Feed::missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::DoorReason;

    fn event() -> Event {
        let listener = ([127, 0, 0, 1], 80).into();
        Event::connection(DoorReason::Blocked, [192, 0, 2, 1].into(), listener)
    }

    #[test]
    fn outcomes_arrive_while_somebody_looks_and_what_is_too_much_is_counted() {
        let tail = Tail::default();
        tail.show(|| panic!("nobody looks"));
        let events = tail.open();
        (0..QUEUE + 7).for_each(|_| tail.show(event));
        assert_eq!((events.try_iter().count(), tail.missed()), (QUEUE, 7));
        tail.close();
        tail.show(|| panic!("nobody looks any more"));
        assert_eq!(events.try_iter().count(), 0);
    }
}
