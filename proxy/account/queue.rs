//! The way of lines: through the budget into a bounded queue, and from there to what a thread writes
//! them into, so that neither a flood nor a slow disk can hold a request up.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{mem, thread};

use super::allowance::Allowance;
use super::counts::Class;
use super::file::RotatingFile;
use super::summary::Summary;

/// Lines that wait for the disk; more are lost and counted.
const QUEUE: usize = 8192;
/// Between two tries of a log that cannot be written.
const RETRY: Duration = Duration::from_secs(1);
/// Between two looks at the time, when there is nothing to write.
const TICK: Duration = Duration::from_millis(500);
/// How long what is queued may take to be written at the end.
const END: Duration = Duration::from_secs(1);

/// Where lines end.
#[derive(Debug)]
pub(super) enum Sink {
    /// Standard output, or standard error.
    Stream(File),
    /// A file of ours.
    File(RotatingFile),
}

impl Sink {
    /// What is open already. Not by std's own, which may keep a part of a line to write it later.
    pub(super) fn stream(stream: impl AsFd) -> io::Result<Self> {
        let own = stream.as_fd().try_clone_to_owned()?;
        Ok(Sink::Stream(own.into()))
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Sink::Stream(stream) => stream.write_all(line),
            Sink::File(file) => file.write(line),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        match self {
            Sink::Stream(_) => Ok(()),
            Sink::File(file) => file.reopen(),
        }
    }
}

#[derive(Debug)]
enum Entry {
    Line(Class, Vec<u8>),
    /// Open the file anew, and say how that went.
    Reopen(SyncSender<Result<(), String>>),
    /// Look whether this is the end.
    Wake,
}

/// The way to the thread. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    entries: SyncSender<Entry>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    allowance: Arc<Allowance>,
    /// Why lines cannot be written.
    problem: Mutex<Option<String>>,
    ended: AtomicBool,
}

/// Has what is queued written when it is dropped.
#[derive(Debug)]
pub struct WritingGuard {
    queue: Queue,
    done: Receiver<()>,
}

impl Drop for WritingGuard {
    fn drop(&mut self) {
        self.queue.shared.ended.store(true, Relaxed);
        // A full queue keeps the thread awake.
        let _ = self.queue.entries.try_send(Entry::Wake);
        // An error either way: the thread has ended, or its disk takes too long.
        let _ = self.done.recv_timeout(END);
    }
}

/// Starts a thread of this name.
pub(super) fn start(
    name: &str,
    sink: Sink,
    allowance: Arc<Allowance>,
    summary: Option<Summary>,
) -> io::Result<(Queue, WritingGuard)> {
    let (entries, waiting) = sync_channel(QUEUE);
    let (ending, done) = sync_channel(0);
    let shared = Arc::new(Shared {
        allowance,
        problem: Mutex::default(),
        ended: AtomicBool::new(false),
    });
    let mut writing = Writing {
        sink,
        summary,
        shared: shared.clone(),
        again: None,
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            writing.write_all_of(&waiting);
            drop(ending);
        })?;
    let queue = Queue { entries, shared };
    let guard = WritingGuard {
        queue: queue.clone(),
        done,
    };
    Ok((queue, guard))
}

impl Queue {
    /// Has a line written, or counts it as over the budget or lost. Never waits.
    pub(super) fn line(&self, class: Class, line: impl AsRef<[u8]> + Into<Vec<u8>>) {
        let (allowance, bytes) = (&self.shared.allowance, line.as_ref().len());
        let tally = allowance.counts.of(class);
        if !allowance.take(class, bytes) {
            return tally.over_budget(bytes);
        }
        // Full, or the thread is gone.
        if self
            .entries
            .try_send(Entry::Line(class, line.into()))
            .is_err()
        {
            tally.lost(bytes);
        }
    }

    /// Has the file opened anew once all that is queued is in the old one. Blocks, at most for `within`.
    pub(super) fn reopen(&self, within: Duration) -> Result<(), String> {
        let (answer, answered) = sync_channel(1);
        let sent = self.entries.try_send(Entry::Reopen(answer));
        let answer = sent.ok().and_then(|()| answered.recv_timeout(within).ok());
        answer.unwrap_or_else(|| Err("the disk does not take its lines in time".to_owned()))
    }

    /// Why lines cannot be written.
    pub(super) fn problem(&self) -> Option<String> {
        self.shared.problem().clone()
    }
}

impl Shared {
    fn problem(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Writing {
    sink: Sink,
    shared: Arc<Shared>,
    /// What tells of what was held back.
    summary: Option<Summary>,
    /// When a log that cannot be written is tried again.
    again: Option<Instant>,
}

impl Writing {
    fn write_all_of(&mut self, waiting: &Receiver<Entry>) {
        loop {
            match waiting.recv_timeout(TICK) {
                Ok(entry) => self.take(entry),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let ended = self.shared.ended.load(Relaxed);
            if ended {
                waiting.try_iter().for_each(|entry| self.take(entry));
            }
            let now = Instant::now();
            // A log that could not be written is tried with what was lost.
            let is_due = match self.again {
                Some(again) => now >= again,
                None => self
                    .summary
                    .as_ref()
                    .is_some_and(|summary| summary.is_due(now)),
            };
            if is_due || ended {
                self.sum_up(now);
            }
            if ended {
                return;
            }
        }
    }

    fn sum_up(&mut self, now: Instant) {
        let due = self.summary.as_mut().and_then(|summary| summary.due(now));
        let Some(due) = due else {
            // As after a reopening that failed.
            if self.again.is_some() {
                self.write(&[]);
            }
            return;
        };
        if self.write(&due.line) {
            let bytes = due.line.len() as u64;
            let counts = &self.shared.allowance.counts;
            counts.summaries.fetch_add(bytes, Relaxed);
            if let Some(summary) = &mut self.summary {
                summary.told(due);
            }
        }
    }

    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Line(class, line) => {
                let written = self.write(&line);
                let tally = self.shared.allowance.counts.of(class);
                match written {
                    true => tally.written(line.len()),
                    false => tally.lost(line.len()),
                }
            }
            Entry::Reopen(answer) => {
                let reopened = self.sink.reopen().map_err(|error| error.to_string());
                match &reopened {
                    // At once: what was wrong is so until something is written.
                    Ok(()) => self.again = self.again.map(|_| Instant::now()),
                    Err(problem) => {
                        self.again = Some(Instant::now() + RETRY);
                        self.notice(Some(problem.clone()));
                    }
                }
                // Nobody waits any longer when it took too long.
                let _ = answer.try_send(reopened);
            }
            Entry::Wake => {}
        }
    }

    /// Writes a line, unless that failed a moment ago.
    fn write(&mut self, line: &[u8]) -> bool {
        if self.again.is_some_and(|again| Instant::now() < again) {
            return false;
        }
        let written = self.sink.write(line);
        self.again = written.is_err().then(|| Instant::now() + RETRY);
        let problem = written.err().map(|error| error.to_string());
        let is_written = problem.is_none();
        self.notice(problem);
        is_written
    }

    fn notice(&self, problem: Option<String>) {
        let before = mem::replace(&mut *self.shared.problem(), problem.clone());
        if self.summary.is_none() {
            // Messages that cannot be written are not told of by messages.
            return;
        }
        match (before, &problem) {
            (None, Some(problem)) => {
                tracing::error!("the log cannot be written: {problem}; its lines are lost");
            }
            (Some(_), None) => tracing::info!("the log can be written again"),
            _ => {}
        }
    }
}
