//! The worst call in a flood of clients that were never seen before, and the
//! memory it leaves. Each flood has a process of its own, because the memory of
//! one would be reused by the next.

use std::env;
use std::fs;
use std::process::Command;
use std::time::Instant;

use crate::stores::{
    GovernorDashMap, GovernorHashMap, GovernorMoka, GovernorPapaya, Nothing, Store, Tidegate,
};
use crate::{MILLION, client, median};

const CLIENTS: u64 = 10 * MILLION;
const ROUNDS: usize = 3;
/// The stores, and in how many of the rounds: some take half a minute each.
const STORES: [(&str, usize); 6] = [
    ("nothing", ROUNDS),
    ("tidegate", ROUNDS),
    ("dashmap", ROUNDS),
    ("hashmap", ROUNDS),
    ("papaya", 1),
    ("moka", 1),
];
/// A stall, in nanoseconds: the longest call that the design allows.
const STALL: u32 = 200_000;
/// What a flood reports, in this order.
const COLUMNS: usize = 6;

/// Prints the table of floods.
pub fn compare() {
    println!(
        "| flood of 10M new clients | mean, ns | p99.99, us | worst call, us (range) | calls > 200 us | memory, MB | evictions |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut rounds = STORES.map(|_| Vec::new());
    for round in 0..ROUNDS {
        for ((name, until), rounds) in STORES.iter().zip(&mut rounds) {
            if round < *until {
                rounds.push(in_own_process(name));
            }
        }
    }
    for ((name, _), rounds) in STORES.iter().zip(&rounds) {
        let column = |at: usize| rounds.iter().map(|round| round[at]).collect::<Vec<_>>();
        let worst = column(2);
        let least = worst.iter().copied().fold(f64::INFINITY, f64::min);
        let most = worst.iter().copied().fold(0.0, f64::max);
        let [mean, high, worst, stalls, memory, evictions] =
            [0, 1, 2, 3, 4, 5].map(|at| median(column(at)));
        println!(
            "| {name} | {mean:.0} | {high:.1} | {worst:.0} ({least:.0} to {most:.0}) \
             | {stalls} | {memory:.0} | {evictions} |"
        );
    }
}

fn in_own_process(name: &str) -> [f64; COLUMNS] {
    let this = env::current_exe().expect("the path of this program");
    let output = Command::new(this).args(["flood", name]).output();
    let text = String::from_utf8(output.expect("this program runs").stdout).expect("ASCII");
    let figures = text
        .split_whitespace()
        .map(|word| word.parse().expect("a number"));
    let figures: Vec<f64> = figures.collect();
    figures.try_into().expect("all columns")
}

/// One flood: prints its figures for [`in_own_process`].
pub fn run(name: &str) {
    // Ones, because zeroes would be pages that are touched only later.
    let mut calls = vec![1_u32; CLIENTS as usize];
    let before = resident();
    match name {
        "nothing" => report(&Nothing, &mut calls, before, |_| 0),
        "tidegate" => {
            let store = Tidegate::<Instant>::new(MILLION as usize);
            report(&store, &mut calls, before, Tidegate::evictions);
        }
        "dashmap" => report(&GovernorDashMap::new(), &mut calls, before, |_| 0),
        "hashmap" => report(&GovernorHashMap::new(), &mut calls, before, |_| 0),
        "papaya" => report(&GovernorPapaya::new(), &mut calls, before, |_| 0),
        "moka" => report(&GovernorMoka::new(), &mut calls, before, |_| 0),
        _ => panic!("no store is called {name}"),
    }
}

fn report<S: Store>(store: &S, calls: &mut [u32], before: u64, evictions: fn(&S) -> u64) {
    let start = Instant::now();
    let mut last = start;
    for (index, call) in (0..).zip(calls.iter_mut()) {
        std::hint::black_box(store.allows(&client(index)));
        // One reading ends a call and starts the next: no stall falls between.
        let now = Instant::now();
        *call = u32::try_from((now - last).as_nanos()).unwrap_or(u32::MAX);
        last = now;
    }
    let mean = start.elapsed().as_nanos() as f64 / calls.len() as f64;
    let grown = resident().saturating_sub(before);
    calls.sort_unstable();
    let high = calls[calls.len() - calls.len() / 10_000];
    let worst = calls[calls.len() - 1];
    let stalls = calls.len() - calls.partition_point(|call| *call <= STALL);
    let [high, worst] = [high, worst].map(|nanos| f64::from(nanos) / 1e3);
    let memory = grown as f64 / 1e6;
    println!(
        "{mean} {high} {worst} {stalls} {memory} {}",
        evictions(store)
    );
}

/// Bytes of memory that this process occupies.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<u64>().ok()).expect("a size") * 1024
}
