//! Measures Tidegate's limiter beside the stores it replaces: all in one run,
//! alternated, as medians over rounds. `README.md` keeps the results.

mod flood;
mod stores;

use std::env;
use std::fs;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use stores::{
    Client, DECISIONS, GovernorDashMap, GovernorHashMap, GovernorMoka, GovernorPapaya,
    GovernorShared, Prefetched, Quanta, Shared, SharedPrefetched, Sketch, Store, Tidegate,
};

const MILLION: u64 = 1_000_000;
const ROUNDS: usize = 7;
/// How long a store is measured in a round.
const SLICE: Duration = Duration::from_millis(300);
/// Requests between two looks at the time.
const BATCH: u64 = 256;

/// Of all threads in all slices, in nanoseconds: see [`without_core`].
static WITHOUT_CORE: AtomicU64 = AtomicU64::new(0);

/// Who asks.
struct Scenario {
    name: &'static str,
    threads: u64,
    /// How many different clients.
    clients: u64,
    /// Of 256 decisions, how many are about client 0 alone.
    hot: u64,
}

const SCENARIOS: [Scenario; 4] = [
    Scenario {
        name: "1k clients, 1 thread",
        threads: 1,
        clients: 1_000,
        hot: 0,
    },
    Scenario {
        name: "1M clients, 1 thread",
        threads: 1,
        clients: MILLION,
        hot: 0,
    },
    Scenario {
        name: "1M clients, 2 threads",
        threads: 2,
        clients: MILLION,
        hot: 0,
    },
    Scenario {
        name: "90 % one client, 2 threads",
        threads: 2,
        clients: MILLION,
        hot: 230,
    },
];

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            decisions();
            println!();
            flood::compare();
        }
        ["flood", name] => flood::run(name),
        _ => panic!("usage: limiter-bench"),
    }
}

/// Prints the table of decisions a second.
fn decisions() {
    let rows = [
        "governor, DashMap (its default)",
        "governor, DashMap, clock shared",
        "governor, HashMap",
        "governor, papaya",
        "governor, moka",
        "pingora-limits Rate, 16 MiB",
        "tidegate",
        "tidegate, quanta's clock",
        "tidegate, prefetched",
        "tidegate, clock shared",
        "tidegate, clock shared, prefetched",
    ];
    let columns = SCENARIOS.map(|scenario| measure(&scenario));
    let shares = SCENARIOS.map(|scenario| scenario.threads * (rows.len() * ROUNDS) as u64);
    let total = SLICE.as_secs_f64() * shares.iter().sum::<u64>() as f64;
    let without = WITHOUT_CORE.load(Ordering::Relaxed) as f64 / 1e9;
    let names = SCENARIOS.map(|scenario| scenario.name).join(" | ");
    println!("| M decisions/s (ratio to the first) | {names} |");
    println!("|---{}|", "|---".repeat(SCENARIOS.len()));
    for (row, name) in rows.iter().enumerate() {
        let cells = columns.each_ref().map(|column| {
            let ratio = column[row] / column[0];
            format!("{:.1} ({ratio:.2})", column[row])
        });
        println!("| {name} | {} |", cells.join(" | "));
    }
    println!(
        "\nneighbours had the core for {:.0} % of the time",
        100.0 * without / total
    );
}

/// Million decisions a second of every store, in the order of the rows.
fn measure(scenario: &Scenario) -> Vec<f64> {
    let tracked = MILLION as usize;
    let stores: [Box<dyn Measured>; 11] = [
        Box::new(GovernorDashMap::new()),
        Box::new(GovernorShared::new()),
        Box::new(GovernorHashMap::new()),
        Box::new(GovernorPapaya::new()),
        Box::new(GovernorMoka::new()),
        Box::new(Sketch::new()),
        Box::new(Tidegate::<Instant>::new(tracked)),
        Box::new(Tidegate::<Quanta>::new(tracked)),
        Box::new(Prefetched(Tidegate::new(tracked))),
        Box::new(Shared(Tidegate::new(tracked))),
        Box::new(SharedPrefetched(Tidegate::new(tracked))),
    ];
    for store in &stores {
        store.meet_all(scenario.clients);
    }
    let mut rounds = stores.each_ref().map(|_| Vec::new());
    for round in 0..ROUNDS {
        for (store, rounds) in stores.iter().zip(&mut rounds) {
            rounds.push(store.throughput(scenario, round as u64));
        }
    }
    rounds.into_iter().map(median).collect()
}

/// A store as a whole: one dynamic call a slice, none a decision.
trait Measured {
    /// Every client comes once, so that no growth is measured.
    fn meet_all(&self, clients: u64);
    /// Million decisions a second in one slice, of all threads together.
    fn throughput(&self, scenario: &Scenario, round: u64) -> f64;
}

impl<S: Store> Measured for S {
    fn meet_all(&self, clients: u64) {
        for index in 0..clients {
            self.allows(&client(index));
        }
    }

    fn throughput(&self, scenario: &Scenario, round: u64) -> f64 {
        let line = Barrier::new(scenario.threads as usize);
        thread::scope(|scope| {
            let run = |thread: u64| {
                let mut random = Random(round << 32 | thread << 16);
                line.wait();
                ask(self, scenario, &mut random)
            };
            let threads: Vec<_> = (0..scenario.threads)
                .map(|thread| scope.spawn(move || run(thread)))
                .collect();
            let rates = threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"));
            rates.sum()
        })
    }
}

/// One thread's million decisions a second, in the time that it had a core or
/// waited for another thread.
fn ask<S: Store>(store: &S, scenario: &Scenario, random: &mut Random) -> f64 {
    let (start, without, mut requests, mut allowed) = (Instant::now(), without_core(), 0, 0);
    while start.elapsed() < SLICE {
        for _ in 0..BATCH {
            let clients: [Client; DECISIONS] =
                std::array::from_fn(|_| client(random.index(scenario)));
            allowed += store.request(&clients);
        }
        requests += BATCH;
    }
    std::hint::black_box(allowed);
    let without = without_core().saturating_sub(without);
    WITHOUT_CORE.fetch_add(without.as_nanos() as u64, Ordering::Relaxed);
    let time = start.elapsed().saturating_sub(without);
    (requests * DECISIONS as u64) as f64 / time.as_secs_f64() / 1e6
}

/// How long this thread could have run and had no core, because of neighbours.
fn without_core() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let delay = stat.split_whitespace().nth(1);
    Duration::from_nanos(delay.and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

/// The client with this number.
fn client(index: u64) -> Client {
    let [a, b, c, d, e, f, g, h] = index.to_be_bytes();
    [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, a, b, c, d, e, f, g, h]
}

/// SplitMix64: a nanosecond a number, the same for every store.
struct Random(u64);

impl Random {
    fn index(&mut self, scenario: &Scenario) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        if mixed & 255 < scenario.hot {
            return 0;
        }
        // The top bits, which the choice above did not use.
        ((u128::from(mixed) * u128::from(scenario.clients)) >> 64) as u64
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
