//! The last hour, in slots that are the wider the longer they are past.

use std::collections::{HashMap, VecDeque};
use std::mem;

use tidegate_limit::Key;

use super::bursts::Burst;
use super::heavy::Tally;
use super::key::KeyHashing;
use super::slot::{Client, Counts, Room, Slot, Tenant};
use super::{Event, Judged, Name, Totals};

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

/// Slots of one width, the newest last, and the one of them that is being filled from narrower ones.
#[derive(Debug)]
struct Level {
    /// Seconds of a slot.
    width: u64,
    filling: Slot,
    slots: VecDeque<Slot>,
    keep: usize,
}

impl Level {
    fn new(width: u64, keep: usize) -> Self {
        Level {
            width,
            filling: Slot::new(Room::KEPT),
            slots: VecDeque::new(),
            keep,
        }
    }

    /// Takes a narrower slot over, and gives the one that is full by it.
    fn fill(&mut self, narrower: &Slot) -> Option<Slot> {
        self.filling.merge(narrower);
        let is_full = self.filling.seconds >= self.width;
        is_full.then(|| mem::replace(&mut self.filling, Slot::new(Room::KEPT)))
    }

    fn keep(&mut self, mut slot: Slot) {
        slot.shrink();
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
            levels: [Level::new(SLOT, 6), Level::new(60, 10), Level::new(600, 6)],
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
        let [tens, minutes, ten_minutes] = &mut self.levels;
        let minute = minutes.fill(&slot);
        tens.keep(slot);
        let Some(minute) = minute else {
            return;
        };
        let wide = ten_minutes.fill(&minute);
        minutes.keep(minute);
        if let Some(wide) = wide {
            ten_minutes.keep(wide);
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tidegate_limit::{Domain, KeyHasher};

    use super::*;
    use crate::recent::cut;

    /// A history with the totals that a gate would count beside it.
    struct Kept {
        history: History,
        totals: Totals,
    }

    impl Kept {
        fn new() -> Self {
            Kept {
                history: History::new(Totals::default()),
                totals: Totals::default(),
            }
        }

        fn ask(&mut self, client: u32, confirmed: bool) {
            let address = Ipv4Addr::from_bits(0x0A00_0000 | client);
            let hasher = KeyHasher::from_secret(1, 2);
            self.totals.requests += 1;
            self.totals.shut_out += 1;
            let judged = Judged {
                key: hasher.key(Domain::Client, &address.octets()),
                client: std::net::IpAddr::from(address).into(),
                tenant: Some(hasher.key(Domain::Tenant, b"shop")),
                tokens: 1,
                needs_known: true,
                known: false,
                limited: false,
                turned_away: false,
            };
            self.history.take(&Event::Judged(judged, cut("shop")));
            if confirmed {
                self.history.take(&Event::Confirmed(judged.key));
            }
        }

        fn pass(&mut self, seconds: u64) {
            for _ in 0..seconds / SLOT {
                self.history.end_slot(self.totals);
            }
        }

        fn requests(&self) -> [u64; 3] {
            Span::ALL.map(|span| self.of(span).totals.requests)
        }

        fn of(&self, span: Span) -> Slot {
            self.history.of(span, self.totals, 0)
        }
    }

    #[test]
    fn each_span_tells_of_its_time_and_of_no_request_twice() {
        let mut kept = Kept::new();
        let mut told = vec![kept.requests()];
        for _ in 0..8 {
            kept.ask(1, false);
            told.push(kept.requests());
            kept.pass(10);
        }
        assert_eq!(told[1], [1, 1, 1], "at once");
        assert_eq!(told[8], [7, 8, 8], "of the last minute and what goes on");
        for (seconds, expected) in [
            (60, [0, 8, 8]),
            (8 * 60, [0, 8, 8]),
            (3 * 60, [0, 0, 8]),
            (45 * 60, [0, 0, 8]),
            (30 * 60, [0, 0, 0]),
        ] {
            kept.pass(seconds);
            assert_eq!(kept.requests(), expected, "{seconds} s later");
        }
    }

    #[test]
    fn a_span_is_at_least_what_it_says_and_a_sixth_more_at_the_most() {
        let mut kept = Kept::new();
        assert_eq!(kept.of(Span::Hour).seconds, 0);
        kept.pass(30);
        assert_eq!(kept.of(Span::Hour).seconds, 30, "not longer than there was");
        for _ in 0..500 {
            kept.pass(10);
        }
        for _ in 0..80 {
            kept.pass(10);
            for span in Span::ALL {
                let (seconds, asked) = (kept.of(span).seconds, span.minutes() * 60);
                assert!(
                    (asked..=asked + asked / 6).contains(&seconds),
                    "{span:?}: {seconds}"
                );
            }
        }
    }

    #[test]
    fn who_is_a_customer_is_so_for_an_hour() {
        let mut kept = Kept::new();
        let customers = |kept: &Kept| kept.of(Span::Minute).customers.count(|_| true).0;
        kept.ask(1, true);
        kept.ask(2, false);
        assert_eq!(customers(&kept), 1);
        kept.pass(50 * 60);
        kept.ask(1, false);
        assert_eq!(customers(&kept), 1, "by what it said before");
        kept.pass(20 * 60);
        kept.ask(1, false);
        assert_eq!(customers(&kept), 0);
    }

    #[test]
    fn more_clients_than_there_is_room_for_are_told_about() {
        let mut kept = Kept::new();
        for client in 0..50_000 {
            kept.ask(client, client % 10 == 0);
            kept.ask(7, false);
        }
        let all = kept.of(Span::Minute);
        assert_eq!(all.totals.requests, 100_000, "exact all the same");
        let (clients, _, error) = all.clients.count(|_| true);
        assert!(
            (45_000..55_000).contains(&clients) && error > 0.0,
            "{clients}"
        );
        let (customers, _, _) = all.customers.count(|_| true);
        assert!((4_500..5_500).contains(&customers), "{customers}");
        let most = all.clients.heaviest().map(|client| client.counts.requests);
        let most = u64::from(most.max().unwrap_or(0));
        assert!(most + all.clients.error() >= 50_001, "{most}");
        assert_eq!(all.tenants.iter().count(), 1);
    }

    #[test]
    fn one_heavy_customer_among_many_is_counted_once() {
        let mut kept = Kept::new();
        for client in 0..20_000 {
            kept.ask(client, true);
            kept.ask(77, false);
        }
        kept.pass(10);
        let all = kept.of(Span::Minute);
        let sum = all.customers.sum(|client| client.counts.requests.into());
        assert!(sum.error > 0.0, "it is an estimate");
        let off = sum.value.abs_diff(i64::from(all.of_customers.requests)) as f64;
        assert!(
            off <= 2.0 * sum.error,
            "{off} off, and {} is told",
            sum.error
        );
        assert!(sum.error < 0.05 * 40_000.0, "{}", sum.error);
    }
}
