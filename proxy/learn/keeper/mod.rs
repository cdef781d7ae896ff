//! Keeps the learned customers: takes confirmations over, puts the set in force, writes it down.

mod problem;
mod saving;

pub use problem::{Problem, ProblemKind};

use std::net::IpAddr;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::record::Confirmed;
use super::set::{Bounds, Set};
use crate::clock;
use crate::gate::Gate;
use crate::state;
use saving::Store;

/// How often confirmations are taken over: with [`PUBLISH`], how long one takes to be in force.
const TAKE: Duration = Duration::from_millis(25);
/// How often a gate that learns nobody looks whether that has changed.
const IDLE: Duration = Duration::from_millis(250);
/// Between two sets in force at least, and so many times as long as one takes to make: a large set that
/// changes all the time costs a twentieth of a core.
const PUBLISH: Duration = Duration::from_millis(50);
const PUBLISH_SHARE: u32 = 20;
/// How often the store is written, and how much is lost when the process is killed.
const SAVE: Duration = Duration::from_millis(900);

/// Bounds of a gate that learns nobody.
const NOBODY: Bounds = Bounds {
    max: 0,
    keep: u64::MAX,
    least: u32::MAX,
};

/// Learned customers in numbers.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
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
            store: Mutex::new(Store::new(directory.join("learned.log"))),
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
            thread::sleep(if in_force == NOBODY { IDLE } else { TAKE });
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
            // Built without the lock, which a status waits for.
            self.known(bounds).into_iter().collect()
        });
    }

    fn known(&self, bounds: Bounds) -> Vec<IpNet> {
        let set = lock(&self.set);
        let known = set.iter().filter(|(_, said)| is_known(said, bounds));
        known.map(|(prefix, _)| prefix).collect()
    }

    fn keep_saved(&self) {
        loop {
            let saves = lock(&self.saves);
            let waiting = self
                .asked
                .wait_timeout_while(saves, SAVE, |saves| saves.asked == saves.done);
            let Saves { asked, done } = *waiting.unwrap_or_else(PoisonError::into_inner).0;
            self.save(asked != done);
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
