//! A verdict allocates nothing: neither one that forwards nor one that refuses, from the bytes of the
//! head on. A binary of its own, because it brings its own allocator.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../benches/verdict/world.rs"]
mod world;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use pingora_http::{RequestHeader, ResponseHeader};
use tidegate::account::{Facts, Outcome};
use tidegate::claims::Permits;
use tidegate::door::{self, DoorReason};
use tidegate::gate::Gate;
use tidegate::head::{self, NO_FIELDS};
use tidegate::learn::{Confirmable, Confirming, Learned};
use tidegate::mode::Change;
use tidegate::pass::{Keys, Pass, Rules};
use tidegate::policy::Policy;
use tidegate::prefixes::PrefixSet;
use tidegate::reason::Reason;
use tidegate::tail::Event;
use tidegate_config::{Config, MINIMAL, Mode, Share};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Counts the allocations of this thread.
struct Counting;

// SAFETY: passes everything on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How many allocations it takes, and what comes of it.
fn counted<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATIONS.get();
    let result = work();
    (ALLOCATIONS.get() - before, result)
}

/// Enough of some lengths for tables, and others that are ranges.
fn known() -> PrefixSet {
    let single = (0..1_000_u32).map(|number| IpAddr::from((0x0a00_0000 + number).to_be_bytes()));
    let networks = (1..=64_u8).map(|length| IpNet::new([0x20; 16].into(), length).unwrap().trunc());
    single.map(IpNet::from).chain(networks).collect()
}

/// From the bytes of a head to the verdict.
fn judge(gate: &Gate, peer: IpAddr, bytes: &[u8]) -> Result<Permits, Reason> {
    let mut fields = NO_FIELDS;
    let head = head::parse(bytes, &mut fields).unwrap();
    world::verdict(gate, peer, &head)
}

#[test]
fn a_verdict_allocates_nothing() {
    let gate = world::gate(known());
    let forwarded_for = b"GET /search HTTP/1.1\r\nHost: a\r\nX-Tenant: acme\r\nX-Forwarded-For: 192.0.2.9, 10.1.1.1\r\n\r\n";
    let requests = [world::request("/search"), forwarded_for.to_vec()];
    // What is set up once a thread, such as the start of the clock.
    let _ = judge(&gate, [192, 0, 2, 1].into(), &requests[0]);
    for peer in ["192.0.2.1", "10.0.0.1", "2001:db8::1"] {
        let peer: IpAddr = peer.parse().unwrap();
        for request in &requests {
            let (allocations, verdict) = counted(|| judge(&gate, peer, request));
            assert!(verdict.is_ok(), "{verdict:?}");
            assert_eq!(allocations, 0, "forwarding a request of {peer}");
        }
    }
    let login = world::request("/login");
    for (expected, peer) in [(None, 1), (Some(Reason::RouteRate), 1), (None, 2)] {
        let peer = [192, 0, 2, peer].into();
        let (allocations, verdict) = counted(|| judge(&gate, peer, &login));
        assert_eq!(verdict.err(), expected);
        assert_eq!(allocations, 0, "refusing: {expected:?}");
    }
}

#[test]
fn a_look_at_the_door_allocates_nothing_and_neither_does_a_refusal_without_a_line() {
    let gate = world::gate(known());
    let [blocked, known, stranger]: [IpAddr; 3] =
        ["192.0.2.7", "10.0.0.1", "198.51.100.1"].map(|text| text.parse().unwrap());
    gate.blocks.replace(|| {
        let prefixes = ["192.0.2.0/24", "203.0.113.9/32", "2001:db8::/48"];
        prefixes
            .map(|text| text.parse().unwrap())
            .into_iter()
            .collect()
    });
    let mut log = tidegate_config::Log::default();
    log.sample.refused = 0.0;
    gate.account.log.configure(&log);
    let listener = ([127, 0, 0, 1], 80).into();
    let refuse = || {
        gate.account
            .refused_connection(DoorReason::Blocked, blocked, listener)
    };
    // The first few of a client are written, and what is set up once a thread is set up.
    (0..5).for_each(|_| refuse());
    let look = |client| door::look(&gate, &gate.policy.load(), client);
    let _ = look(stranger);
    for (client, expected) in [
        (blocked, Err(DoorReason::Blocked)),
        (known, Ok(())),
        (stranger, Ok(())),
    ] {
        let (allocations, looked) = counted(|| look(client));
        assert_eq!((allocations, looked), (0, expected), "{client}");
    }
    let (allocations, ()) = counted(refuse);
    assert_eq!(allocations, 0, "refusing a connection");
}

#[test]
fn accounting_for_a_request_without_a_line_allocates_nothing() {
    let gate = world::gate(known());
    let mut log = tidegate_config::Log::default();
    (log.sample.forwarded, log.sample.refused) = (0.0, 0.0);
    gate.account.log.configure(&log);
    for outcome in [Outcome::Forwarded, Outcome::of(Reason::ClientRate)] {
        let facts = Facts {
            outcome,
            client: [192, 0, 2, 1].into(),
            known: true,
            method: "GET",
            host: "a",
            path: "/",
            query: "",
            status: 200,
            tenant: None,
            pass: None,
            agent: Some(b"curl/8"),
            upstream: None,
            received: 0,
            sent: 0,
            duration: Duration::from_millis(1),
        };
        // The first few of a client are written.
        (0..5).for_each(|_| gate.account.request(&facts));
        let (allocations, ()) = counted(|| gate.account.request(&facts));
        assert_eq!(allocations, 0, "{outcome:?}");
    }
    assert_eq!(gate.account.metrics.totals(), [6, 6, 0]);
}

#[test]
fn a_pass_is_looked_at_without_an_allocation_whatever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pass.key");
    Keys::renew(&file).unwrap();
    Keys::renew(&file).unwrap();
    let keys = Arc::new(Keys::read(&file).unwrap());
    let good = Pass::issue(None, 1, u64::from(u32::MAX)).unwrap();
    let good = good.seal(&keys, 0).to_string();
    let minimal = format!(
        "{MINIMAL}\n[known.learn]\nheader = \"x-known\"\n[known.pass]\nkey_file = \"unused\"\n"
    );
    let passes = Config::parse(&minimal, None).unwrap().known.pass.unwrap();
    let gate = world::gate_with(PrefixSet::default(), |policy, limits| Policy {
        pass: Some(Arc::new(Rules::new(&passes, keys, limits).unwrap())),
        ..policy
    });
    gate.mode.set(
        Change {
            mode: Mode::KnownOnly,
            admit_unknown: Share::NONE,
            goes_on: false,
            until: None,
            reason: None,
            set_by: None,
        },
        0,
    );
    let stranger = [192, 0, 2, 1].into();
    let forged = format!("B{}", &good[1..]);
    let _ = judge(&gate, stranger, &world::request("/search"));
    for (value, refusal) in [
        (good.as_str(), None),
        (&forged, Some(Reason::UnknownClient)),
        (&good[1..], Some(Reason::UnknownClient)),
    ] {
        let request = format!(
            "GET /search HTTP/1.1\r\nHost: a\r\nX-Tenant: acme\r\nCookie: a=b; tidegate_pass={value}\r\n\r\n"
        );
        let (allocations, verdict) = counted(|| judge(&gate, stranger, request.as_bytes()));
        assert_eq!((allocations, verdict.err()), (0, refusal), "{value}");
    }
}

#[test]
fn a_response_confirms_without_an_allocation() {
    let gate = world::gate(PrefixSet::default());
    let learn = "[known.learn]\nheader = \"x-tidegate-known\"\n";
    let config = Config::parse(&format!("{MINIMAL}\n{learn}"), None).unwrap();
    let rules = Confirming::new(config.known.learn.as_ref().unwrap()).unwrap();
    let confirmable = Confirmable {
        by: Arc::new(rules),
        prefix: "192.0.2.1/32".parse().ok(),
    };
    let request = RequestHeader::build("GET", b"/", None).unwrap();
    let (queue, arrivals) = Learned::new();
    let gate = Gate {
        learned: queue,
        ..gate
    };
    let confirm = || {
        let mut response = ResponseHeader::build(200, None).unwrap();
        response.append_header("x-tidegate-known", "1").unwrap();
        counted(|| confirmable.look_at(&gate, &request, &mut response))
    };
    let _ = confirm();
    assert_eq!(confirm(), (0, true));
    assert_eq!(arrivals.try_iter().count(), 2);
    // More than there is room for.
    for _ in 0..10_000 {
        assert_eq!(confirm(), (0, true));
    }
    let [accepted, dropped, _] = gate.learned.confirmations();
    assert_eq!(accepted + dropped, 10_002);
    assert!(dropped > 0, "the queue has no bound");
}

#[test]
fn an_outcome_is_shown_to_who_looks_on_without_an_allocation() {
    let gate = world::gate(PrefixSet::default());
    let facts = Facts {
        outcome: Outcome::Refused(Reason::RouteRate),
        client: [192, 0, 2, 1].into(),
        known: false,
        method: "GET",
        host: "shop.example.com",
        path: &"/long".repeat(1000),
        status: 429,
        tenant: Some("acme"),
        pass: None,
        agent: None,
        query: "",
        upstream: None,
        received: 0,
        sent: 0,
        duration: Duration::from_millis(1),
    };
    let show = || gate.account.tail.show(|| Event::request(&facts));
    assert_eq!(counted(show).0, 0, "nobody looks");
    let events = gate.account.tail.open();
    show();
    // More than there is room for.
    for _ in 0..10_000 {
        assert_eq!(counted(show).0, 0);
    }
    let arrived = events.try_iter().count() as u64;
    assert_eq!(arrived + gate.account.tail.missed(), 10_001);
}

#[test]
fn what_is_counted_is_what_is_allocated() {
    let (allocations, boxed) = counted(|| Box::new(1));
    assert_eq!((allocations, *boxed), (1, 1));
}
