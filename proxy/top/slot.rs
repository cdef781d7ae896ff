//! What came in a stretch of time, by source.

use std::array::from_fn;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use ipnet::IpNet;

use super::event::Event;
use super::owners::Owners;
use super::source::{Counted, Kind, Name, Sums};
use crate::hashed::KeyHashing;
use crate::heavy::Heavy;
use crate::prefixes::network;
use crate::rolling::Stretch;

/// Sources of a kind for which there is room: just below seven eighths of a power of two, where a hash
/// map grows. In what is kept,
const KEPT: usize = 448;
/// in the stretch that goes on,
const NOW: usize = 3584;
/// and in an answer that is made of several.
const ANSWER: usize = 7168;

/// The heaviest sources of one kind.
pub type Sketch = Heavy<u64, Counted, KeyHashing, 4>;

/// A stretch of time.
#[derive(Clone, Debug)]
pub struct Slot {
    pub seconds: f64,
    /// All that came.
    pub all: Sums,
    /// For how many each event stood, at the most: of what was refused,
    pub refused_one_in: u32,
    /// and of what was not.
    pub served_one_in: u32,
    /// Requests that nothing more is known of.
    pub missed: u64,
    sketches: [Sketch; Kind::ALL.len()],
}

impl Slot {
    fn with_room(room: usize) -> Self {
        Slot {
            seconds: 0.0,
            all: Sums::default(),
            refused_one_in: 1,
            served_one_in: 1,
            missed: 0,
            sketches: from_fn(|_| Sketch::new(room)),
        }
    }

    /// For the stretch that goes on.
    pub fn now() -> Self {
        Slot::with_room(NOW)
    }

    /// For an answer.
    pub fn answer() -> Self {
        Slot::with_room(ANSWER)
    }

    /// The heaviest of a kind.
    pub fn of(&self, kind: Kind) -> Option<&Sketch> {
        self.sketches.get(kind as usize)
    }

    /// Takes an event over. `client`: the prefix that its client is counted by.
    pub fn take(&mut self, event: &Event, client: IpNet, owners: &Owners, hashing: &RandomState) {
        let sums = Sums::of(event.measures, event.stands_for);
        self.all.add(&sums);
        let one_in = match event.refused {
            true => &mut self.refused_one_in,
            false => &mut self.served_one_in,
        };
        *one_in = event.stands_for.max(*one_in);
        for (kind, prefix) in [(Kind::Client, client), (Kind::Network, network(client))] {
            let key = hashing.hash_one(prefix);
            self.count(kind, key, sums, || Name::Prefix(prefix));
        }
        if let Some(system) = owners.system(event.client) {
            let name = || Name::Text(system.to_string().into());
            let key = hashing.hash_one(system.number);
            self.count(Kind::System, key, sums, name);
        }
        self.take_texts(event, sums, owners, hashing);
    }

    fn take_texts(&mut self, event: &Event, sums: Sums, owners: &Owners, hashing: &RandomState) {
        let agent = event
            .agent
            .as_ref()
            .map(|sent| String::from_utf8_lossy(sent));
        for (kind, text) in [
            (Kind::Country, owners.country(event.client)),
            (Kind::Tenant, event.tenant.as_deref()),
            (Kind::Path, event.path.as_deref()),
            (Kind::Agent, agent.as_deref()),
        ] {
            if let Some(text) = text {
                let key = hashing.hash_one(text);
                self.count(kind, key, sums, || Name::Text(Arc::from(text)));
            }
        }
    }

    fn count(&mut self, kind: Kind, key: u64, sums: Sums, name: impl FnOnce() -> Name) {
        let Some(sketch) = self.sketches.get_mut(kind as usize) else {
            return;
        };
        let more = |kept: &mut Counted| kept.sums.add(&sums);
        sketch.count(key, more, || Counted { name: name(), sums });
    }
}

impl Stretch for Slot {
    fn empty() -> Self {
        Slot::with_room(KEPT)
    }

    fn seconds(&self) -> u64 {
        self.seconds as u64
    }

    fn merge(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.all.add(&other.all);
        self.refused_one_in = self.refused_one_in.max(other.refused_one_in);
        self.served_one_in = self.served_one_in.max(other.served_one_in);
        self.missed += other.missed;
        for (here, there) in self.sketches.iter_mut().zip(&other.sketches) {
            here.merge(there);
        }
    }

    fn shrink(&mut self) {
        self.sketches.iter_mut().for_each(Sketch::shrink);
    }
}
