//! What accounting for one request costs that has no line in the log, by one thread and by two at once.
//! Medians over rounds.
//!
//! `cargo bench --bench counting`; the figures are in benches/README.md.

#![allow(clippy::expect_used, clippy::indexing_slicing)]

#[allow(dead_code)]
#[path = "../verdict/world.rs"]
mod world;

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tidegate::account::{Account, Facts, Outcome};
use tidegate::reason::Reason;
use tidegate_config::{Log, Sample};

const ROUNDS: usize = 15;
const EACH: u32 = 1_000_000;

/// As the gate has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let gate = world::gate(Vec::new().into_iter().collect());
    let none = Sample {
        forwarded: 0.0,
        refused: 0.0,
        failed: 0.0,
    };
    gate.account.log.configure(&Log {
        sample: none,
        ..Log::default()
    });
    println!("| accounting for a request, ns each | one thread | two at once |");
    println!("|---|---|---|");
    for (name, outcome) in [
        ("forwarded", Outcome::Forwarded),
        ("refused", Outcome::of(Reason::ClientRate)),
    ] {
        let [one, two] = [1, 2].map(|threads| {
            let rounds = (0..ROUNDS).map(|_| nanos(&gate.account, outcome, threads));
            told(rounds.collect())
        });
        println!("| {name} | {one} | {two} |");
    }
}

/// The median, and the range.
fn told(mut rounds: Vec<f64>) -> String {
    rounds.sort_unstable_by(f64::total_cmp);
    let [least, median, most] = [0, rounds.len() / 2, rounds.len() - 1].map(|at| rounds[at]);
    format!("{median:.0} ({least:.0} to {most:.0})")
}

/// Nanoseconds of processor time that each of so many threads takes for one, while all of them count.
fn nanos(account: &Account, outcome: Outcome, threads: usize) -> f64 {
    let start = Barrier::new(threads);
    let count = |number: usize| {
        let facts = facts(outcome, number);
        start.wait();
        let begun = processor_time();
        (0..EACH).for_each(|_| account.request(&facts));
        processor_time() - begun
    };
    let took: Vec<Duration> = thread::scope(|scope| {
        let count = &count;
        let counting: Vec<_> = (0..threads)
            .map(|number| scope.spawn(move || count(number)))
            .collect();
        let took = counting.into_iter().map(|thread| thread.join());
        took.map(|took| took.expect("it counts")).collect()
    });
    let total: Duration = took.iter().sum();
    total.as_nanos() as f64 / f64::from(EACH) / threads as f64
}

/// Of this thread: what else runs on the machine is not in it.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn facts(outcome: Outcome, number: usize) -> Facts<'static> {
    Facts {
        outcome,
        client: std::net::Ipv4Addr::new(192, 0, 2, number as u8).into(),
        known: true,
        method: "GET",
        host: "shop.example.com",
        path: "/",
        query: "",
        status: 200,
        tenant: None,
        pass: None,
        agent: None,
        upstream: None,
        received: 0,
        sent: 0,
        duration: Duration::from_millis(3),
    }
}
