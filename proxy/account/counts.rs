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
    /// What the gate itself says, which is not in the access log.
    Message,
}

/// The lines of one class by what became of them. One that waits to be written is in none yet.
#[derive(Debug, Default)]
pub struct Tally {
    written: Amount,
    sampled_out: AtomicU64,
    over_budget: Amount,
    lost: Amount,
}

/// Lines and their bytes.
#[derive(Debug, Default)]
struct Amount {
    lines: AtomicU64,
    bytes: AtomicU64,
}

/// A [`Tally`] at some time: lines, and bytes in the same order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tallied {
    /// Written.
    pub written: u64,
    /// Left out by the sample; of messages those that were repeated.
    pub sampled_out: u64,
    /// Left out by the budget.
    pub over_budget: u64,
    /// Lost to a full queue or to a disk that did not take them.
    pub lost: u64,
    /// Bytes that were written, were over the budget, and were lost.
    #[serde(skip)]
    pub bytes: [u64; 3],
}

/// Each class at some time, in the order of [`Class`].
pub(super) type Snapshot = [Tallied; 5];

/// What became of all lines, exactly.
#[derive(Debug, Default)]
pub struct Counts {
    classes: [Tally; 5],
    /// Bytes of the summaries in the access log.
    pub(super) summaries: AtomicU64,
}

impl Counts {
    /// The lines of one class.
    pub fn of(&self, class: Class) -> &Tally {
        let [forwarded, refused, failed, connection, message] = &self.classes;
        match class {
            Class::Forwarded => forwarded,
            Class::Refused => refused,
            Class::Failed => failed,
            Class::Connection => connection,
            Class::Message => message,
        }
    }

    /// All outcomes that the access log tells of. Bytes of its summaries are among those written.
    pub fn access(&self) -> Tallied {
        let [outcomes @ .., _] = self.snapshot();
        let mut access = outcomes.into_iter().fold(Tallied::default(), Tallied::plus);
        let [written, ..] = &mut access.bytes;
        *written += self.summaries.load(Relaxed);
        access
    }

    /// Each class as it is now.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.classes.each_ref().map(Tally::now)
    }
}

impl Amount {
    fn add(&self, bytes: usize) {
        self.lines.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }
}

impl Tally {
    /// A line is where it belongs.
    pub(super) fn written(&self, bytes: usize) {
        self.written.add(bytes);
    }

    /// There is no line, as the sample says so.
    pub(super) fn sampled_out(&self) {
        self.sampled_out.fetch_add(1, Relaxed);
    }

    /// A line is over the budget.
    pub(super) fn over_budget(&self, bytes: usize) {
        self.over_budget.add(bytes);
    }

    /// A line is lost.
    pub(super) fn lost(&self, bytes: usize) {
        self.lost.add(bytes);
    }

    /// As it is now.
    pub fn now(&self) -> Tallied {
        let [written, over_budget, lost] = [&self.written, &self.over_budget, &self.lost];
        let lines = |amount: &Amount| amount.lines.load(Relaxed);
        Tallied {
            written: lines(written),
            sampled_out: self.sampled_out.load(Relaxed),
            over_budget: lines(over_budget),
            lost: lines(lost),
            bytes: [written, over_budget, lost].map(|amount| amount.bytes.load(Relaxed)),
        }
    }
}

impl Tallied {
    /// Whether everything was written.
    pub fn is_whole(&self) -> bool {
        self.sampled_out + self.over_budget + self.lost == 0
    }

    /// What came since then.
    pub(super) fn since(self, before: Tallied) -> Tallied {
        self.with(before, u64::saturating_sub)
    }

    fn plus(self, other: Tallied) -> Tallied {
        self.with(other, u64::saturating_add)
    }

    fn with(self, other: Tallied, each: fn(u64, u64) -> u64) -> Tallied {
        let [written, over_budget, lost] = self.bytes;
        let [others_written, others_over_budget, others_lost] = other.bytes;
        Tallied {
            written: each(self.written, other.written),
            sampled_out: each(self.sampled_out, other.sampled_out),
            over_budget: each(self.over_budget, other.over_budget),
            lost: each(self.lost, other.lost),
            bytes: [
                each(written, others_written),
                each(over_budget, others_over_budget),
                each(lost, others_lost),
            ],
        }
    }
}
