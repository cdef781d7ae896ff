//! What went through the gate minute by minute, for half a day and more: what a report is made of.
//!
//! A minute is written down when it is over, so that it survives a restart in the middle of an incident.
//! What the disk does not take is kept until it does.

mod minute;

pub use minute::{Ends, Minute, Report, UpstreamMinute, add};

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Instant;

use parking_lot::Mutex;

use crate::clock;
use crate::forward::Health;
use crate::gate::Gate;
use crate::journal::Journal;
use crate::top;

/// Bytes of a file of the journal: a minute has three KiB, and eleven at the most.
const MAX_FILE: u64 = 8 << 20;
/// Upstreams in trouble that a minute names.
const TROUBLED: usize = 10;

/// The minutes of one gate.
#[derive(Debug)]
pub struct Minutes {
    journal: Journal<Minute>,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// Minutes of the top sources that have been looked at.
    looked_at: u64,
    before: Totals,
}

/// What the counters were when a minute began, and when that was.
#[derive(Clone, Debug)]
struct Totals {
    at: u64,
    /// How long a minute was, whatever the wall clock is set to.
    instant: Instant,
    requests: Ends,
    known: Ends,
    closed: BTreeMap<String, u64>,
    upstreams: BTreeMap<String, [u64; 2]>,
}

impl Minutes {
    /// Those in the state directory, and from now on.
    pub fn open(directory: &Path) -> Self {
        let begun = Totals {
            at: clock::unix_seconds(),
            instant: Instant::now(),
            requests: Ends::default(),
            known: Ends::default(),
            closed: BTreeMap::new(),
            upstreams: BTreeMap::new(),
        };
        Minutes {
            journal: Journal::new(directory, "minutes", MAX_FILE),
            kept: Mutex::new(Kept {
                looked_at: 0,
                before: begun,
            }),
        }
    }

    /// Writes the last minute down if it is over. Blocks for as long as the disk does.
    pub fn look(&self, gate: &Gate, top: &top::Keeper, upstreams: &[(String, Health)]) {
        let mut kept = self.kept.lock();
        let over = top.minutes_over();
        if over == kept.looked_at {
            return;
        }
        kept.looked_at = over;
        let minute = kept.turn(top.last_minute(), gate, upstreams);
        drop(kept);
        // What is wrong is told by the state files.
        let _ = self.journal.append([minute]);
    }

    /// Writes down the minute that goes on: the gate ends. Blocks for as long as the disk does.
    pub fn end(&self, gate: &Gate, top: &top::Keeper, upstreams: &[(String, Health)]) {
        let minute = self.kept.lock().turn(top.this_minute(), gate, upstreams);
        let _ = self.journal.append([minute]);
    }

    /// Tries to write what the disk has not taken.
    pub fn write_again(&self) {
        self.journal.write_again();
    }

    /// What went through since then, in seconds since the epoch, with the minute that goes on.
    ///
    /// # Errors
    /// When what was written cannot be read.
    pub fn since(
        &self,
        from: u64,
        gate: &Gate,
        top: &top::Keeper,
        upstreams: &[(String, Health)],
    ) -> io::Result<Vec<Minute>> {
        let now = {
            let kept = self.kept.lock();
            let totals = Totals::now(gate, upstreams);
            let mut now = totals.since(&kept.before, gate, upstreams);
            now.sources = top.this_minute();
            now
        };
        let mut minutes: Vec<Minute> = self.journal.read()?.collect();
        minutes.push(now);
        minutes.retain(|minute| minute.until > from);
        Ok(minutes)
    }
}

impl Kept {
    /// What came until now, with these sources, and a new minute.
    fn turn(
        &mut self,
        sources: top::Sources,
        gate: &Gate,
        upstreams: &[(String, Health)],
    ) -> Minute {
        let totals = Totals::now(gate, upstreams);
        let mut minute = totals.since(&self.before, gate, upstreams);
        minute.sources = sources;
        self.before = totals;
        minute
    }
}

impl Totals {
    fn now(gate: &Gate, upstreams: &[(String, Health)]) -> Self {
        let metrics = &gate.account.metrics;
        let of =
            |(name, health): &(String, Health)| (name.clone(), [health.succeeded, health.failed]);
        Totals {
            at: clock::unix_seconds(),
            instant: Instant::now(),
            requests: Ends::of(metrics.ends()),
            known: Ends::of(metrics.known_ends()),
            closed: metrics
                .refused_connections()
                .map(|(reason, count)| (reason.label().to_owned(), count))
                .collect(),
            upstreams: upstreams.iter().map(of).collect(),
        }
    }

    fn since(&self, before: &Totals, gate: &Gate, upstreams: &[(String, Health)]) -> Minute {
        let troubled = upstreams.iter().map(|(name, health)| {
            let now = [health.succeeded, health.failed];
            let [answered, failed] = match before.upstreams.get(name) {
                // Fewer: it was configured anew, and begins with nothing.
                Some([answered, failed]) if now[0] >= *answered && now[1] >= *failed => {
                    [now[0] - answered, now[1] - failed]
                }
                _ => now,
            };
            UpstreamMinute::of(name, health, answered, failed)
        });
        Minute {
            until: self.at,
            seconds: self.instant.duration_since(before.instant).as_secs(),
            mode: gate.mode.record().to_string(),
            requests: self.requests.since(&before.requests),
            known: self.known.since(&before.known),
            closed: minute::since(&self.closed, &before.closed),
            connections: gate.connections.get(),
            upstreams: troubled
                .filter(UpstreamMinute::is_troubled)
                .take(TROUBLED)
                .collect(),
            sources: top::Sources::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_what_came_since_the_one_before() {
        let ends = |forwarded, refused| Ends {
            forwarded,
            refused: [("client_rate".to_owned(), refused)].into(),
            failed: BTreeMap::new(),
        };
        assert_eq!(ends(10, 7).since(&ends(4, 2)), ends(6, 5));
        let none = ends(10, 7).since(&ends(10, 7));
        assert_eq!(none, Ends::default(), "what is zero is not told");
    }
}
