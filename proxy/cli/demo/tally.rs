//! What the demo's senders saw: counted by line of the story and by act.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use parking_lot::Mutex;

/// The parts of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Act {
    /// No flood yet.
    Calm,
    /// The flood, in `normal`.
    Flood,
    /// The first moments of `known-only`, in which the app works off what was let in before.
    Switch,
    /// The flood, in `known-only`.
    KnownOnly,
    /// The flood, while the gate tries to open again.
    Reopening,
    /// No flood any more, while it opens again.
    After,
}

impl Act {
    /// All of them, in order.
    pub(super) const ALL: [Act; 6] = [
        Act::Calm,
        Act::Flood,
        Act::Switch,
        Act::KnownOnly,
        Act::Reopening,
        Act::After,
    ];

    /// Lines that it takes, each a second at the usual pace. What ends by what the gate does takes none by
    /// itself.
    pub(super) fn lines(self) -> u32 {
        match self {
            Act::Calm => 4,
            Act::Flood => 6,
            Act::Switch => 2,
            Act::KnownOnly => 4,
            Act::Reopening | Act::After => 0,
        }
    }
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Party {
    Customers,
    Visitors,
    Flood,
}

/// Requests of one party.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) sent: u64,
    /// Answered by the app.
    pub(super) served: u64,
    /// 429.
    pub(super) limited: u64,
    /// 503.
    pub(super) refused: u64,
    /// Any other answer, or none.
    pub(super) lost: u64,
    /// How long those took that were served.
    times: Vec<Duration>,
}

impl Counts {
    fn add(&mut self, status: Option<StatusCode>, time: Duration) {
        match status {
            Some(status) if status.is_success() => {
                self.served += 1;
                self.times.push(time);
            }
            Some(StatusCode::TOO_MANY_REQUESTS) => self.limited += 1,
            Some(StatusCode::SERVICE_UNAVAILABLE) => self.refused += 1,
            _ => self.lost += 1,
        }
    }

    /// Requests that were sent and not served, those without an answer so far included.
    pub(super) fn failed(&self) -> u64 {
        self.sent.saturating_sub(self.served)
    }

    /// The share of the answers that were refusals.
    pub(super) fn refused_share(&self) -> Option<f64> {
        let refused = self.limited + self.refused;
        let answered = refused + self.served + self.lost;
        (answered > 0).then(|| refused as f64 / answered as f64)
    }

    /// The time within which this many in a hundred were served.
    pub(super) fn percentile(&self, percent: usize) -> Option<Duration> {
        let mut times = self.times.clone();
        times.sort_unstable();
        let rank = (times.len() * percent).div_ceil(100);
        times.get(rank.checked_sub(1)?).copied()
    }
}

/// A request under way.
pub(super) struct Ticket {
    party: Party,
    act: Option<Act>,
    sent: Instant,
}

/// The counts, shared by everybody who sends.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    act: Option<Act>,
    /// What was answered since the last line, by party.
    line: BTreeMap<Party, Counts>,
    /// What was sent in each act, however late the answer.
    acts: BTreeMap<(Act, Party), Counts>,
}

impl Tally {
    /// What is sent from now on belongs to this act; with `None`, to none, and is not counted.
    pub(super) fn enter(&self, act: Option<Act>) {
        self.0.lock().act = act;
    }

    pub(super) fn sent(&self, party: Party) -> Ticket {
        let mut books = self.0.lock();
        let act = books.act;
        if let Some(act) = act {
            books.acts.entry((act, party)).or_default().sent += 1;
        }
        Ticket {
            party,
            act,
            sent: Instant::now(),
        }
    }

    pub(super) fn answered(&self, ticket: Ticket, status: Option<StatusCode>) {
        let Some(act) = ticket.act else {
            return;
        };
        let time = ticket.sent.elapsed();
        let mut books = self.0.lock();
        let line = books.line.entry(ticket.party).or_default();
        line.add(status, time);
        let acts = books.acts.entry((act, ticket.party)).or_default();
        acts.add(status, time);
    }

    /// What was answered since the last time this was asked.
    pub(super) fn line(&self) -> BTreeMap<Party, Counts> {
        std::mem::take(&mut self.0.lock().line)
    }

    /// What one party sent in one act.
    pub(super) fn of(&self, act: Act, party: Party) -> Counts {
        let books = self.0.lock();
        books.acts.get(&(act, party)).cloned().unwrap_or_default()
    }

    /// Requests that one party sent, and those of them that were not served.
    pub(super) fn total(&self, party: Party) -> (u64, u64) {
        let counts = Act::ALL.map(|act| self.of(act, party));
        let sent = counts.iter().map(|counts| counts.sent).sum();
        (sent, counts.iter().map(Counts::failed).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let mut counts = Counts::default();
        assert_eq!(counts.percentile(50), None);
        for ms in [3, 1, 4, 2] {
            counts.add(Some(StatusCode::OK), Duration::from_millis(ms));
        }
        assert_eq!(counts.percentile(50), Some(Duration::from_millis(2)));
        assert_eq!(counts.percentile(99), Some(Duration::from_millis(4)));
    }

    #[test]
    fn an_answer_counts_for_the_act_in_which_its_request_was_sent() {
        let tally = Tally::default();
        tally.enter(Some(Act::Calm));
        let ticket = tally.sent(Party::Customers);
        tally.enter(Some(Act::Flood));
        assert_eq!(tally.total(Party::Customers), (1, 1), "no answer so far");
        tally.answered(ticket, Some(StatusCode::OK));
        assert_eq!(tally.of(Act::Calm, Party::Customers).served, 1);
        assert_eq!(tally.of(Act::Flood, Party::Customers).served, 0);
        assert_eq!(tally.total(Party::Customers), (1, 0));
    }
}
