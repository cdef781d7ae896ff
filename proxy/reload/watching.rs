//! Watching the files of known customers: a change is taken over without a reload, or said why not.
//!
//! The files are asked for by their attributes, once a second. Notifications of the kernel (inotify) would
//! be sooner, and would miss what network file systems change elsewhere, patterns that match new folders
//! and links that are turned, as for the ConfigMaps of Kubernetes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Reloader;
use crate::known::KnownFiles;
use crate::lists::Stamp;

/// What became of changes of the files.
#[derive(Debug, Default)]
pub struct Watched {
    state: Mutex<State>,
    taken: AtomicU64,
    rejected: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// As the files were at the last look.
    seen: Option<Stamp>,
    /// As the files are when they are not taken over.
    refused: Option<Stamp>,
    problem: Option<String>,
}

/// What a look at the files asks for.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// Nothing: they are in force, were judged, or are being written.
    Leave,
    /// They are as they were in force again, after a change that was not taken over.
    Restored,
    /// They are other ones, and have been quiet.
    Read,
}

impl State {
    /// A file is read only when it was the same at two looks, so that none is that is being written.
    fn look(&mut self, in_force: &Stamp, now: &Stamp) -> Look {
        let quiet = self.seen.replace(now.clone()).as_ref() == Some(now);
        if now == in_force {
            self.refused = None;
            return match self.problem.take() {
                Some(_) => Look::Restored,
                None => Look::Leave,
            };
        }
        match quiet && self.refused.as_ref() != Some(now) {
            true => Look::Read,
            false => Look::Leave,
        }
    }
}

impl Watched {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the files as they are now are not in force.
    pub fn problem(&self) -> Option<String> {
        self.state().problem.clone()
    }

    /// How many changes were taken over, and how many not.
    pub fn counts(&self) -> [u64; 2] {
        [&self.taken, &self.rejected].map(|count| count.load(Relaxed))
    }

    /// The files were just taken over.
    pub(super) fn as_they_are(&self) {
        let mut state = self.state();
        state.refused = None;
        state.problem = None;
    }

    /// The files as this stamp has them are not taken over. What was said already is not said again.
    fn refuse(&self, stamp: Stamp, problem: String, kept: usize) {
        self.rejected.fetch_add(1, Relaxed);
        let mut state = self.state();
        state.refused = Some(stamp);
        if state.problem.as_ref() != Some(&problem) {
            tracing::error!(
                "files of known customers not taken over, the {kept} prefixes before stay: {problem}"
            );
            state.problem = Some(problem);
        }
    }
}

impl Reloader {
    /// Takes the files of known customers over if they are other ones and good. Blocks for as long as
    /// their file system does.
    pub fn look_at_known_files(&self) {
        self.follow_known_files();
        self.gate.account.metrics.looked_at_known_files();
    }

    fn follow_known_files(&self) {
        let running = self.running.load_full();
        let patterns = &running.config.known.files;
        let in_force = self.known.files();
        if patterns != in_force.patterns() {
            // A reload is under way.
            return;
        }
        let now = KnownFiles::stamp_of(patterns);
        let look = self.watched.state().look(in_force.stamp(), &now);
        match look {
            Look::Leave => return,
            Look::Restored => {
                tracing::info!("files of known customers are again as they are in force");
                return;
            }
            Look::Read => {}
        }
        let read = KnownFiles::read(patterns);
        if KnownFiles::stamp_of(patterns) != now {
            // They were written meanwhile: the next look sees what becomes of them.
            return;
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&in_force, &self.known.files()) {
            // A reload has taken them over.
            return;
        }
        let good = read
            .map_err(|problem| problem.to_string())
            .and_then(|next| {
                let shrunk = in_force.refuse_shrunk(&next);
                shrunk.map(|()| next).map_err(|problem| problem.to_string())
            });
        match good {
            Ok(next) => self.take_known_files(next),
            Err(problem) => self.watched.refuse(now, problem, in_force.count()),
        }
    }

    fn take_known_files(&self, files: KnownFiles) {
        let count = files.count();
        let change = self.known.replace_files(files);
        self.watched.as_they_are();
        self.watched.taken.fetch_add(1, Relaxed);
        let change = change.unwrap_or_else(|| format!("{count} prefixes, as many as before"));
        tracing::info!("files of known customers taken over: {change}");
    }
}
