//! Instructions of one decision, counted by Callgrind: what the clock of a busy
//! machine cannot tell apart, this can. `../README.md` has the command.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use gungraun::{library_benchmark, library_benchmark_group, main};
use tidegate_limit::{Decision, Domain, KeyHasher, Limiter, Now, Quota, Table};

const RATE: NonZeroU32 = NonZeroU32::new(10).unwrap();
const BURST: NonZeroU32 = NonZeroU32::new(20).unwrap();
const COST: NonZeroU32 = NonZeroU32::MIN;
const START: u64 = 1_000_000_000;
/// When all tokens of `START` have come back.
const LATER: u64 = 9_000_000_000;

type Client = [u8; 16];

/// A limiter over one bucket, and the decision that is to be counted.
struct Case {
    limiter: Limiter,
    hasher: KeyHasher,
    client: Client,
    now: Now,
}

impl Case {
    /// Other clients' entries fill the bucket and have passed.
    fn new() -> Self {
        let table = Arc::new(Table::new(1).expect("the machine has the memory"));
        let quota = Quota::new(RATE, Duration::from_secs(1), BURST).expect("within the bounds");
        let mut case = Self {
            limiter: Limiter::new(quota, &table),
            hasher: KeyHasher::from_secret(1, 2),
            client: [0; 16],
            now: Now::from_nanos(START),
        };
        for other in 1..=8 {
            case.client = [other; 16];
            assert!(matches!(case.decide(), Decision::Allowed { .. }));
        }
        case.client = [9; 16];
        case.now = Now::from_nanos(LATER);
        case
    }

    /// The client has used this many tokens.
    fn used(tokens: u32) -> &'static Self {
        let case = Self::new();
        for _ in 0..tokens {
            assert!(matches!(case.decide(), Decision::Allowed { .. }));
        }
        Box::leak(Box::new(case))
    }

    #[inline(always)]
    fn decide(&self) -> Decision {
        let key = self.hasher.key(Domain::Client, &self.client);
        self.limiter.take(key, COST, self.now)
    }
}

// The reading of the clock is not counted: a request shares one.
#[library_benchmark]
#[bench::refused(Case::used(20))]
#[bench::allowed(Case::used(1))]
#[bench::newcomer(Case::used(0))]
fn decision(case: &'static Case) -> Decision {
    black_box(black_box(case).decide())
}

library_benchmark_group!(name = limiter, benchmarks = decision);
main!(library_benchmark_groups = limiter);
