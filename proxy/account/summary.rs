//! What the log does not have, in a line of its own: once in ten seconds, when there was something.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::allowance::Allowance;
use super::counts::{Snapshot, Tallied};

/// Between two summaries.
const EVERY: Duration = Duration::from_secs(10);

/// All that became of lines, and of messages, since the last one, exactly: also of those that were written, so that the
/// counts of a time with a summary stand in it alone.
#[derive(Debug, Serialize)]
struct Line {
    time: jiff::Timestamp,
    #[serde(rename = "event.name")]
    event: &'static str,
    seconds: f64,
    forwarded: Tallied,
    refused: Tallied,
    failed: Tallied,
    connections: Tallied,
    messages: Tallied,
}

/// Tells of what was held back.
#[derive(Debug)]
pub(super) struct Summary {
    allowance: Arc<Allowance>,
    told: Snapshot,
    since: Instant,
}

/// A summary that is not written yet.
#[derive(Debug)]
pub(super) struct Due {
    /// Its line.
    pub(super) line: Vec<u8>,
    upto: Snapshot,
    now: Instant,
}

impl Summary {
    /// Of what becomes of lines from now on.
    pub(super) fn new(allowance: Arc<Allowance>) -> Self {
        Summary {
            told: allowance.counts.snapshot(),
            allowance,
            since: Instant::now(),
        }
    }

    /// Whether the time has come.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= EVERY
    }

    /// What was held back since the last one; nothing when everything was written.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        let upto = self.allowance.counts.snapshot();
        let news = since(&self.told, &upto);
        if news.iter().all(Tallied::is_whole) {
            (self.told, self.since) = (upto, now);
            return None;
        }
        let [forwarded, refused, failed, connections, messages] = news;
        let passed = now.saturating_duration_since(self.since);
        let mut line = serde_json::to_vec(&Line {
            time: jiff::Timestamp::now(),
            event: "log.summary",
            seconds: (passed.as_secs_f64() * 1000.0).round() / 1000.0,
            forwarded,
            refused,
            failed,
            connections,
            messages,
        })
        .ok()?;
        line.push(b'\n');
        Some(Due { line, upto, now })
    }

    /// It is in the log. What is not, is told with the next one.
    pub(super) fn told(&mut self, due: Due) {
        (self.told, self.since) = (due.upto, due.now);
    }
}

fn since(before: &Snapshot, now: &Snapshot) -> Snapshot {
    let mut since = *now;
    for (now, before) in since.iter_mut().zip(before) {
        *now = now.since(*before);
    }
    since
}

#[cfg(test)]
mod tests {
    use super::super::counts::Class;
    use super::*;

    fn line(due: &Due) -> serde_json::Value {
        serde_json::from_slice(&due.line).unwrap()
    }

    #[test]
    fn nothing_is_told_of_a_time_in_which_everything_was_written() {
        let allowance = Allowance::new(1024);
        let mut summary = Summary::new(allowance.clone());
        let of = |class| allowance.counts.of(class);
        let later = summary.since + EVERY;
        assert!(!summary.is_due(later - Duration::from_millis(1)) && summary.is_due(later));
        of(Class::Failed).written(10);
        assert!(summary.due(later).is_none());
        assert!(!summary.is_due(later), "the next time begins");
        of(Class::Failed).over_budget(10);
        let due = summary.due(later + EVERY).unwrap();
        assert_eq!(
            line(&due)["failed"]["written"],
            0,
            "what was written before"
        );
    }

    #[test]
    fn what_could_not_be_told_is_told_with_the_next_one() {
        let allowance = Allowance::new(1024);
        let mut summary = Summary::new(allowance.clone());
        let of = |class| allowance.counts.of(class);
        let start = summary.since;
        of(Class::Refused).lost(10);
        assert!(summary.due(start + EVERY).is_some(), "and not written");
        of(Class::Refused).lost(10);
        of(Class::Connection).written(10);
        let due = summary.due(start + 2 * EVERY).unwrap();
        let told = line(&due);
        assert_eq!(told["event.name"], "log.summary");
        assert_eq!(told["seconds"], 20.0);
        assert_eq!(told["refused"]["lost"], 2);
        assert_eq!(told["connections"]["written"], 1);
        summary.told(due);
        assert!(summary.due(start + 3 * EVERY).is_none());
    }
}
