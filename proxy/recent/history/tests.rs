use std::net::Ipv4Addr;

use tidegate_limit::{Domain, KeyHasher};

use super::*;
use crate::cut::cut;

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
