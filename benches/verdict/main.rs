//! The whole verdict about a request of one of a million clients, from its parsed head on: identity
//! from the socket, mode, client, tenant and route limits, caps in flight. Medians over rounds.
//!
//! `cargo bench --bench verdict`; the figures are in benches/README.md. With `--count N PATH` it makes so
//! many verdicts about one path and says nothing, for Callgrind (`benches/instructions`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod world;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use tidegate::gate::Gate;
use tidegate::head::{self, Head, NO_FIELDS};

const CLIENTS: u32 = 1_000_000;
const ROUNDS: usize = 15;
const SLICE: Duration = Duration::from_millis(200);
const BATCH: u32 = 256;

/// As the gate has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// As many as are soon seen once under Callgrind, where a million would take a minute.
const COUNTED_CLIENTS: u32 = 1000;

fn main() {
    let known = (0..10_000_u32).map(|number| IpAddr::from((0x0a00_0000 + number).to_be_bytes()));
    let gate = world::gate(known.map(ipnet::IpNet::from).collect());
    match asked_count() {
        Some((count, path)) => with_head(&path, |head| {
            meet(&gate, head, COUNTED_CLIENTS);
            counted_verdicts(&gate, head, count);
        }),
        None => table(&gate),
    }
}

/// What stands after `--count`; cargo has arguments of its own.
fn asked_count() -> Option<(u32, String)> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--count");
    arguments.next()?;
    let count = arguments.next().and_then(|count| count.parse().ok());
    Some((count.expect("--count N"), arguments.next().expect("a path")))
}

fn table(gate: &Gate) {
    let cases = [
        ("client and tenant", "/"),
        ("client, tenant and route", "/search"),
        ("refused by the route", "/login"),
    ];
    println!("| verdict for one of a million clients | ns, median | ns, range |");
    println!("|---|---|---|");
    for (name, path) in cases {
        let mut rounds: [f64; ROUNDS] = with_head(path, |head| {
            meet(gate, head, CLIENTS);
            std::array::from_fn(|round| measure(gate, head, round))
        });
        rounds.sort_unstable_by(f64::total_cmp);
        println!(
            "| {name} | {:.0} | {:.0} to {:.0} |",
            rounds[ROUNDS / 2],
            rounds[0],
            rounds[ROUNDS - 1]
        );
    }
}

fn with_head<T>(path: &str, then: impl FnOnce(&Head) -> T) -> T {
    let bytes = world::request(path);
    let mut fields = NO_FIELDS;
    then(&head::parse(&bytes, &mut fields).expect("a good head"))
}

/// The first request of each client, which is another case than those that follow.
fn meet(gate: &Gate, head: &Head, clients: u32) {
    for client in 0..clients {
        let _ = black_box(world::verdict(gate, address(client), head));
    }
}

/// Callgrind counts from its start to its end, whatever it calls: it needs the name.
#[inline(never)]
fn counted_verdicts(gate: &Gate, head: &Head, count: u32) {
    for number in 0..count {
        drop(black_box(world::verdict(
            gate,
            address(number % COUNTED_CLIENTS),
            head,
        )));
    }
}

/// Nanoseconds a verdict in one slice, less what choosing the client takes.
fn measure(gate: &Gate, head: &Head, round: usize) -> f64 {
    let with = nanos(round, |peer| {
        drop(black_box(world::verdict(gate, peer, head)))
    });
    let without = nanos(round, |peer| {
        let _ = black_box(peer);
    });
    with - without
}

fn nanos(round: usize, mut each: impl FnMut(IpAddr)) -> f64 {
    let mut random = round as u64;
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < SLICE {
        for _ in 0..BATCH {
            each(address(next(&mut random)));
        }
        count += BATCH;
    }
    start.elapsed().as_nanos() as f64 / f64::from(count)
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x1400_0000 + number).into()
}

/// SplitMix64, scaled to a client.
fn next(state: &mut u64) -> u32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    ((u128::from(mixed) * u128::from(CLIENTS)) >> 64) as u32
}
