//! Requests by how they ended, and how long they took.

use std::time::Duration;

use super::Outcome;
use super::families::{Distribution, Families, Values};
use super::sharded::Counters;
use crate::reason::Reason;

/// Upper bounds of the duration histogram, in seconds: refusals end in microseconds, the slowest
/// requests in their deadline.
const DURATIONS: [f64; 14] = [
    0.000_05, 0.000_2, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// Requests by how they ended, and how long they took.
#[derive(Debug, Default)]
pub(super) struct Requests {
    all: Ends,
    /// Those of known customers, once more.
    known: Ends,
    durations: Durations,
}

impl Requests {
    pub(super) fn add(&self, outcome: Outcome, duration: Duration, known: bool) {
        self.all.add(outcome);
        if known {
            self.known.add(outcome);
        }
        self.durations.add(outcome, duration);
    }

    /// All by how they ended.
    pub(super) fn ends(&self) -> impl Iterator<Item = (Outcome, u64)> {
        self.all.each()
    }

    /// Those of known customers.
    pub(super) fn known_ends(&self) -> impl Iterator<Item = (Outcome, u64)> {
        self.known.each()
    }

    /// Forwarded, refused, failed.
    pub(super) fn totals(&self) -> [u64; 3] {
        let refused = self.all.not_served(Reason::is_refusal);
        let failed = self.all.not_served(|reason| !reason.is_refusal());
        [self.all.forwarded(), refused, failed]
    }

    /// Those that the mode and the blocks let in: forwarded, refused all the same, and without an
    /// answer from their upstream.
    pub(super) fn let_in(&self) -> [u64; 3] {
        let refused = |reason: Reason| {
            reason.is_refusal() && !matches!(reason, Reason::UnknownClient | Reason::Blocked)
        };
        let failed = |reason: Reason| {
            matches!(
                reason,
                Reason::UpstreamUnresolved
                    | Reason::UpstreamConnect
                    | Reason::UpstreamTimeout
                    | Reason::UpstreamBroken
            )
        };
        let all = &self.all;
        [
            all.forwarded(),
            all.not_served(refused),
            all.not_served(failed),
        ]
    }

    pub(super) fn families(&self, out: &mut Families) {
        out.counters(
            "requests_total",
            "Requests by how they ended and why: forwarded (the whole response reached the client), refused (the gate said no, the app saw nothing), failed (the gate said yes, and it did not end well).",
            &["outcome", "reason"],
            self.all.values(),
        );
        out.counters(
            "known_requests_total",
            "Requests of known customers, by address or pass. Each is in tidegate_requests_total, too. These are who must be served in a flood.",
            &["outcome", "reason"],
            self.known.values(),
        );
        out.histograms(
            "request_duration_seconds",
            "From the complete head of a request to the end of its response. Of forwarded requests most of it is the app's; of refused ones all of it is the gate's own.",
            &["outcome"],
            self.durations.values(),
        );
    }
}

/// Requests by how they ended and why: those that were forwarded, then the others in the order of
/// [`Reason::ALL`].
#[derive(Debug)]
struct Ends(Counters);

impl Default for Ends {
    fn default() -> Self {
        Ends(Counters::new(1 + Reason::ALL.len()))
    }
}

impl Ends {
    fn add(&self, outcome: Outcome) {
        self.0.increment(Self::place(outcome));
    }

    fn place(outcome: Outcome) -> usize {
        match outcome {
            Outcome::Forwarded => 0,
            Outcome::Refused(reason) | Outcome::Failed(reason) => 1 + reason as usize,
        }
    }

    fn get(&self, outcome: Outcome) -> u64 {
        self.0.get(Self::place(outcome))
    }

    fn forwarded(&self) -> u64 {
        self.get(Outcome::Forwarded)
    }

    /// How many were not served for reasons that count.
    fn not_served(&self, counts: impl Fn(Reason) -> bool) -> u64 {
        let reasons = Reason::ALL.into_iter().filter(|reason| counts(*reason));
        reasons.map(|reason| self.get(Outcome::of(reason))).sum()
    }

    fn each(&self) -> impl Iterator<Item = (Outcome, u64)> {
        let others = Reason::ALL.into_iter().map(Outcome::of);
        let all = [Outcome::Forwarded].into_iter().chain(others);
        all.map(|outcome| (outcome, self.get(outcome)))
    }

    fn values(&self) -> Values<'static> {
        let values = self.each().map(|(outcome, count)| {
            let (label, reason) = outcome.labels();
            (vec![label, reason], count)
        });
        values.collect()
    }
}

/// How long requests took: of each outcome, one counter a bucket, what is above the last bound, and the
/// sum in microseconds.
#[derive(Debug)]
struct Durations(Counters);

const ABOVE: usize = DURATIONS.len();
const SUM: usize = ABOVE + 1;
const OF_AN_OUTCOME: usize = SUM + 1;

impl Default for Durations {
    fn default() -> Self {
        Durations(Counters::new(3 * OF_AN_OUTCOME))
    }
}

impl Durations {
    fn add(&self, outcome: Outcome, duration: Duration) {
        let first = match outcome {
            Outcome::Forwarded => 0,
            Outcome::Refused(_) => OF_AN_OUTCOME,
            Outcome::Failed(_) => 2 * OF_AN_OUTCOME,
        };
        let seconds = duration.as_secs_f64();
        let bucket = DURATIONS.partition_point(|bound| *bound < seconds);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.0.increment(first + bucket);
        self.0.add(first + SUM, micros);
    }

    fn values(&self) -> Vec<(Vec<&'static str>, Distribution)> {
        let outcomes = ["forwarded", "refused", "failed"].into_iter().enumerate();
        let values = outcomes.map(|(at, label)| (vec![label], self.of(at * OF_AN_OUTCOME)));
        values.collect()
    }

    fn of(&self, first: usize) -> Distribution {
        let buckets = DURATIONS.into_iter().enumerate();
        let buckets: Vec<_> = buckets
            .map(|(at, bound)| (bound, self.0.get(first + at)))
            .collect();
        let within: u64 = buckets.iter().map(|(_, count)| count).sum();
        Distribution {
            buckets,
            count: within + self.0.get(first + ABOVE),
            sum: self.0.get(first + SUM) as f64 / 1e6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_counted_where_it_is_shown() {
        let requests = Requests::default();
        let others = Reason::ALL.map(Outcome::of);
        for outcome in [Outcome::Forwarded].into_iter().chain(others) {
            requests.add(outcome, Duration::ZERO, false);
            assert_eq!(requests.all.get(outcome), 1, "{outcome:?}");
        }
        let total: u64 = requests.totals().iter().sum();
        assert_eq!(total, 1 + Reason::ALL.len() as u64);
        assert!(requests.all.values().iter().all(|(_, count)| *count == 1));
        assert!(requests.known.values().iter().all(|(_, count)| *count == 0));
    }

    #[test]
    fn a_duration_is_in_the_bucket_that_it_does_not_exceed() {
        let durations = Durations::default();
        for micros in [0, 50, 51, 30_000_000, 30_000_001] {
            durations.add(Outcome::Forwarded, Duration::from_micros(micros));
        }
        let told = durations.of(0);
        let counts: Vec<u64> = told.buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((told.count, told.sum), (5, 60.000_102));
        assert_eq!(durations.of(OF_AN_OUTCOME).count, 0);
    }
}
