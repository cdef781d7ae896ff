//! The known set at a million prefixes: how long it takes to build, what it takes in memory, and what a
//! lookup takes, alone and beside the rest of a verdict. Rounds alternate, figures are medians.
//!
//! `cargo bench --bench known`; the figures are in benches/README.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../verdict/world.rs"]
mod world;

use std::collections::{BTreeMap, HashSet};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tidegate::head::{self, NO_FIELDS};
use tidegate::prefixes::{PrefixSet, Published};

const PREFIXES: usize = 1_000_000;
const ROUNDS: usize = 15;
const SLICE: Duration = Duration::from_millis(150);
const BATCH: usize = 256;
/// Addresses that are asked about by turns: more than the caches hold.
const ASKED: usize = 1 << 20;

/// As the gate has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A hash set for each prefix length, of the standard library: what is measured beside.
struct PerLength(BTreeMap<(bool, u8), HashSet<IpAddr>>);

impl PerLength {
    fn of(prefixes: &[IpNet]) -> Self {
        let mut lengths: BTreeMap<(bool, u8), HashSet<IpAddr>> = BTreeMap::new();
        for prefix in prefixes {
            let length = (prefix.addr().is_ipv4(), prefix.prefix_len());
            lengths.entry(length).or_default().insert(prefix.network());
        }
        PerLength(lengths)
    }

    fn contains(&self, address: IpAddr) -> bool {
        let family = self
            .0
            .iter()
            .filter(|((v4, _), _)| *v4 == address.is_ipv4());
        family
            .map(|((_, length), networks)| (IpNet::new(address, *length), networks))
            .any(|(net, networks)| net.is_ok_and(|net| networks.contains(&net.network())))
    }
}

fn main() {
    let mut random = fastrand::Rng::with_seed(1);
    let prefixes: Vec<IpNet> = (0..PREFIXES).map(|_| prefix(&mut random)).collect();
    let asked: Vec<IpAddr> = (0..ASKED).map(|_| asked(&prefixes, &mut random)).collect();
    build(&prefixes);
    lookups(&prefixes, &asked);
    verdicts(&prefixes, &asked);
}

/// Mostly single IPv4 addresses and IPv6 /64s, and one in twenty that is wider.
fn prefix(random: &mut fastrand::Rng) -> IpNet {
    let (v4, length) = match random.u8(0..100) {
        0..55 => (true, 32),
        55..95 => (false, 64),
        95 | 96 => (true, 28),
        97 => (true, 24),
        98 => (false, 56),
        _ => (false, 48),
    };
    net(random, v4, length)
}

fn net(random: &mut fastrand::Rng, v4: bool, length: u8) -> IpNet {
    let address: IpAddr = match v4 {
        true => Ipv4Addr::from_bits(random.u32(..)).into(),
        // In 2000::/3, as what is given out.
        false => Ipv6Addr::from_bits(0x2 << 124 | random.u128(..) >> 4).into(),
    };
    IpNet::new(address, length).expect("a length").trunc()
}

/// By turns an address in the set and one that most likely is not.
fn asked(prefixes: &[IpNet], random: &mut fastrand::Rng) -> IpAddr {
    match random.bool() {
        true => match prefixes[random.usize(..prefixes.len())].network() {
            IpAddr::V4(first) => first.into(),
            IpAddr::V6(first) => {
                Ipv6Addr::from_bits(first.to_bits() | u128::from(random.u64(..))).into()
            }
        },
        false => {
            let v4 = random.bool();
            net(random, v4, if v4 { 32 } else { 128 }).addr()
        }
    }
}

fn median(mut rounds: Vec<f64>) -> String {
    rounds.sort_unstable_by(f64::total_cmp);
    let (first, last) = (rounds[0], rounds[rounds.len() - 1]);
    format!("{:.1} | {first:.1} to {last:.1}", rounds[rounds.len() / 2])
}

fn build(prefixes: &[IpNet]) {
    let mut rounds = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let set = PrefixSet::of(prefixes.iter().copied());
        rounds[0].push(start.elapsed().as_secs_f64() * 1e3);
        drop(black_box(set));
        let start = Instant::now();
        let set = PerLength::of(prefixes);
        rounds[1].push(start.elapsed().as_secs_f64() * 1e3);
        drop(black_box(set));
    }
    let set = PrefixSet::of(prefixes.iter().copied());
    println!(
        "| building a set of {} prefixes | ms, median | ms, range |\n|---|---|---|",
        set.len()
    );
    for (name, rounds) in ["the known set", "a hash set a length"]
        .into_iter()
        .zip(rounds)
    {
        println!("| {name} | {} |", median(rounds));
    }
    println!(
        "\n{:.1} bytes a prefix\n",
        set.memory() as f64 / set.len() as f64
    );
}

fn lookups(prefixes: &[IpNet], asked: &[IpAddr]) {
    let set = Published::of(PrefixSet::of(prefixes.iter().copied()));
    let rival = PerLength::of(prefixes);
    let mut rounds = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let nothing = nanos(asked, |address| address.is_ipv4());
        rounds[0].push(nanos(asked, |address| set.contains(address)) - nothing);
        rounds[1].push(nanos(asked, |address| rival.contains(address)) - nothing);
    }
    println!("| a lookup alone | ns, median | ns, range |\n|---|---|---|");
    for (name, rounds) in ["the known set", "a hash set a length"]
        .into_iter()
        .zip(rounds)
    {
        println!("| {name} | {} |", median(rounds));
    }
    println!();
}

fn verdicts(prefixes: &[IpNet], asked: &[IpAddr]) {
    let with = world::gate(PrefixSet::of(prefixes.iter().copied()));
    let without = world::gate(PrefixSet::default());
    let bytes = world::request("/");
    let mut fields = NO_FIELDS;
    let head = head::parse(&bytes, &mut fields).expect("a good head");
    let verdict = |gate, peer| drop(black_box(world::verdict(gate, peer, &head)));
    for address in asked {
        verdict(&with, *address);
        verdict(&without, *address);
    }
    let mut rounds = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let known = nanos(asked, |peer| verdict(&with, peer));
        let none = nanos(asked, |peer| verdict(&without, peer));
        rounds[0].push(known);
        rounds[1].push(none);
        rounds[2].push(known - none);
    }
    println!("| a verdict | ns, median | ns, range |\n|---|---|---|");
    let names = [
        "with a million known prefixes",
        "with none",
        "the difference",
    ];
    for (name, rounds) in names.into_iter().zip(rounds) {
        println!("| {name} | {} |", median(rounds));
    }
}

/// Nanoseconds a call over a slice of time, for each of the addresses by turns.
fn nanos<T>(asked: &[IpAddr], mut each: impl FnMut(IpAddr) -> T) -> f64 {
    let (start, mut count) = (Instant::now(), 0);
    for batch in asked.chunks_exact(BATCH).cycle() {
        for address in batch {
            black_box(each(black_box(*address)));
        }
        count += BATCH;
        if start.elapsed() > SLICE {
            break;
        }
    }
    start.elapsed().as_nanos() as f64 / count as f64
}
