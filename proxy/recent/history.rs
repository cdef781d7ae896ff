//! The last hour, in slots that are the wider the longer they are past.

use std::collections::{HashMap, VecDeque};
use std::mem;

use tidegate_limit::Key;

use super::heavy::Tally;
use super::key::KeyHashing;
use super::slot::{Client, Counts, Room, Slot, Tenant};
use super::{Event, Totals};

/// Seconds of the shortest slot.
pub const SLOT: u64 = 10;
/// Clients that are told apart within it; when there are more, it is taken over before its time.
const CLIENTS: usize = 28_000;
/// Customers that are remembered for an hour.
const CUSTOMERS: usize = 28_000;
/// An hour, in the shortest slots.
pub const HOUR: u64 = 3600 / SLOT;

/// Over which times it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    Minute,
    TenMinutes,
    Hour,
}

impl Span {
    pub const ALL: [Span; 3] = [Span::Minute, Span::TenMinutes, Span::Hour];

    pub const fn minutes(self) -> u64 {
        match self {
            Span::Minute => 1,
            Span::TenMinutes => 10,
            Span::Hour => 60,
        }
    }
}

/// Slots of one width, the newest last, and the one that is being filled from narrower ones.
#[derive(Debug)]
struct Level {
    /// Narrower slots that make one of these.
    of: usize,
    /// How many of those are in it.
    filled: usize,
    filling: Slot,
    slots: VecDeque<Slot>,
    keep: usize,
}

impl Level {
    fn new(of: usize, keep: usize) -> Self {
        Level {
            of,
            filled: 0,
            filling: Slot::new(Room::KEPT),
            slots: VecDeque::new(),
            keep,
        }
    }

    /// Takes a narrower slot over, and gives one of these once that is full.
    fn fill(&mut self, narrower: &Slot) -> Option<Slot> {
        self.filling.merge(narrower);
        self.filled += 1;
        if self.filled < self.of {
            return None;
        }
        self.filled = 0;
        Some(mem::replace(&mut self.filling, Slot::new(Room::KEPT)))
    }

    fn keep(&mut self, slot: Slot) {
        self.slots.push_back(slot);
        if self.slots.len() > self.keep {
            self.slots.pop_front();
        }
    }
}

/// What was in the last hour.
#[derive(Debug)]
pub struct History {
    /// Of ten seconds, a minute and ten minutes.
    levels: [Level; 3],
    /// The slot that is going on: what has been taken over of it before its time,
    now: Slot,
    /// its clients,
    clients: HashMap<Key, Client, KeyHashing>,
    /// and what the totals were when it began.
    before: Totals,
    /// Customers, and in which slot they were confirmed last.
    customers: HashMap<Key, u64, KeyHashing>,
    /// Slots that are over.
    over: u64,
}

impl History {
    /// Nothing yet; `before`: what the totals are.
    pub fn new(before: Totals) -> Self {
        History {
            levels: [Level::new(1, 6), Level::new(6, 10), Level::new(10, 6)],
            now: Slot::new(Room::KEPT),
            clients: HashMap::default(),
            before,
            customers: HashMap::default(),
            over: 0,
        }
    }

    /// A request has ended.
    pub fn take(&mut self, event: &Event) {
        let judged = &event.judged;
        let counts = Counts::of(event);
        if event.confirmed {
            self.confirm(judged.key);
        }
        if self.clients.len() >= CLIENTS && !self.clients.contains_key(&judged.key) {
            self.take_over();
        }
        let customers = &self.customers;
        let client = self.clients.entry(judged.key).or_insert_with(|| Client {
            prefix: judged.client,
            tenant: None,
            counts: Counts::default(),
            most: 0,
            customer: customers.contains_key(&judged.key),
        });
        client.counts.merge(&counts);
        client.most = client.most.saturating_add(judged.tokens);
        client.tenant = judged.tenant.or(client.tenant);
        client.customer |= event.confirmed;
        if let Some(key) = judged.tenant {
            let more = |tenant: &mut Tenant| tenant.counts.merge(&counts);
            let name = event.tenant;
            self.now
                .tenants
                .count(key, more, || Tenant { name, counts });
        }
    }

    /// One more customer, while there is room: those that are left out count as customers in the slots
    /// in which they are confirmed.
    fn confirm(&mut self, key: Key) {
        if self.customers.len() < CUSTOMERS || self.customers.contains_key(&key) {
            self.customers.insert(key, self.over);
        }
    }

    /// The clients of the slot that goes on, into it.
    fn take_over(&mut self) {
        for (key, client) in self.clients.drain() {
            self.now.add(key, &client);
        }
    }

    /// The slot that goes on is over.
    pub fn end_slot(&mut self, totals: Totals) {
        self.take_over();
        self.over += 1;
        let mut slot = mem::replace(&mut self.now, Slot::new(Room::KEPT));
        slot.seconds = SLOT;
        slot.totals = totals.since(self.before);
        self.before = totals;
        self.customers.retain(|_, at| *at + HOUR > self.over);
        for level in &mut self.levels {
            let Some(full) = level.fill(&slot) else {
                return;
            };
            level.keep(full.clone());
            slot = full;
        }
    }

    /// All of a span in one. `gone_on`: for how many seconds the last slot has.
    pub fn of(&self, span: Span, totals: Totals, gone_on: u64) -> Slot {
        let mut all = Slot::new(Room::ANSWER);
        let [tens, minutes, ten_minutes] = &self.levels;
        let (slots, fillings): (_, &[&Level]) = match span {
            Span::Minute => (&tens.slots, &[]),
            Span::TenMinutes => (&minutes.slots, &[minutes]),
            Span::Hour => (&ten_minutes.slots, &[ten_minutes, minutes]),
        };
        for slot in slots
            .iter()
            .chain(fillings.iter().map(|level| &level.filling))
        {
            all.merge(slot);
        }
        all.merge(&self.now);
        for (key, client) in &self.clients {
            all.add(*key, client);
        }
        all.seconds += gone_on;
        all.totals = all.totals.and(totals.since(self.before));
        all
    }
}
