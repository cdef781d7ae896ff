//! How learned customers are written down, and read again.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Keeper, NOBODY, Problem, ProblemKind, lock};
use crate::clock;
use crate::learn::log::{Foreign, Log, parse};
use crate::learn::record::Record;
use crate::regular;
use crate::state;

/// How long a store that could not be written is left alone.
const SAVE_AGAIN: Duration = Duration::from_secs(10);
/// Seconds after which the clock is written though nobody was confirmed.
const CLOCK: u64 = 3600;

/// The log, and what stands in its way.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) log: Log,
    /// Not to be written, as it holds what this process would destroy.
    left_alone: bool,
    retry: Option<Instant>,
    clock_saved: u64,
}

impl Store {
    /// The store in this file, of which nothing is known yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Store {
            log: Log::new(path),
            left_alone: false,
            retry: None,
            clock_saved: 0,
        }
    }
}

impl Keeper {
    /// One batch, while the state files are this process's. `asked`: somebody waits for it, so that a
    /// store which could not be written is tried at once.
    pub(super) fn save(&self, asked: bool) {
        let mut store = lock(&self.store);
        let saved = state::if_ours(|| {
            let waits = !asked && store.retry.is_some_and(|retry| Instant::now() < retry);
            let idle = !store.log.is_open() && self.is_idle();
            if idle || waits || store.left_alone {
                return;
            }
            match self.write(&mut store) {
                Ok(()) => self.written(&mut store),
                Err(error) => self.not_written(&mut store, &error),
            }
        });
        // Somebody else may write it from here on: what is there is read again before it is written.
        if saved.is_none() {
            store.log.close();
            store.retry = None;
        }
    }

    /// A gate that learns nobody, and has not, leaves no file.
    fn is_idle(&self) -> bool {
        self.bounds() == NOBODY && !lock(&self.set).is_unsaved()
    }

    fn write(&self, store: &mut Store) -> io::Result<()> {
        if !store.log.is_open() && store.retry.is_none() {
            self.read(store, true);
            self.put_read_in_force();
            if store.left_alone {
                return Ok(());
            }
        }
        let (wall, age) = (clock::unix_seconds(), lock(&self.set).clock.now());
        let clock = Record::Clock { wall, age };
        let rewrite = !store.log.is_open() || store.log.is_mostly_old(lock(&self.set).len());
        let changes = lock(&self.set).changes().filter(|_| !rewrite);
        match changes {
            Some(changes)
                if changes.is_empty() && age.saturating_sub(store.clock_saved) < CLOCK =>
            {
                return Ok(());
            }
            Some(mut changes) => {
                changes.push(clock);
                store.log.append(&changes)?;
            }
            None => {
                let mut everything = lock(&self.set).everything();
                everything.push(clock);
                store.log.rewrite(&everything)?;
            }
        }
        store.clock_saved = age;
        Ok(())
    }

    fn written(&self, store: &mut Store) {
        if store.retry.take().is_some() {
            tracing::info!("{}: is written again", store.log.path().display());
        }
        let mut problem = lock(&self.problem);
        if problem
            .as_ref()
            .is_some_and(|problem| problem.kind == ProblemKind::Unwritable)
        {
            *problem = None;
        }
    }

    /// It is written anew once that is possible: a part of an entry may be at its end.
    fn not_written(&self, store: &mut Store, error: &io::Error) {
        if store.retry.replace(Instant::now() + SAVE_AGAIN).is_none() {
            let detail = format!(
                "{}: cannot be written ({error}): who was learned is known, but a restart would forget it",
                store.log.path().display()
            );
            self.tell(ProblemKind::Unwritable, detail);
        }
    }

    fn tell(&self, kind: ProblemKind, detail: String) {
        tracing::warn!("{detail}");
        *lock(&self.problem) = Some(Problem { kind, detail });
    }

    /// Takes over what the log holds. One that is damaged is moved aside before anything is written, if
    /// it is ours to move.
    pub(super) fn read(&self, store: &mut Store, ours: bool) {
        let path = store.log.path().display().to_string();
        let by_hand = "it is left as it is, and who is learned from here on is forgotten at a restart; move it away to begin anew";
        let bytes = match store.log.read() {
            Ok(None) => return,
            Ok(Some(bytes)) => bytes,
            Err(error) => {
                store.left_alone = true;
                let detail = format!("{path}: cannot be read ({error}): {by_hand}");
                return self.tell(ProblemKind::Unreadable, detail);
            }
        };
        let lost = match parse(&bytes) {
            Ok(content) => {
                lock(&self.set).merge(&content.records, clock::unix_seconds());
                match content.damaged {
                    0 => return,
                    damaged => format!("{damaged} entries are damaged, the others are in use"),
                }
            }
            Err(Foreign::Newer(version)) => {
                store.left_alone = true;
                let detail = format!(
                    "{path}: is of version {version}, which a newer tidegate wrote: {by_hand}"
                );
                return self.tell(ProblemKind::NewerVersion, detail);
            }
            Err(Foreign::Unknown) => "is damaged at its beginning, and not used".to_owned(),
        };
        if ours {
            self.set_aside(store, &lost, by_hand);
        }
    }

    fn set_aside(&self, store: &mut Store, lost: &str, by_hand: &str) {
        let path = store.log.path().display().to_string();
        let detail = match regular::set_aside(store.log.path()) {
            Ok(aside) => format!("{path}: {lost}; moved aside as {}", aside.display()),
            Err(error) => {
                store.left_alone = true;
                format!(
                    "{path}: {lost}; it cannot be moved aside as .damaged ({error}), so {by_hand}"
                )
            }
        };
        self.tell(ProblemKind::Damaged, detail);
    }
}
