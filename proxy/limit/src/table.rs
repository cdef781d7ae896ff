//! The table of token buckets, and the rules by which threads share it.
//!
//! A key's bucket is chosen by the top bits of its hash. In the bucket, a lookup
//! reads eight words. If one has the key's fingerprint, GCRA decides on its time
//! and the whole word is replaced by compare-and-swap; a refusal writes nothing,
//! so a client that is being refused costs its threads no contention. If none
//! has, the entry with the earliest time is replaced: an empty slot first, then
//! one whose time has passed, which loses nothing. Only when all eight are live
//! does a client lose what it had used; this is counted, see
//! [`Table::evictions`].
//!
//! # What holds
//! Let nobody's live entry be evicted. Then a key has one entry at most, under
//! any interleaving, and one entry is one word, so GCRA's bound holds: never
//! more than `burst + rate * t` in any time `t`.
//!
//! That a key has one entry: suppose that threads A and B insert the same key
//! into slots i and j. Neither saw the other's entry, so each read the other's
//! slot as it was before (in that slot's modification order). Every write makes a
//! slot's time later: an insertion replaces a time that has passed by one that
//! is ahead, an update adds intervals, a sweep re-dates a time that has passed,
//! and a slot is never emptied again. So what A read in j is not later than what
//! B replaced there, and what B read in i not later than what A replaced there.
//! A preferred i to j and B preferred j to i, by times and then by position: so
//! both times are equal, and then both preferred the lower position. This uses
//! each slot's modification order only; it needs no stronger memory ordering.
//! It does need the slots to be read once: the words in which a key was not found
//! are the ones that choose its slot.
//! (The clamp below makes a time earlier, but leaves it ahead of anything that
//! has passed, which is what victims are chosen from. By a clock that lags it may
//! not: see "Changes of quotas".)
//!
//! The models in `races` run these rules through their interleavings.
//!
//! # Clocks
//! Threads may come with times out of order, by a lag of `s`: one that read the
//! clock and was then suspended. A key that has an entry is decided exactly as
//! GCRA would with that time. A key whose entry passed by a later clock and was
//! taken starts afresh at the earlier time, so the bound becomes
//! `burst + rate * (t + s)`. A clock that stands still refills nothing. A lag
//! longer than the ring's slack (400 s) makes entries look passed.
//!
//! # Changes of quotas
//! Entries outlive quotas. A time that lies further ahead than a quota's window
//! allows comes from an earlier quota and is moved to the window's end: once, by
//! the next decision about that key. It must not be confused with an entry that
//! is too far ahead only because this thread's clock lags; hence `latest`, the
//! latest time of any decision that was allowed (within [`STEP`]), by which the
//! lag is known.
//!
//! A thread may decide by a quota that another one has just replaced. It must not
//! clamp what the new quota allows: hence generations, see
//! [`Table::put_in_force`]. What such a thread lets through by the old quota, one
//! decision, is the old quota's.
//!
//! A lag that `latest` does not tell, of a thread that was suspended for longer
//! than the new window while it moved a time, can leave that time passed for the
//! others and earlier than what they read there before. Two threads that insert
//! one key of that bucket meanwhile can then choose two slots, and that key gets
//! one burst more, once. Nothing counts it: it takes a change of quotas and three
//! threads in one bucket in those instants.
//!
//! # Synchronization
//! | write | read | so that |
//! |---|---|---|
//! | `Seen::replace`, Release, by a new limiter after `put_in_force` | `Seen::read`, Acquire, before `clamp` reads `generation` | who sees what a new limiter wrote does not clamp it by an old one |
//! | `Seen::replace`, Release, after `note` updated `latest` | `Seen::read`, Acquire, before `clamp` reads `latest` | who sees an entry sees a `latest` not more than a `STEP` older than the time it was written at |
//!
//! All else is Relaxed: a word is the whole entry and publishes nothing, the
//! argument above rests on modification orders, and `evictions` is a statistic.

use std::fmt;

use crate::atomic::{AtomicU64, Ordering};
use crate::bucket::{Bucket, SLOTS, Seen};
use crate::error::TableError;
use crate::key::Key;
use crate::memory;
use crate::ring::{Grain, Moment, Print, Reading, Word};
use crate::tally::{OwnLine, Tally};
use crate::time::Now;

/// Slots for each client that is to be tracked: at a quarter full, a bucket
/// overflows with a probability of 1.5e-4.
const SLOTS_PER_CLIENT: usize = 4;
/// Clients for each bucket.
const CLIENTS_PER_BUCKET: usize = SLOTS / SLOTS_PER_CLIENT;
/// So many buckets leave the fingerprint's 24 bits of the hash alone.
const MOST_BUCKETS: u64 = 1 << 40;
/// Buckets in the smallest page of memory.
const BUCKETS_PER_PAGE: usize = 4096 / size_of::<Bucket>();
/// How old `latest` may be, in nanoseconds: coarse, so that it is rarely
/// written.
const STEP: u64 = 5_000_000;
/// The least [`Terms::slack`], in nanoseconds: a `STEP`, and what rounding adds.
pub(crate) const LEAST_SLACK: u64 = 2 * STEP;
/// What a sweep leaves alone, in nanoseconds since the entry passed: more than
/// a thread's clock lags.
const SWEEP_AGE: u64 = 60_000_000_000;

/// The bounded table of token buckets that all limiters share: set-associative,
/// lock-free, of fixed memory.
///
/// # Memory
/// 32 bytes for each client that is to be tracked (rounded up to 64 bytes),
/// allocated and touched by [`Table::new`]; nothing later. A client takes room
/// only until the tokens it used have come back.
///
/// # Exactness
/// While [`Table::evictions`] stays the same, no key is ever let through more
/// often than `burst + rate * t`. Each live eviction can give one key back at
/// most one burst. Where a thread decides with a time that lags `s` behind the
/// others', `t` counts as longer by `s`. When a quota has just changed, a thread
/// that lags more than the new window can in a rare race give one key one burst
/// more, which nothing counts. Two keys share an entry with a
/// probability of at most 4.8e-7.
///
/// # Upkeep
/// [`Table::sweep`] has to be called once an hour.
pub struct Table {
    buckets: Vec<Bucket>,
    /// What `bucket` answers with where it has to answer with something.
    spare: Bucket,
    latest: OwnLine<AtomicU64>,
    /// That of the newest limiters in force.
    generation: AtomicU64,
    evictions: Tally,
}

/// What a limiter's quota asks of its entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// The unit to keep them in.
    pub(crate) grain: Grain,
    /// How far ahead a time can lie, in units of the grain.
    pub(crate) window: u64,
    /// How much further it can lie before it is moved to the window's end, in
    /// units of the grain: at least [`LEAST_SLACK`].
    pub(crate) slack: u64,
    /// Which of the quotas that follow each other over the table this is.
    pub(crate) generation: u64,
}

impl Table {
    /// A table for `max_tracked` clients that are active at the same time.
    ///
    /// # Errors
    /// [`TableError`], when the memory cannot be had or `max_tracked` is above
    /// 2^41. (Where the kernel promises more memory than there is, touching it
    /// can still end the process; sizes beyond the machine's memory it refuses.)
    pub fn new(max_tracked: usize) -> Result<Self, TableError> {
        let count = max_tracked.div_ceil(CLIENTS_PER_BUCKET).max(1);
        if count as u64 > MOST_BUCKETS {
            let most = MOST_BUCKETS * CLIENTS_PER_BUCKET as u64;
            return Err(TableError::TooLarge { most });
        }
        let mut buckets = Vec::new();
        let bytes = count as u64 * size_of::<Bucket>() as u64;
        buckets
            .try_reserve_exact(count)
            .map_err(|_| TableError::OutOfMemory { bytes })?;
        memory::prefer_large(buckets.spare_capacity_mut());
        buckets.resize_with(count, Bucket::default);
        // The compiler may turn the zeroes above into untouched pages.
        buckets
            .iter()
            .step_by(BUCKETS_PER_PAGE)
            .for_each(Bucket::touch);
        Ok(Self {
            buckets,
            spare: Bucket::default(),
            latest: OwnLine::default(),
            generation: AtomicU64::default(),
            evictions: Tally::default(),
        })
    }

    /// How many clients the table is sized for: a quarter of its slots.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buckets.len() * CLIENTS_PER_BUCKET
    }

    /// How many keys' entries are live: those that have used tokens which have
    /// not come back yet. Reads the whole table; not for the request path.
    #[must_use]
    pub fn tracked(&self, now: Now) -> usize {
        let moment = Moment::at(now);
        let live = |bucket: &Bucket| {
            let words = bucket.read().into_iter();
            words.filter(|word| word.is_live(&moment)).count()
        };
        self.buckets.iter().map(live).sum()
    }

    /// How many live entries had to make room since the start. Each may have
    /// given one client one burst too many: alert on it, and size the table up.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.evictions.sum()
    }

    /// Puts the limiters in force that were built since the last call, and takes
    /// those from before out of it: a thread that still decides by one of them does
    /// no longer move what it finds to the end of that limiter's window. Call it
    /// for the first limiters and whenever quotas change, just before the new ones are
    /// handed out. Who never
    /// calls it has limiters that are all in force.
    pub fn put_in_force(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// What a limiter that is built now belongs to.
    pub(crate) fn next_generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed) + 1
    }

    /// Keeps entries whose time has passed from coming round the ring as times
    /// ahead. Due once an hour; the ring forgives 2.9 hours. Reads the whole
    /// table, beside the traffic; not for the request path.
    ///
    /// Entries are re-dated, not emptied, because a slot's time must never go
    /// back (see the module's documentation); either way they are free to take.
    pub fn sweep(&self, now: Now) {
        let moment = Moment::at(now);
        for seen in self.buckets.iter().flat_map(Bucket::slots) {
            if let Some(word) = seen.word.redated(SWEEP_AGE, &moment) {
                // If it fails, somebody has just used the slot: nothing to do.
                seen.replace(word);
            }
        }
    }

    /// Lets `decide` judge how far ahead the key's time lies (in units of the
    /// terms' grain, from the last whole one; `None` when it has passed) and, if
    /// it agrees, stores the time that it returns. `decide` runs again when
    /// another thread was faster.
    ///
    /// Lock-free: a round is lost only to another thread's success.
    #[inline]
    pub(crate) fn decide<T, E>(
        &self,
        key: Key,
        now: Now,
        terms: &Terms,
        decide: impl Fn(Option<u64>) -> Result<(T, u64), E>,
    ) -> Result<T, E> {
        let (bucket, print) = (self.bucket(key), Print::of(key));
        let reading = Reading::at(now, terms.grain);
        loop {
            let words = bucket.read();
            let (seen, ahead, evicts) = match bucket.own(&words, print) {
                Some(seen) => (seen, seen.word.ahead(&reading), false),
                None => room(bucket, &words, now),
            };
            if let Some(end) = ahead.and_then(|ahead| self.clamp(ahead, now, terms)) {
                seen.replace(Word::new(print, end, &reading));
                continue;
            }
            let (outcome, ahead) = decide(ahead)?;
            self.note(now);
            if seen.replace(Word::new(print, ahead, &reading)) {
                if evicts {
                    self.evictions.add();
                }
                return Ok(outcome);
            }
        }
    }

    /// How far ahead the key's time lies, in units of the terms' grain, as
    /// [`Table::decide`] would find it; `None` when it has passed. Writes nothing.
    #[inline]
    pub(crate) fn ahead(&self, key: Key, now: Now, terms: &Terms) -> Option<u64> {
        let bucket = self.bucket(key);
        let own = bucket.own(&bucket.read(), Print::of(key))?;
        let ahead = own.word.ahead(&Reading::at(now, terms.grain))?;
        Some(self.clamp(ahead, now, terms).unwrap_or(ahead))
    }

    /// Starts to fetch the key's bucket into the cache.
    #[inline]
    pub(crate) fn prefetch(&self, key: Key) {
        memory::prefetch(self.bucket(key));
    }

    #[inline]
    fn bucket(&self, key: Key) -> &Bucket {
        // The top bits, scaled to the number of buckets: always below it.
        let scaled = u128::from(key.bits()) * self.buckets.len() as u128;
        let index = (scaled >> 64) as usize;
        self.buckets.get(index).unwrap_or(&self.spare)
    }

    /// How far ahead a time should be that lies further ahead than the quota
    /// and this thread's lag can explain.
    fn clamp(&self, ahead: u64, now: Now, terms: &Terms) -> Option<u64> {
        (ahead > terms.window.saturating_add(terms.slack))
            .then(|| self.clamp_by_lag(ahead, now, terms))
            .flatten()
    }

    #[cold]
    fn clamp_by_lag(&self, ahead: u64, now: Now, terms: &Terms) -> Option<u64> {
        if terms.generation < self.generation.load(Ordering::Relaxed) {
            return None;
        }
        let latest = self.latest.0.load(Ordering::Relaxed);
        let lag = latest.saturating_sub(now.as_nanos());
        let end = terms.window.saturating_add(terms.grain.units_up(lag));
        (ahead > end.saturating_add(terms.slack)).then_some(end)
    }

    /// Keeps `latest` within a [`STEP`] of `now`, before an entry is written.
    pub(crate) fn note(&self, now: Now) {
        let latest = self.latest.0.load(Ordering::Relaxed);
        if now.as_nanos().saturating_sub(latest) > STEP {
            self.latest.0.fetch_max(now.as_nanos(), Ordering::Relaxed);
        }
    }
}

/// The slot that a newcomer takes, that it has no time of its own, and whether
/// somebody loses theirs. Apart from `decide`, whose registers it would take.
#[inline(never)]
fn room<'a>(bucket: &'a Bucket, words: &[Word; SLOTS], now: Now) -> (Seen<'a>, Option<u64>, bool) {
    let moment = Moment::at(now);
    let seen = bucket.victim(words, &moment);
    (seen, None, seen.word.is_live(&moment))
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("capacity", &self.capacity())
            .field("evictions", &self.evictions())
            .finish_non_exhaustive()
    }
}
