//! The audit log: who changed what, when, why and until when, with the traffic before and after.
//!
//! Append-only and bounded: a [`Journal`] in the state directory, of some ten thousand changes.

mod record;

pub use record::{Change, Record, Traffic};

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::journal::Journal;
use crate::state::StateError;

/// Bytes of a file of the journal.
const MAX_FILE: u64 = 4 << 20;
/// Seconds after a change when the traffic is looked at again.
pub const AFTER: u64 = 60;
/// Changes that wait for that at a time.
const MAX_WAITING: usize = 1000;

/// A line of the file: a record, or what the traffic was after an earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Record {
        number: u64,
        #[serde(flatten)]
        record: Record,
    },
    After {
        after: u64,
        traffic: Traffic,
    },
}

/// The audit log of one gate.
#[derive(Debug)]
pub struct Audit {
    journal: Journal<Line>,
    /// The number of the next change. Locked while the file is written, for as long as the disk takes.
    next: Mutex<u64>,
    /// Changes by number, and when the traffic after them is due. Locked for a moment alone: the thread
    /// that answers operators looks at it.
    waiting: Mutex<VecDeque<(u64, u64)>>,
}

impl Audit {
    /// The log in the state directory.
    pub fn open(directory: &Path) -> Self {
        let audit = Audit {
            journal: Journal::new(directory, "audit", MAX_FILE),
            next: Mutex::default(),
            waiting: Mutex::default(),
        };
        let lines = audit.journal.read().into_iter().flatten();
        let numbers = lines.filter_map(|line| match line {
            Line::Record { number, .. } => Some(number),
            Line::After { .. } => None,
        });
        let last = numbers.max();
        *audit.next.lock() = last.map_or(0, |last| last + 1);
        audit
    }

    /// Writes a change down. Blocks for as long as the disk does. Does nothing while the state files are
    /// another process's.
    ///
    /// # Errors
    /// When the disk does not take it yet.
    pub fn append(&self, record: Record) -> Result<(), StateError> {
        let mut next = self.next.lock();
        let number = *next;
        let due = record.time.saturating_add(AFTER);
        let line = Line::Record { number, record };
        let written = self.journal.append([line]);
        *next += 1;
        let mut waiting = self.waiting.lock();
        if waiting.len() < MAX_WAITING {
            waiting.push_back((number, due));
        }
        written
    }

    /// Tries to write what the disk has not taken.
    pub fn write_again(&self) {
        self.journal.write_again();
    }

    /// Writes down the traffic after changes that are a minute old. Blocks as [`Audit::append`] does, but
    /// not for another write: what is due stays so until it is over.
    ///
    /// # Errors
    /// When the disk does not take it yet.
    pub fn look_back(&self, now: u64, traffic: Traffic) -> Result<(), StateError> {
        let Some(_writing) = self.next.try_lock() else {
            return Ok(());
        };
        let mut lines = Vec::new();
        let mut waiting = self.waiting.lock();
        while let Some(&(after, due)) = waiting.front()
            && due <= now
        {
            waiting.pop_front();
            lines.push(Line::After { after, traffic });
        }
        drop(waiting);
        self.journal.append(lines)
    }

    /// Whether a change waits for the traffic after it, and its minute has passed.
    pub fn has_due(&self, now: u64) -> bool {
        let waiting = self.waiting.lock();
        waiting.front().is_some_and(|(_, due)| *due <= now)
    }

    /// The latest changes, the latest last.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn list(&self, most: usize) -> io::Result<Vec<Record>> {
        let mut found: VecDeque<(u64, Record)> = VecDeque::new();
        for line in self.journal.read()? {
            match line {
                Line::Record { number, record } => {
                    found.push_back((number, record));
                    if found.len() > most {
                        found.pop_front();
                    }
                }
                Line::After { after, traffic } => {
                    let changed = found.iter_mut().rev().find(|(number, _)| *number == after);
                    if let Some((_, record)) = changed {
                        record.after = Some(traffic);
                    }
                }
            }
        }
        Ok(found.into_iter().map(|(_, record)| record).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    const TRAFFIC: Traffic = Traffic {
        forwarded: 1.5,
        refused: 2.0,
        failed: 0.0,
        connections: 3,
    };

    fn record(time: u64) -> Record {
        Record {
            time,
            by: "ann".to_owned(),
            what: "mode".to_owned(),
            to: "known-only".to_owned(),
            until: Some(time + 60),
            reason: Some("flood".to_owned()),
            before: Some(TRAFFIC),
            after: None,
        }
    }

    #[test]
    fn what_was_written_is_listed_after_a_restart_with_the_traffic_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(folder.path());
        audit.append(record(100)).unwrap();
        audit.append(record(130)).unwrap();
        assert!(!audit.has_due(159));
        assert!(audit.has_due(160));
        audit.look_back(160, TRAFFIC).unwrap();
        assert!(!audit.has_due(160));
        let again = Audit::open(folder.path());
        let told = again.list(10).unwrap();
        assert_eq!(told.len(), 2);
        assert_eq!(told[0].after, Some(TRAFFIC));
        assert_eq!(told[1], record(130));
        again.append(record(200)).unwrap();
        let times: Vec<u64> = again
            .list(2)
            .unwrap()
            .iter()
            .map(|record| record.time)
            .collect();
        assert_eq!(times, [130, 200]);
    }

    #[test]
    fn a_disk_that_hangs_holds_up_nobody_who_only_looks() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(folder.path());
        audit.append(record(100)).unwrap();
        let path = folder.path().join("audit.jsonl");
        fs::remove_file(&path).unwrap();
        // Opening it hangs for as long as nobody reads.
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        let reader = thread::scope(|scope| {
            let hanging = scope.spawn(|| audit.append(record(101)));
            while !audit.next.is_locked() {
                assert!(!hanging.is_finished(), "it did not hang");
                thread::yield_now();
            }
            let (tell, told) = mpsc::channel();
            let audit = &audit;
            scope.spawn(move || {
                let looked = audit.look_back(160, TRAFFIC);
                let _ = tell.send((looked.is_ok(), audit.has_due(160), audit.has_due(159)));
            });
            let told = told.recv_timeout(Duration::from_secs(10));
            let reader = File::open(&path).unwrap();
            assert_eq!(
                told,
                Ok((true, true, false)),
                "passed over, and due as before"
            );
            reader
        });
        drop(reader);
    }

    #[test]
    fn a_file_that_is_cut_anywhere_loses_no_other_line() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(folder.path());
        audit.append(record(1)).unwrap();
        let path = folder.path().join("audit.jsonl");
        let first = fs::read(&path).unwrap().len();
        audit.append(record(2)).unwrap();
        let whole = fs::read(&path).unwrap();
        for cut in first..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let audit = Audit::open(folder.path());
            audit.append(record(3)).unwrap();
            let times: Vec<u64> = audit
                .list(9)
                .unwrap()
                .iter()
                .map(|record| record.time)
                .collect();
            // A line that lacks its end alone is whole.
            let second = if cut >= whole.len() - 1 {
                &[2][..]
            } else {
                &[]
            };
            assert_eq!(times, [&[1], second, &[3]].concat(), "cut at {cut}");
        }
    }

    #[test]
    fn it_does_not_grow_without_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        fs::write(&path, vec![b'\n'; MAX_FILE as usize]).unwrap();
        let audit = Audit::open(folder.path());
        audit.append(record(1)).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 1000);
        assert_eq!(audit.list(9).unwrap().len(), 1);
        assert!(fs::metadata(folder.path().join("audit.1.jsonl")).is_ok());
    }

    #[test]
    fn what_is_not_a_file_is_an_error_and_not_a_hang() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("audit.jsonl")).unwrap();
        let audit = Audit::open(folder.path());
        assert!(audit.append(record(1)).is_err());
        assert!(audit.list(9).is_err());
    }
}
