//! What became of the lines that the gate might have written.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use super::sharded::Counters;

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

impl Class {
    /// Every class, in the order of declaration.
    const ALL: [Class; 5] = [
        Class::Forwarded,
        Class::Refused,
        Class::Failed,
        Class::Connection,
        Class::Message,
    ];
}

/// The lines of one class by what became of them. One that waits to be written is in none yet.
#[derive(Clone, Copy, Debug)]
pub struct Tally<'counts> {
    counters: &'counts Counters,
    /// The number of its first counter.
    first: usize,
}

/// What became of a line. Its bytes are counted behind it, but for one that there is not.
#[derive(Clone, Copy)]
enum Fate {
    Written = 0,
    OverBudget = 2,
    Lost = 4,
    SampledOut = 6,
}

/// Counters of a class.
const OF_A_CLASS: usize = 7;

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
#[derive(Debug)]
pub struct Counts {
    lines: Counters,
    /// Bytes of the summaries in the access log.
    pub(super) summaries: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        Counts {
            lines: Counters::new(Class::ALL.len() * OF_A_CLASS),
            summaries: AtomicU64::default(),
        }
    }
}

impl Counts {
    /// The lines of one class.
    pub fn of(&self, class: Class) -> Tally<'_> {
        Tally {
            counters: &self.lines,
            first: class as usize * OF_A_CLASS,
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
        Class::ALL.map(|class| self.of(class).now())
    }
}

impl Tally<'_> {
    /// A line is where it belongs.
    pub(super) fn written(self, bytes: usize) {
        self.add(Fate::Written, bytes);
    }

    /// There is no line, as the sample says so.
    pub(super) fn sampled_out(self) {
        self.counters
            .increment(self.first + Fate::SampledOut as usize);
    }

    /// A line is over the budget.
    pub(super) fn over_budget(self, bytes: usize) {
        self.add(Fate::OverBudget, bytes);
    }

    /// A line is lost.
    pub(super) fn lost(self, bytes: usize) {
        self.add(Fate::Lost, bytes);
    }

    fn add(self, fate: Fate, bytes: usize) {
        let lines = self.first + fate as usize;
        self.counters.increment(lines);
        self.counters.add(lines + 1, bytes as u64);
    }

    /// As it is now.
    pub fn now(self) -> Tallied {
        let lines = |fate: Fate| self.counters.get(self.first + fate as usize);
        let bytes = |fate: Fate| self.counters.get(self.first + fate as usize + 1);
        Tallied {
            written: lines(Fate::Written),
            sampled_out: lines(Fate::SampledOut),
            over_budget: lines(Fate::OverBudget),
            lost: lines(Fate::Lost),
            bytes: [Fate::Written, Fate::OverBudget, Fate::Lost].map(bytes),
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
