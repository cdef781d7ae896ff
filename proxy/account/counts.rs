//! What became of the lines that the gate might have written.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A request whose answer reached the client.
    Forwarded,
    /// A request that the gate refused.
    Refused,
    /// A request that did not end well.
    Failed,
    /// A connection that was closed at the door.
    Connection,
}

/// The lines of one class by what became of them. One that waits to be written is in none yet.
#[derive(Debug, Default)]
pub struct Tally {
    /// In the log.
    pub written: AtomicU64,
    /// Left out by the sample.
    pub sampled_out: AtomicU64,
    /// Left out by the budget.
    pub over_budget: AtomicU64,
    /// Lost to a full queue or to a disk that did not take them.
    pub lost: AtomicU64,
}

/// A [`Tally`] at some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tallied {
    /// In the log.
    pub written: u64,
    /// Left out by the sample.
    pub sampled_out: u64,
    /// Left out by the budget.
    pub over_budget: u64,
    /// Lost to a full queue or to a disk that did not take them.
    pub lost: u64,
}

/// All classes at some time, in the order of [`Class`].
pub(super) type Snapshot = [Tallied; 4];

/// What became of all lines, exactly.
#[derive(Debug, Default)]
pub struct Counts {
    classes: [Tally; 4],
    /// Bytes that were written, those of summaries included.
    pub written_bytes: AtomicU64,
    /// Bytes of lines over the budget.
    pub over_budget_bytes: AtomicU64,
    /// Bytes of lines that were lost.
    pub lost_bytes: AtomicU64,
}

impl Counts {
    /// The lines of one class.
    pub fn of(&self, class: Class) -> &Tally {
        let [forwarded, refused, failed, connection] = &self.classes;
        match class {
            Class::Forwarded => forwarded,
            Class::Refused => refused,
            Class::Failed => failed,
            Class::Connection => connection,
        }
    }

    /// A line is in the log.
    pub(super) fn written(&self, class: Class, bytes: usize) {
        self.of(class).written.fetch_add(1, Relaxed);
        self.written_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// A line is over the budget.
    pub(super) fn over_budget(&self, class: Class, bytes: usize) {
        self.of(class).over_budget.fetch_add(1, Relaxed);
        self.over_budget_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// A line is lost.
    pub(super) fn lost(&self, class: Class, bytes: usize) {
        self.of(class).lost.fetch_add(1, Relaxed);
        self.lost_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// All lines of the access log.
    pub fn access(&self) -> Tallied {
        let classes = self.snapshot().into_iter();
        classes.fold(Tallied::default(), Tallied::plus)
    }

    /// Each class as it is now.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.classes.each_ref().map(Tally::now)
    }
}

impl Tally {
    /// As it is now.
    pub fn now(&self) -> Tallied {
        Tallied {
            written: self.written.load(Relaxed),
            sampled_out: self.sampled_out.load(Relaxed),
            over_budget: self.over_budget.load(Relaxed),
            lost: self.lost.load(Relaxed),
        }
    }
}

impl Tallied {
    /// Whether everything was written.
    pub(super) fn is_whole(&self) -> bool {
        self.sampled_out + self.over_budget + self.lost == 0
    }

    pub(super) fn since(self, before: &Tallied) -> Tallied {
        Tallied {
            written: self.written.saturating_sub(before.written),
            sampled_out: self.sampled_out.saturating_sub(before.sampled_out),
            over_budget: self.over_budget.saturating_sub(before.over_budget),
            lost: self.lost.saturating_sub(before.lost),
        }
    }

    fn plus(self, other: Tallied) -> Tallied {
        Tallied {
            written: self.written + other.written,
            sampled_out: self.sampled_out + other.sampled_out,
            over_budget: self.over_budget + other.over_budget,
            lost: self.lost + other.lost,
        }
    }
}
