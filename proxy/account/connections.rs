//! Connections by whether they were let in, and how they ended.

use super::Closing;
use super::families::{Families, Values};
use super::sharded::Counters;
use crate::door::DoorReason;

/// Connections that were let in, and those that were not.
#[derive(Debug)]
pub(super) struct Connections {
    /// Those that were let in, then the others in the order of [`DoorReason::ALL`].
    begun: Counters,
    /// Those that have ended, in the order of [`Closing::ALL`].
    closed: Counters,
}

impl Default for Connections {
    fn default() -> Self {
        Connections {
            begun: Counters::new(1 + DoorReason::ALL.len()),
            closed: Counters::new(Closing::ALL.len()),
        }
    }
}

impl Connections {
    pub(super) fn accept(&self) {
        self.begun.increment(0);
    }

    pub(super) fn refuse(&self, reason: DoorReason) {
        self.begun.increment(1 + reason as usize);
    }

    pub(super) fn close(&self, closing: Closing) {
        self.closed.increment(closing as usize);
    }

    /// Let in, closed at the door.
    pub(super) fn totals(&self) -> [u64; 2] {
        let refused = DoorReason::ALL.map(|reason| self.refused(reason));
        [self.begun.get(0), refused.iter().sum()]
    }

    /// Closed at the door, by reason.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (DoorReason, u64)> {
        let all = DoorReason::ALL.into_iter();
        all.map(|reason| (reason, self.refused(reason)))
    }

    fn refused(&self, reason: DoorReason) -> u64 {
        self.begun.get(1 + reason as usize)
    }

    pub(super) fn families(&self, out: &mut Families) {
        let refused = |reason: DoorReason| (vec!["refused", reason.label()], self.refused(reason));
        let mut begun: Values = vec![(vec!["accepted", "none"], self.begun.get(0))];
        begun.extend(DoorReason::ALL.map(refused));
        out.counters(
            "connections_total",
            "Connections by whether they were let in. Refused ones were closed before a request was read, for the reason given.",
            &["outcome", "reason"],
            begun,
        );
        let closed = |closing: Closing| (vec![closing.label()], self.closed.get(closing as usize));
        out.counters(
            "connections_closed_total",
            "Connections that were let in and have ended, by what ended them.",
            &["reason"],
            Closing::ALL.map(closed).into(),
        );
    }
}
