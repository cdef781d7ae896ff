//! Keeps the learned customers: takes confirmations over, puts the set in force, writes it down.

use std::net::IpAddr;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::log::{Foreign, Log, parse};
use super::record::{Confirmed, Record};
use super::set::{Bounds, Set};
use crate::clock;
use crate::gate::Gate;
use crate::prefixes::PrefixSet;
use crate::state;

/// How often confirmations are taken over: with [`PUBLISH`], how long one takes to be in force.
const TAKE: Duration = Duration::from_millis(25);
/// Between two sets in force at least, and so many times as long as one takes to make: a large set that
/// changes all the time costs a twentieth of a core.
const PUBLISH: Duration = Duration::from_millis(50);
const PUBLISH_SHARE: u32 = 20;
/// How often the store is written, and how much is lost when the process is killed.
const SAVE: Duration = Duration::from_millis(900);
/// How long a store that could not be written is left alone.
const SAVE_AGAIN: Duration = Duration::from_secs(10);
/// Seconds after which the clock is written though nobody was confirmed.
const CLOCK: u64 = 3600;

/// Bounds of a gate that learns nobody.
const NOBODY: Bounds = Bounds {
    max: 0,
    keep: u64::MAX,
    least: u32::MAX,
};

/// What is wrong with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// Parts of it were damaged; they were moved aside, and the rest is in use.
    Damaged,
    /// A newer version wrote it. It is left alone.
    NewerVersion,
    /// It cannot be read. It is left alone.
    Unreadable,
    /// It cannot be written now. It is tried again.
    Unwritable,
}

impl ProblemKind {
    /// Every kind.
    pub const ALL: [ProblemKind; 4] = [
        ProblemKind::Damaged,
        ProblemKind::NewerVersion,
        ProblemKind::Unreadable,
        ProblemKind::Unwritable,
    ];

    /// The value of the `problem` label.
    pub fn label(self) -> &'static str {
        match self {
            ProblemKind::Damaged => "damaged",
            ProblemKind::NewerVersion => "newer_version",
            ProblemKind::Unreadable => "unreadable",
            ProblemKind::Unwritable => "unwritable",
        }
    }
}

/// What is wrong with the store, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Which kind it is.
    pub kind: ProblemKind,
    /// What was found, and what to do.
    pub detail: String,
}

/// Learned customers in numbers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Prefixes in force.
    pub known: usize,
    /// Prefixes that have to be confirmed again to be known.
    pub candidates: usize,
    /// That may be kept; 0 when nobody is learned.
    pub max: usize,
    /// Prefixes that left because there were too many.
    pub evicted: u64,
    /// Confirmations: accepted, dropped because too many waited, of clients that nobody named.
    pub confirmations: [u64; 3],
    /// What is wrong with the store.
    pub problem: Option<Problem>,
}

/// The learned customers, and the two threads that keep them.
#[derive(Debug)]
pub struct Keeper {
    gate: Arc<Gate>,
    set: Mutex<Set>,
    store: Mutex<Store>,
    problem: Mutex<Option<Problem>>,
    saves: Mutex<Saves>,
    asked: Condvar,
    done: Condvar,
}

/// The log, and what stands in its way.
#[derive(Debug)]
struct Store {
    log: Log,
    /// Not to be written, as it holds what this process would destroy.
    left_alone: bool,
    retry: Option<Instant>,
    clock_saved: u64,
}

/// Saves that were asked for, and those that are done.
#[derive(Debug, Default)]
struct Saves {
    asked: u64,
    done: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keeper {
    /// Reads what was learned before, puts it in force, and goes on from there. `arrivals`: those of
    /// the gate's [`Learned`](super::Learned).
    ///
    /// # Errors
    /// When a thread cannot be had. A store that is damaged is no error.
    pub fn start(
        gate: Arc<Gate>,
        directory: &std::path::Path,
        arrivals: Receiver<IpNet>,
    ) -> std::io::Result<Arc<Self>> {
        let keeper = Arc::new(Keeper {
            gate,
            set: Mutex::default(),
            store: Mutex::new(Store {
                log: Log::new(directory.join("learned.log")),
                left_alone: false,
                retry: None,
                clock_saved: 0,
            }),
            problem: Mutex::default(),
            saves: Mutex::default(),
            asked: Condvar::new(),
            done: Condvar::new(),
        });
        if keeper.bounds() != NOBODY {
            keeper.take_back();
        }
        let learning = keeper.clone();
        thread::Builder::new()
            .name("learn".to_owned())
            .spawn(move || learning.learn(&arrivals))?;
        let saving = keeper.clone();
        thread::Builder::new()
            .name("learn-store".to_owned())
            .spawn(move || saving.keep_saved())?;
        Ok(keeper)
    }

    /// What was learned before is in force from here on.
    fn take_back(&self) {
        let mut store = lock(&self.store);
        if state::if_ours(|| self.read(&mut store, true)).is_none() {
            self.read(&mut store, false);
        }
        self.put_read_in_force();
    }

    fn put_read_in_force(&self) {
        let bounds = self.bounds();
        lock(&self.set).expire(bounds);
        self.publish(bounds);
    }

    fn bounds(&self) -> Bounds {
        let policy = self.gate.policy.load();
        policy.confirming.as_ref().map_or(NOBODY, |by| by.bounds)
    }

    fn learn(&self, arrivals: &Receiver<IpNet>) {
        let mut in_force = self.bounds();
        let mut changed = false;
        let mut next = Instant::now();
        loop {
            thread::sleep(TAKE);
            let bounds = self.bounds();
            changed |= self.take_over(arrivals, bounds) | (bounds != in_force);
            if changed && Instant::now() >= next {
                let started = Instant::now();
                self.publish(bounds);
                next = Instant::now() + PUBLISH.max(started.elapsed() * PUBLISH_SHARE);
                (changed, in_force) = (false, bounds);
            }
        }
    }

    /// Whether who is known changes by it. Not more than a queue full, so that sets are put in force
    /// while it never becomes empty.
    fn take_over(&self, arrivals: &Receiver<IpNet>, bounds: Bounds) -> bool {
        let wall = clock::unix_seconds();
        let mut set = lock(&self.set);
        let mut changed = false;
        for prefix in arrivals.try_iter().take(super::QUEUE) {
            changed |= set.confirm(prefix, wall, bounds);
        }
        // Whoever learns nobody any more does not forget: it may have been a slip.
        if bounds != NOBODY {
            changed |= set.expire(bounds);
        }
        changed
    }

    fn publish(&self, bounds: Bounds) {
        self.gate.learned.put_in_force(|| {
            let set = lock(&self.set);
            let known = set.iter().filter(|(_, said)| is_known(said, bounds));
            known.map(|(prefix, _)| prefix).collect::<PrefixSet>()
        });
    }

    fn keep_saved(&self) {
        loop {
            let saves = lock(&self.saves);
            let waiting = self
                .asked
                .wait_timeout_while(saves, SAVE, |saves| saves.asked == saves.done);
            let asked = waiting.unwrap_or_else(PoisonError::into_inner).0.asked;
            self.save();
            lock(&self.saves).done = asked;
            self.done.notify_all();
        }
    }

    /// Writes down what is not written yet, and waits for it, not longer than this.
    pub fn save_within(&self, most: Duration) {
        let mut saves = lock(&self.saves);
        saves.asked += 1;
        let asked = saves.asked;
        self.asked.notify_one();
        let waited = self
            .done
            .wait_timeout_while(saves, most, |saves| saves.done < asked);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// One batch, while the state files are this process's.
    fn save(&self) {
        let mut store = lock(&self.store);
        let saved = state::if_ours(|| {
            let waits = store.retry.is_some_and(|retry| Instant::now() < retry);
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

    fn write(&self, store: &mut Store) -> std::io::Result<()> {
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
    fn not_written(&self, store: &mut Store, error: &std::io::Error) {
        lock(&self.set).save_all();
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
    fn read(&self, store: &mut Store, ours: bool) {
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
        let detail = match store.log.set_aside() {
            Ok(aside) => format!("{path}: {lost}; moved aside as {}", aside.display()),
            Err(error) => {
                store.left_alone = true;
                format!(
                    "{path}: {lost}; it cannot be moved aside as .damaged ({error}), so {by_hand}"
                )
            }
        };
        lock(&self.set).save_all();
        self.tell(ProblemKind::Damaged, detail);
    }

    /// The learned prefixes that contain `address`, all if none is given; the last confirmed first, at
    /// most `limit`. Only those that are in force.
    pub fn list(&self, limit: usize, address: Option<IpAddr>) -> Vec<(IpNet, Confirmed)> {
        let bounds = self.bounds();
        let set = lock(&self.set);
        let known = set.iter().filter(|(prefix, said)| {
            is_known(said, bounds) && address.is_none_or(|address| prefix.contains(&address))
        });
        known.take(limit).collect()
    }

    /// Forgets a prefix, from the next request on. Whether there was one.
    pub fn forget(&self, prefix: IpNet) -> bool {
        let bounds = self.bounds();
        let forgotten = lock(&self.set).forget(prefix, bounds);
        if forgotten {
            self.publish(bounds);
        }
        forgotten
    }

    /// How many there are, and what became of confirmations.
    pub fn counts(&self) -> Counts {
        let known = self.gate.learned.len();
        let (all, evicted) = {
            let set = lock(&self.set);
            (set.len(), set.evicted)
        };
        Counts {
            known,
            candidates: all.saturating_sub(known),
            max: self.bounds().max,
            evicted,
            confirmations: self.gate.learned.confirmations(),
            problem: lock(&self.problem).clone(),
        }
    }
}

fn is_known(said: &Confirmed, bounds: Bounds) -> bool {
    said.times >= bounds.least && bounds.max > 0
}
