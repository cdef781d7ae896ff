//! The last hour, in slots that are the wider the longer they are past.

use std::collections::HashMap;
use std::mem;

use tidegate_limit::Key;

use super::bursts::Burst;
use super::slot::{Client, Counts, Room, Slot, Tenant};
use super::{Event, Judged, Name, Totals};
use crate::hashed::KeyHashing;
use crate::heavy::Tally;
use crate::rolling::{Rolling, Stretch};

/// Seconds of the shortest slot.
pub const SLOT: u64 = 10;
/// Clients that are told apart within it; when there are more, it is taken over before its time.
const CLIENTS: usize = 28_000;
/// Customers that are remembered for an hour.
const CUSTOMERS: usize = 57_000;
/// An hour, in the shortest slots.
pub const HOUR: u64 = 3600 / SLOT;

/// Over which times it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The last minute.
    Minute,
    /// The last ten.
    TenMinutes,
    /// The last sixty.
    Hour,
}

impl Span {
    /// All, the shortest first.
    pub const ALL: [Span; 3] = [Span::Minute, Span::TenMinutes, Span::Hour];

    /// Its length.
    pub const fn minutes(self) -> u64 {
        match self {
            Span::Minute => 1,
            Span::TenMinutes => 10,
            Span::Hour => 60,
        }
    }
}

/// What was in the last hour.
#[derive(Debug)]
pub struct History {
    /// Of ten seconds, a minute and ten minutes.
    slots: Rolling<Slot, 3>,
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
            slots: Rolling::new([(SLOT, 6), (60, 10), (600, 6)]),
            now: Slot::new(Room::KEPT),
            clients: HashMap::default(),
            before,
            customers: HashMap::default(),
            over: 0,
        }
    }

    /// Something has happened.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Judged(judged, name) => self.judged(judged, *name),
            Event::Confirmed(client) => self.confirmed(*client),
        }
    }

    fn judged(&mut self, judged: &Judged, name: Name) {
        if self.clients.len() >= CLIENTS && !self.clients.contains_key(&judged.key) {
            self.take_over();
        }
        let counts = Counts::of(judged);
        let customers = &self.customers;
        let client = self.clients.entry(judged.key);
        let client = client.or_insert_with(|| Client {
            prefix: judged.client,
            tenant: None,
            counts: Counts::default(),
            most: Burst::default(),
            customer: customers.contains_key(&judged.key),
        });
        client.prefix = judged.client;
        client.counts.merge(&counts);
        client.most.tokens = client.most.tokens.saturating_add(judged.tokens);
        client.most.requests += u32::from(judged.tokens > 0);
        client.tenant = judged.tenant.or(client.tenant);
        if let Some(key) = judged.tenant {
            let more = |tenant: &mut Tenant| tenant.counts.merge(&counts);
            self.now
                .tenants
                .count(key, more, || Tenant { name, counts });
        }
    }

    /// One more customer, while there is room: those that are left out count as customers in the ten
    /// seconds in which they are confirmed.
    fn confirmed(&mut self, key: Key) {
        if self.customers.len() < CUSTOMERS || self.customers.contains_key(&key) {
            self.customers.insert(key, self.over);
        }
        if let Some(client) = self.clients.get_mut(&key) {
            client.customer = true;
        }
    }

    /// Whether all customers of the last hour are remembered.
    pub fn has_all_customers(&self) -> bool {
        self.customers.len() < CUSTOMERS
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
        self.slots.keep(slot);
    }

    /// All of a span in one. `gone_on`: for how many seconds the last slot has.
    pub fn of(&self, span: Span, totals: Totals, gone_on: u64) -> Slot {
        let mut all = Slot::new(Room::ANSWER);
        for slot in self.slots.of(span as usize) {
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

#[cfg(test)]
mod tests;
