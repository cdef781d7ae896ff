//! What came in a stretch of time, by source.

use std::array::from_fn;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use ipnet::IpNet;

use super::event::Event;
use super::owners::Owners;
use super::source::{Counted, Kind, Measures, Name};
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
    pub seconds: u64,
    /// All that came.
    pub all: Measures,
    /// For how many each event stood, at the most.
    pub one_in: u32,
    /// Requests that nothing more is known of.
    pub missed: u64,
    sketches: [Sketch; Kind::ALL.len()],
}

impl Slot {
    fn with_room(room: usize) -> Self {
        Slot {
            seconds: 0,
            all: Measures::default(),
            one_in: 1,
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
        let measures = event.measures.times(event.stands_for);
        self.all.add(measures);
        self.one_in = self.one_in.max(event.stands_for);
        for (kind, prefix) in [(Kind::Client, client), (Kind::Network, network(client))] {
            let key = hashing.hash_one(prefix);
            self.count(kind, key, measures, || Name::Prefix(prefix));
        }
        if let Some(system) = owners.system(event.client) {
            let name = || Name::Text(system.to_string().into());
            let key = hashing.hash_one(system.number);
            self.count(Kind::System, key, measures, name);
        }
        self.take_texts(event, measures, owners, hashing);
    }

    fn take_texts(
        &mut self,
        event: &Event,
        measures: Measures,
        owners: &Owners,
        hashing: &RandomState,
    ) {
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
                self.count(kind, key, measures, || Name::Text(Arc::from(text)));
            }
        }
    }

    fn count(&mut self, kind: Kind, key: u64, measures: Measures, name: impl FnOnce() -> Name) {
        let Some(sketch) = self.sketches.get_mut(kind as usize) else {
            return;
        };
        let more = |kept: &mut Counted| kept.measures.add(measures);
        sketch.count(key, more, || Counted {
            name: name(),
            measures,
        });
    }
}

impl Stretch for Slot {
    fn empty() -> Self {
        Slot::with_room(KEPT)
    }

    fn seconds(&self) -> u64 {
        self.seconds
    }

    fn merge(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.all.add(other.all);
        self.one_in = self.one_in.max(other.one_in);
        self.missed += other.missed;
        for (here, there) in self.sketches.iter_mut().zip(&other.sketches) {
            here.merge(there);
        }
    }

    fn shrink(&mut self) {
        self.sketches.iter_mut().for_each(Sketch::shrink);
    }
}
