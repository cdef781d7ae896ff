//! Counters that threads add to at once: each in memory of its own, summed up when somebody asks.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Threads that share no memory while they count. More of them share some, and count as exactly.
const SHARDS: usize = 32;
/// Counters of one thread that lie together: processors fetch two lines of their caches at a time.
const TOGETHER: usize = 16;

thread_local! {
    /// The shard of this thread.
    static SHARD: usize = next_shard();
}

fn next_shard() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    THREADS.fetch_add(1, Relaxed) % SHARDS
}

/// Counters by their numbers. Adding to one takes no lock and allocates nothing. Each is exact; two that
/// are read one after the other are of two moments.
#[derive(Debug)]
pub(super) struct Counters {
    /// All of one shard, then all of the next.
    blocks: Vec<Block>,
    blocks_of_a_shard: usize,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Block([AtomicU64; TOGETHER]);

impl Counters {
    /// So many, at zero.
    pub(super) fn new(count: usize) -> Self {
        let blocks_of_a_shard = count.div_ceil(TOGETHER);
        let blocks = (0..SHARDS * blocks_of_a_shard).map(|_| Block::default());
        Counters {
            blocks: blocks.collect(),
            blocks_of_a_shard,
        }
    }

    /// Adds one.
    pub(super) fn increment(&self, number: usize) {
        self.add(number, 1);
    }

    /// Adds so many. One that there is not counts nothing.
    pub(super) fn add(&self, number: usize, amount: u64) {
        let shard = SHARD.with(|shard| *shard);
        if let Some(counter) = self.of_shard(shard, number) {
            counter.fetch_add(amount, Relaxed);
        }
    }

    /// What all threads have added.
    pub(super) fn get(&self, number: usize) -> u64 {
        let shards = (0..SHARDS).filter_map(|shard| self.of_shard(shard, number));
        shards.map(|counter| counter.load(Relaxed)).sum()
    }

    fn of_shard(&self, shard: usize, number: usize) -> Option<&AtomicU64> {
        let block = shard * self.blocks_of_a_shard + number / TOGETHER;
        let Block(counters) = self.blocks.get(block)?;
        counters.get(number % TOGETHER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_threads_than_shards_count_exactly() {
        let counters = Counters::new(TOGETHER + 1);
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| (0..1000).for_each(|at| counters.add(at % 2 * TOGETHER, 3)));
            }
        });
        let each = (2 * SHARDS * 500 * 3) as u64;
        assert_eq!([0, 1, TOGETHER].map(|at| counters.get(at)), [each, 0, each]);
    }

    #[test]
    fn two_threads_do_not_share_a_line() {
        let counters = Counters::new(1);
        let place = || SHARD.with(|shard| *shard);
        let other = std::thread::spawn(place).join().unwrap();
        let address = |shard| std::ptr::from_ref(counters.of_shard(shard, 0).unwrap()).addr();
        assert!(address(place()).abs_diff(address(other)) >= 128);
    }
}
