//! How many are in use at once, for each key.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::atomic::{AtomicU32, Ordering};
use crate::error::TableError;
use crate::key::Key;

/// The largest row: each is indexed by half of the hash.
const LONGEST_ROW: u64 = 1 << 32;

/// How many of something each key has in use now: the open connections of a
/// client, the requests in flight of a tenant.
///
/// Two rows of counters, indexed by two independent halves of the key's hash. A
/// key's count is the smaller of its two counters. Fixed memory: 8 bytes for
/// each unit of the rows' length. Wait-free.
///
/// # Exactness
/// - Never too low: a key never holds more permits than `max`.
/// - Too high only if both counters are shared with other keys in use. With `n`
///   keys in use in rows of `m` counters that happens to a key with a
///   probability below `(n / m)^2`: one in 4,096 for `m = 64 n`. Even then it is
///   refused only once all that share its counters reach its limit together.
/// - Two threads that ask for a key's last place at the same instant may both
///   be refused. A refusal that finds the key at its limit writes nothing.
/// - A counter holds 2^32 - 1 permits, whose own memory would be 64 GiB.
///
/// # Synchronization
/// A thread raises the first counter, then the second, then looks at both. Of
/// the permits that a key holds, let Z be the one that raised the second counter
/// last. It sees there all the others, by that counter's modification order. It
/// sees them in the first counter too, by this pair:
///
/// | write | read | so that |
/// |---|---|---|
/// | the second counter's `fetch_add`, Release, after the first's | Z's own `fetch_add` on it, Acquire, before the first's `load` | who finds another's rise in the second counter finds it in the first |
/// | either counter's `fetch_sub` in a permit's drop, Release | the second's `fetch_add` and the first's `load`, Acquire | who gets a place finds done what its last holder did |
///
/// So Z counts them all, and was let in only if that was within the limit. All
/// else is Relaxed: a look at the counts promises nothing.
pub struct Occupancy {
    first: Row,
    second: Row,
}

/// The right to use one of a key's places, given back when dropped.
#[must_use = "dropping a permit gives its place back"]
pub struct Permit {
    occupancy: Arc<Occupancy>,
    key: Key,
}

impl Occupancy {
    /// Two rows of `rows_len` counters, rounded up to a power of two, allocated
    /// and touched now.
    ///
    /// # Errors
    /// [`TableError`], when the memory cannot be had or `rows_len` is above 2^32.
    pub fn new(rows_len: usize) -> Result<Self, TableError> {
        Ok(Self {
            first: Row::new(rows_len)?,
            second: Row::new(rows_len)?,
        })
    }

    /// Takes one of the key's places, if fewer than `max` are taken.
    ///
    /// The limit is given each time, so that it can change: when it falls below
    /// what is in use, nobody is thrown out, and nobody let in.
    pub fn try_acquire(self: &Arc<Self>, key: Key, max: NonZeroU32) -> Option<Permit> {
        if self.at_limit(key, max) {
            return None;
        }
        let (first, second) = self.counters(key);
        first.fetch_add(1, Ordering::Relaxed);
        let in_second = second.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        let in_first = first.load(Ordering::Acquire);
        // From here on the permit's drop takes back what was added.
        let permit = Permit {
            occupancy: Arc::clone(self),
            key,
        };
        (in_first.min(in_second) <= max.get()).then_some(permit)
    }

    /// How many of the key's places are taken.
    #[must_use]
    pub fn count(&self, key: Key) -> u32 {
        let (first, second) = self.counters(key);
        let in_second = second.load(Ordering::Relaxed);
        first.load(Ordering::Relaxed).min(in_second)
    }

    /// Whether the key has `max` places taken. Writes nothing.
    #[must_use]
    pub fn at_limit(&self, key: Key, max: NonZeroU32) -> bool {
        self.count(key) >= max.get()
    }

    fn counters(&self, key: Key) -> (&AtomicU32, &AtomicU32) {
        let hash = key.bits();
        (self.first.at(hash), self.second.at(hash >> 32))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let (first, second) = self.occupancy.counters(self.key);
        first.fetch_sub(1, Ordering::Release);
        second.fetch_sub(1, Ordering::Release);
    }
}

impl fmt::Debug for Occupancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Occupancy")
            .field("rows_len", &self.first.counters.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// A row of counters, a power of two of them.
struct Row {
    counters: Vec<AtomicU32>,
    /// What `at` answers with where it has to answer with something.
    spare: AtomicU32,
}

impl Row {
    fn new(len: usize) -> Result<Self, TableError> {
        if len as u64 > LONGEST_ROW {
            return Err(TableError::TooLarge { most: LONGEST_ROW });
        }
        // At most 2^32, so there is such a power and it fits.
        let len = len.next_power_of_two();
        let mut counters = Vec::new();
        let bytes = len as u64 * size_of::<AtomicU32>() as u64;
        counters
            .try_reserve_exact(len)
            .map_err(|_| TableError::OutOfMemory { bytes })?;
        counters.resize_with(len, || AtomicU32::new(0));
        // The compiler may turn the zeroes above into untouched pages.
        let a_page = counters.iter().step_by(4096 / size_of::<AtomicU32>());
        a_page.for_each(|counter| counter.store(0, Ordering::Relaxed));
        let spare = AtomicU32::new(0);
        Ok(Self { counters, spare })
    }

    /// The counter that the low bits of `bits` choose.
    fn at(&self, bits: u64) -> &AtomicU32 {
        // Always below the length, which is a power of two.
        let index = bits as usize & (self.counters.len() - 1);
        self.counters.get(index).unwrap_or(&self.spare)
    }
}
