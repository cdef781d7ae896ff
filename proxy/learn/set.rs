//! The learned prefixes in memory, which is what counts: when each was confirmed, in the order of the
//! last time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use ipnet::IpNet;

use super::record::{Confirmed, Record};

/// How many are kept, for how long, and how often one has to be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Prefixes.
    pub max: usize,
    /// Seconds after the last time.
    pub keep: u64,
    /// Times.
    pub least: u32,
}

/// The longest time by which everybody ages while the gate is down: a clock that is wrong at the start
/// must not make all of them too old.
const MOST_DOWN: u64 = 24 * 60 * 60;

/// Seconds in which who is known keeps its place, and the store is not told, however often it is
/// confirmed: an app may confirm with every response.
const AGAIN: u64 = 10;

/// Seconds that only ever pass. While the gate runs they are those of the monotonic clock; while it is
/// down, what the wall clock says, at most a day. A wall clock that jumps changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct AgeClock {
    base: u64,
    since: Instant,
}

impl AgeClock {
    fn at(base: u64) -> Self {
        AgeClock {
            base,
            since: Instant::now(),
        }
    }

    /// What it shows.
    pub fn now(&self) -> u64 {
        self.base.saturating_add(self.since.elapsed().as_secs())
    }
}

/// The learned prefixes.
#[derive(Debug)]
pub struct Set {
    entries: HashMap<IpNet, Entry>,
    /// By when they were last confirmed, the longest ago first.
    order: BTreeMap<u64, IpNet>,
    next: u64,
    /// What the store does not have yet.
    unsaved: HashSet<IpNet>,
    /// Whether so much is unsaved that the store is better written anew.
    rewrite: bool,
    /// The age clock.
    pub clock: AgeClock,
    /// Prefixes that left because there were too many.
    pub evicted: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    confirmed: Confirmed,
    place: u64,
    /// When it got that place, on the age clock.
    placed: u64,
}

impl Default for Set {
    fn default() -> Self {
        Set {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            next: 0,
            unsaved: HashSet::new(),
            rewrite: false,
            clock: AgeClock::at(0),
            evicted: 0,
        }
    }
}

impl Set {
    /// How many there are, also of those that have to be confirmed again.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// When a prefix was confirmed.
    pub fn get(&self, prefix: &IpNet) -> Option<Confirmed> {
        self.entries.get(prefix).map(|entry| entry.confirmed)
    }

    /// All of them, the last confirmed first.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, Confirmed)> + '_ {
        let latest = self.order.values().rev();
        latest.filter_map(|prefix| Some((*prefix, self.get(prefix)?)))
    }

    /// Confirms a prefix at this second of the wall clock. Whether that changes who is known.
    pub fn confirm(&mut self, prefix: IpNet, wall: u64, bounds: Bounds) -> bool {
        if bounds.max == 0 {
            return false;
        }
        let seen = self.clock.now();
        if let Some(entry) = self.entries.get_mut(&prefix)
            && entry.confirmed.times >= bounds.least
            && seen.saturating_sub(entry.placed) < AGAIN
        {
            entry.confirmed.again(wall, seen);
            return false;
        }
        let mut confirmed = self.get(&prefix).unwrap_or(Confirmed {
            first: wall,
            last: wall,
            seen,
            times: 0,
        });
        confirmed.again(wall, seen);
        self.put(prefix, confirmed);
        self.touch(prefix, bounds.max);
        let left = self.shrink_to(bounds.max);
        confirmed.times == bounds.least || left
    }

    /// Takes out whom nobody has confirmed for too long, and who is too many. Whether any was.
    pub fn expire(&mut self, bounds: Bounds) -> bool {
        let now = self.clock.now();
        let mut ended = false;
        while let Some((_, prefix)) = self.order.first_key_value() {
            let prefix = *prefix;
            let seen = self.get(&prefix).map_or(0, |confirmed| confirmed.seen);
            if now.saturating_sub(seen) < bounds.keep {
                break;
            }
            self.take_out(prefix);
            self.touch(prefix, bounds.max);
            ended = true;
        }
        self.shrink_to(bounds.max) || ended
    }

    /// Forgets a prefix. Whether there was one.
    pub fn forget(&mut self, prefix: IpNet, bounds: Bounds) -> bool {
        let was_there = self.take_out(prefix);
        if was_there {
            self.touch(prefix, bounds.max);
        }
        was_there
    }

    fn shrink_to(&mut self, max: usize) -> bool {
        let mut left = false;
        while self.entries.len() > max {
            let Some((_, prefix)) = self.order.first_key_value() else {
                break;
            };
            let prefix = *prefix;
            self.take_out(prefix);
            self.touch(prefix, max);
            self.evicted += 1;
            left = true;
        }
        left
    }

    fn put(&mut self, prefix: IpNet, confirmed: Confirmed) {
        self.take_out(prefix);
        let place = self.next;
        self.next += 1;
        self.order.insert(place, prefix);
        let entry = Entry {
            confirmed,
            place,
            placed: confirmed.seen,
        };
        self.entries.insert(prefix, entry);
    }

    fn take_out(&mut self, prefix: IpNet) -> bool {
        let Some(entry) = self.entries.remove(&prefix) else {
            return false;
        };
        self.order.remove(&entry.place);
        true
    }

    /// The store has to be told of this prefix. A store that cannot be written must not make this grow.
    fn touch(&mut self, prefix: IpNet, max: usize) {
        if self.rewrite {
            return;
        }
        self.unsaved.insert(prefix);
        if self.unsaved.len() > max.saturating_mul(2).max(1024) {
            self.save_all();
        }
    }

    /// What the store does not have is all of it.
    fn save_all(&mut self) {
        self.unsaved.clear();
        self.rewrite = true;
    }

    /// Whether the store lacks something.
    pub fn is_unsaved(&self) -> bool {
        self.rewrite || !self.unsaved.is_empty()
    }

    /// What the store lacks, from here on taken as saved; `None` when it is better written anew.
    pub fn changes(&mut self) -> Option<Vec<Record>> {
        if self.rewrite {
            return None;
        }
        let changed = std::mem::take(&mut self.unsaved);
        let record = |prefix| match self.get(&prefix) {
            Some(confirmed) => Record::Confirmed(prefix, confirmed),
            None => Record::Forgotten(prefix),
        };
        Some(changed.into_iter().map(record).collect())
    }

    /// All of it, from here on taken as saved.
    pub fn everything(&mut self) -> Vec<Record> {
        self.unsaved.clear();
        self.rewrite = false;
        let oldest = self.order.values();
        let confirmed = oldest.filter_map(|prefix| Some((*prefix, self.get(prefix)?)));
        confirmed
            .map(|(prefix, confirmed)| Record::Confirmed(prefix, confirmed))
            .collect()
    }

    /// Adds what a store holds, as it was at `wall` and is not newer than what is in memory.
    pub fn merge(&mut self, stored: &[Record], wall: u64) {
        let mut found: HashMap<IpNet, Confirmed> = HashMap::new();
        let mut clock = None;
        for record in stored {
            match *record {
                Record::Confirmed(prefix, confirmed) => drop(found.insert(prefix, confirmed)),
                Record::Forgotten(prefix) => drop(found.remove(&prefix)),
                Record::Clock { wall, age } => clock = Some((wall, age)),
            }
        }
        let latest = found.values().map(|confirmed| confirmed.seen).max();
        let (then, age) = clock.unwrap_or((wall, 0));
        let down = wall.saturating_sub(then).min(MOST_DOWN);
        self.set_clock(age.max(latest.unwrap_or(0)).saturating_add(down));
        for (prefix, confirmed) in found {
            // Forgotten since the store was written.
            let gone = self.unsaved.contains(&prefix) && !self.entries.contains_key(&prefix);
            if !gone {
                let both = self
                    .get(&prefix)
                    .map_or(confirmed, |own| own.with(confirmed));
                self.put(prefix, both);
            }
        }
        self.sort();
    }

    /// Makes the clock show at least this, and everybody's times with it: who was seen a second ago
    /// was so on the new scale, too.
    fn set_clock(&mut self, age: u64) {
        let ahead = age.saturating_sub(self.clock.now());
        self.clock = AgeClock::at(self.clock.now().saturating_add(ahead));
        for entry in self.entries.values_mut() {
            entry.confirmed.seen = entry.confirmed.seen.saturating_add(ahead);
            entry.placed = entry.placed.saturating_add(ahead);
        }
    }

    fn sort(&mut self) {
        let mut all: Vec<(IpNet, Confirmed)> = self.iter().collect();
        all.sort_by_key(|(_, confirmed)| confirmed.seen);
        self.order.clear();
        self.entries.clear();
        for (prefix, confirmed) in all {
            self.put(prefix, confirmed);
        }
    }
}

impl Confirmed {
    /// What two accounts of the same prefix come to.
    fn with(self, other: Confirmed) -> Confirmed {
        Confirmed {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            seen: self.seen.max(other.seen),
            times: self.times.max(other.times),
        }
    }
}

#[cfg(test)]
#[path = "set_tests.rs"]
mod tests;
