//! What went through the gate minute by minute, for half a day and more: what a report is made of.
//!
//! A minute is written down when it is over, so that it survives a restart in the middle of an incident.
//! What the disk does not take is kept until it does.

mod minute;

pub use minute::{Ends, Minute, Report, UpstreamMinute, add};

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::time::Instant;

use parking_lot::Mutex;

use crate::clock;
use crate::forward::Health;
use crate::gate::Gate;
use crate::journal::Journal;
use crate::state;
use crate::top;

/// Bytes of a file of the journal: a minute has three KiB, and eleven at the most.
const MAX_FILE: u64 = 8 << 20;
/// Minutes that wait for a disk: as many as half a day has. And how many of them are written at a time.
const UNWRITTEN: usize = 720;
const AT_ONCE: usize = 60;
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
    unwritten: VecDeque<Minute>,
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
                unwritten: VecDeque::new(),
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
        let totals = Totals::now(gate, upstreams);
        let mut minute = totals.since(&kept.before, gate, upstreams);
        minute.sources = top.last_minute();
        kept.before = totals;
        drop(kept);
        self.write_down(minute);
    }

    /// Writes a minute down, and those before it that the disk has not taken.
    fn write_down(&self, minute: Minute) {
        let mut kept = self.kept.lock();
        kept.unwritten.push_back(minute);
        if kept.unwritten.len() > UNWRITTEN {
            kept.unwritten.pop_front();
        }
        drop(kept);
        while self.write_some() {}
    }

    /// Writes the oldest of those that wait; whether there may be more, and the disk takes them.
    fn write_some(&self) -> bool {
        // Readers of a report do not wait for the disk.
        let waiting: Vec<Minute> = {
            let kept = self.kept.lock();
            kept.unwritten.iter().take(AT_ONCE).cloned().collect()
        };
        if waiting.is_empty() {
            return false;
        }
        let written = state::if_ours(|| self.journal.append(&waiting));
        let is_written = written.is_none_or(|written| state::note(self.journal.path(), written));
        if is_written {
            let mut kept = self.kept.lock();
            let written = kept.unwritten.len().min(waiting.len());
            kept.unwritten.drain(..written);
        }
        is_written
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
        let (waiting, now) = {
            let kept = self.kept.lock();
            let totals = Totals::now(gate, upstreams);
            let mut now = totals.since(&kept.before, gate, upstreams);
            now.sources = top.this_minute();
            (kept.unwritten.clone(), now)
        };
        let mut minutes: Vec<Minute> = self.journal.read()?.collect();
        // Those that have been written meanwhile are there already.
        let written = minutes.split_off(minutes.len().saturating_sub(UNWRITTEN));
        let waiting = waiting.into_iter().filter(|one| !written.contains(one));
        let waiting: Vec<Minute> = waiting.collect();
        minutes.extend(written);
        minutes.extend(waiting);
        minutes.push(now);
        minutes.retain(|minute| minute.until > from);
        Ok(minutes)
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
    use std::fs;

    use super::*;

    fn minute(until: u64) -> Minute {
        Minute {
            until,
            seconds: 60,
            mode: "normal".to_owned(),
            requests: Ends::default(),
            known: Ends::default(),
            closed: BTreeMap::new(),
            connections: 0,
            upstreams: Vec::new(),
            sources: top::Sources::default(),
        }
    }

    fn written(minutes: &Minutes) -> Vec<u64> {
        let all = minutes.journal.read().unwrap();
        all.map(|minute| minute.until).collect()
    }

    #[test]
    fn what_the_disk_does_not_take_is_kept_until_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let minutes = Minutes::open(&state);
        minutes.write_down(minute(60));
        minutes.write_down(minute(120));
        assert_eq!(minutes.kept.lock().unwritten.len(), 2);
        fs::create_dir(&state).unwrap();
        minutes.write_down(minute(180));
        assert_eq!(written(&minutes), [60, 120, 180]);
        assert_eq!(minutes.kept.lock().unwritten.len(), 0);
        minutes.write_down(minute(240));
        assert_eq!(written(&Minutes::open(&state)), [60, 120, 180, 240]);
    }

    #[test]
    fn a_disk_that_never_takes_them_does_not_fill_the_memory() {
        let minutes = Minutes::open(Path::new("/nonexistent"));
        for number in 0..UNWRITTEN as u64 + 10 {
            minutes.write_down(minute(60 * number));
        }
        let kept = minutes.kept.lock();
        assert_eq!(kept.unwritten.len(), UNWRITTEN);
        assert_eq!(kept.unwritten.front().map(|minute| minute.until), Some(600));
    }

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
