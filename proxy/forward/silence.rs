//! Whether an upstream is asked, and whether it answers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tidegate_limit::Now;

/// When an upstream was last asked, and since when it has not answered.
#[derive(Debug)]
pub(super) struct Silence {
    /// Its beginning at first; then when a request last began or ended.
    asked_at: AtomicU64,
    /// Zero while it answers.
    unanswered_since: AtomicU64,
}

impl Silence {
    pub(super) fn new(now: Now) -> Self {
        Silence {
            asked_at: AtomicU64::new(now.as_nanos()),
            unanswered_since: AtomicU64::new(0),
        }
    }

    pub(super) fn asked(&self, now: Now) {
        self.asked_at.store(now.as_nanos(), Relaxed);
    }

    /// A request has ended, with an answer or without one.
    pub(super) fn ended(&self, answered: bool, now: Now) {
        self.asked(now);
        let since = self.unanswered_since.load(Relaxed);
        if answered && since != 0 {
            self.unanswered_since.store(0, Relaxed);
        } else if !answered && since == 0 {
            // Of two at a time either will do.
            self.unanswered_since.store(now.as_nanos().max(1), Relaxed);
        }
    }

    /// For how long it has not answered, though it was asked: up to the last time that it was.
    pub(super) fn silent(&self) -> Duration {
        match self.unanswered_since.load(Relaxed) {
            0 => Duration::ZERO,
            since => between(since, Now::from_nanos(self.asked_at.load(Relaxed))),
        }
    }

    /// For how long nobody has asked it.
    pub(super) fn idle(&self, now: Now) -> Duration {
        between(self.asked_at.load(Relaxed), now)
    }
}

fn between(then: u64, now: Now) -> Duration {
    Duration::from_nanos(now.as_nanos().saturating_sub(then))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn silence_counts_from_the_first_request_without_an_answer_to_the_next_with_one() {
        let silence = Silence::new(at(0));
        assert_eq!(silence.silent(), Duration::ZERO, "nobody has asked");
        silence.ended(true, at(100));
        silence.ended(false, at(110));
        assert_eq!(silence.silent(), Duration::ZERO, "one, and then nobody");
        silence.ended(false, at(120));
        silence.asked(at(130));
        assert_eq!(silence.silent().as_secs(), 20);
        silence.ended(true, at(140));
        assert_eq!(silence.silent(), Duration::ZERO);
    }

    #[test]
    fn it_is_idle_from_its_beginning_and_from_each_request() {
        let silence = Silence::new(at(10));
        assert_eq!(silence.idle(at(30)).as_secs(), 20);
        silence.asked(at(30));
        assert_eq!(silence.idle(at(31)).as_secs(), 1);
        silence.ended(true, at(1000));
        assert_eq!(silence.idle(at(1001)).as_secs(), 1, "a tunnel has ended");
    }
}
