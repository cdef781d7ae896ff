//! What one entry of the table looks like: a time and a fingerprint in a word.
//!
//! An entry is a key's theoretical arrival time (TAT): the time at which its
//! token bucket is full again. Everything that GCRA has to know of a key is how
//! far that time lies ahead; once it has passed, the entry says the same as no
//! entry.
//!
//! ```text
//! 63                              25   24  23                0
//! | TAT, in units, modulo 2^39      |grain| fingerprint, not 0 |
//! ```
//!
//! # Units
//! A quota of 10 a second and one of 1,000,000 a second cannot share a unit: the
//! second one's interval is 1000 ns, so a unit of about a microsecond would be
//! wrong by up to 40 %, and a unit fine enough for it would spend the bits of
//! the fingerprint or make the ring short. One bit, the grain, chooses between
//! two:
//!
//! | grain | for intervals | unit | ring | counts as ahead | rest: passed |
//! |---|---|---|---|---|---|
//! | coarse | from 200 us | 2 us | 12.7 days | 11 days | 1.7 days |
//! | fine | below 200 us | 20 ns | 3.05 hours | 10 minutes | 2.9 hours |
//!
//! - An interval is wrong by at most half a unit: 1 % of 1 us, 0.5 % of 200 us.
//! - A fine quota's window is at most 1,000,001 times 200 us: 200 s. A coarse
//!   one's is bounded to ten days when the quota is built. Both leave slack
//!   ahead for threads whose clocks lag (400 s and one day).
//! - Units are decimal, so that the rates which people write are exact.
//!
//! The word of a live entry is never the empty word, 0, because a fingerprint
//! is never 0.
//!
//! # Ghosts
//! An entry that nobody touches comes round the ring: 2.9 hours (coarse: 1.7
//! days) after it passed it would look like a time ahead. Sweeping once an hour
//! keeps all passed entries in the ring's passed part.
//!
//! # False matches
//! Two keys in one bucket (the hash's top bits) with one fingerprint (its low 24
//! bits) share an entry. With all 8 slots of a bucket taken, that meets a key
//! with a probability of 8 / 2^24 = 4.8e-7; with a quarter taken, 1.2e-7.

use std::time::Duration;

use crate::key::Key;
use crate::time::Now;

const TAT_BITS: u32 = 39;
const TAT_MASK: u64 = (1 << TAT_BITS) - 1;
const TAT_SHIFT: u32 = 64 - TAT_BITS;
const FINE_BIT: u64 = 1 << PRINT_BITS;
const PRINT_BITS: u32 = 24;
const PRINT_MASK: u64 = (1 << PRINT_BITS) - 1;

/// Nanoseconds in a unit of a fine entry.
const FINE_UNIT: u64 = 20;
/// Nanoseconds in a unit of a coarse entry.
const COARSE_UNIT: u64 = 2_000;
/// The shortest interval, in nanoseconds, that is kept in coarse units.
const COARSE_FROM: u128 = 200_000;

/// The longest window, with one interval, that an entry can hold; the rest of
/// what counts as ahead is slack for clocks that lag.
pub(crate) const LONGEST_WINDOW: Duration = Duration::from_secs(10 * 24 * 3600);

/// The unit in which an entry keeps its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grain {
    /// 2 us.
    Coarse,
    /// 20 ns.
    Fine,
}

impl Grain {
    /// The grain for a quota whose tokens are `nanos` apart.
    pub(crate) const fn of_interval(nanos: u128) -> Self {
        if nanos < COARSE_FROM {
            Self::Fine
        } else {
            Self::Coarse
        }
    }

    /// Nanoseconds in a unit.
    pub(crate) const fn unit(self) -> u64 {
        match self {
            Self::Coarse => COARSE_UNIT,
            Self::Fine => FINE_UNIT,
        }
    }

    /// How many units from now still count as ahead.
    const fn horizon(self) -> u64 {
        match self {
            Self::Coarse => 11 * 24 * 3600 * 1_000_000_000 / COARSE_UNIT,
            Self::Fine => 600 * 1_000_000_000 / FINE_UNIT,
        }
    }

    /// `nanos` in units, rounded up. Written out, so that the compiler divides
    /// by constants.
    pub(crate) const fn units_up(self, nanos: u64) -> u64 {
        match self {
            Self::Coarse => nanos.div_ceil(COARSE_UNIT),
            Self::Fine => nanos.div_ceil(FINE_UNIT),
        }
    }
}

/// The time of a decision in one grain: all that a key's own entry needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    now: Now,
    grain: Grain,
    /// Whole units since the start.
    units: u64,
}

impl Reading {
    pub(crate) const fn at(now: Now, grain: Grain) -> Self {
        // Written out, so that the compiler divides by constants.
        let units = match grain {
            Grain::Coarse => now.as_nanos() / COARSE_UNIT,
            Grain::Fine => now.as_nanos() / FINE_UNIT,
        };
        Self { now, grain, units }
    }

    /// Nanoseconds since the last whole unit.
    pub(crate) const fn rest(&self) -> u64 {
        self.now.as_nanos() - self.units * self.grain.unit()
    }
}

/// One grain's ring, from its oldest time to the one that lies furthest ahead.
#[derive(Clone, Copy, Debug)]
struct Ring {
    /// The oldest time, in units since the start, modulo the ring.
    oldest: u64,
    /// Nanoseconds in a unit.
    unit: u64,
    /// Nanoseconds from the oldest time to now.
    age: i64,
}

impl Ring {
    const fn at(now: Now, grain: Grain) -> Self {
        let reading = Reading::at(now, grain);
        let passed = TAT_MASK - grain.horizon();
        Self {
            oldest: reading.units.wrapping_sub(passed),
            unit: grain.unit(),
            // Below 2^51.
            age: (passed * grain.unit() + reading.rest()) as i64,
        }
    }
}

/// The time of a decision in both grains: what it takes to compare entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    now: Now,
    coarse: Ring,
    fine: Ring,
}

impl Moment {
    pub(crate) const fn at(now: Now) -> Self {
        Self {
            now,
            coarse: Ring::at(now, Grain::Coarse),
            fine: Ring::at(now, Grain::Fine),
        }
    }

    const fn ring(&self, grain: Grain) -> &Ring {
        match grain {
            Grain::Coarse => &self.coarse,
            Grain::Fine => &self.fine,
        }
    }
}

/// The low bits of a key's hash, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Print(u64);

impl Print {
    pub(crate) const fn of(key: Key) -> Self {
        match key.bits() & PRINT_MASK {
            0 => Self(1),
            low => Self(low),
        }
    }
}

/// One slot's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(u64);

impl Word {
    /// What a slot holds that nobody has used.
    pub(crate) const EMPTY: Self = Self(0);

    /// An entry whose time lies `ahead` units of the reading's grain after the
    /// reading's whole unit.
    pub(crate) const fn new(print: Print, ahead: u64, reading: &Reading) -> Self {
        let units = reading.units.wrapping_add(ahead);
        Self::pack(print, reading.grain, units)
    }

    const fn pack(print: Print, grain: Grain, units: u64) -> Self {
        let fine = match grain {
            Grain::Coarse => 0,
            Grain::Fine => FINE_BIT,
        };
        Self((units & TAT_MASK) << TAT_SHIFT | fine | print.0)
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn is_of(self, print: Print) -> bool {
        self.0 & PRINT_MASK == print.0
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn grain(self) -> Grain {
        if self.0 & FINE_BIT == 0 {
            Grain::Coarse
        } else {
            Grain::Fine
        }
    }

    /// Nanoseconds from `moment` to the entry's time: positive while it lies
    /// ahead, zero or negative when it has passed, the least `i64` for an empty
    /// slot.
    ///
    /// It is the difference to the moment itself, not to a whole unit of it, so
    /// that the order of two entries is the same at every moment, whatever
    /// their grains. That is what lets racing threads choose the same victim.
    pub(crate) const fn due(self, moment: &Moment) -> i64 {
        let ring = moment.ring(self.grain());
        // Below 2^51.
        let nanos = (self.units_since(ring.oldest) * ring.unit) as i64;
        if self.is_empty() {
            i64::MIN
        } else {
            nanos - ring.age
        }
    }

    /// Units from `units` to the entry's time, round the ring.
    const fn units_since(self, units: u64) -> u64 {
        (self.0 >> TAT_SHIFT).wrapping_sub(units) & TAT_MASK
    }

    /// Whether the entry's time lies ahead.
    pub(crate) const fn is_live(self, moment: &Moment) -> bool {
        self.due(moment) > 0
    }

    /// Units from the reading's whole unit to the entry's time, unless it has
    /// passed. The entry is not the empty one.
    pub(crate) const fn ahead(self, reading: &Reading) -> Option<u64> {
        let same_grain = match (self.grain(), reading.grain) {
            (Grain::Coarse, Grain::Coarse) | (Grain::Fine, Grain::Fine) => true,
            (Grain::Coarse, Grain::Fine) | (Grain::Fine, Grain::Coarse) => false,
        };
        if !same_grain {
            return self.ahead_converted(reading);
        }
        match self.units_since(reading.units) {
            0 => None,
            units if units > reading.grain.horizon() => None,
            units => Some(units),
        }
    }

    /// The same for an entry of the other grain, from an earlier quota: rounded
    /// up to whole units.
    #[cold]
    const fn ahead_converted(self, reading: &Reading) -> Option<u64> {
        let moment = Moment::at(reading.now);
        match self.due(&moment) + reading.rest() as i64 {
            ..=0 => None,
            ahead => Some(reading.grain.units_up(ahead as u64)),
        }
    }

    /// The same entry with a time `age` nanoseconds ago, if its own has passed
    /// before that: how a sweep keeps it from coming round the ring.
    pub(crate) const fn redated(self, age: u64, moment: &Moment) -> Option<Self> {
        if self.is_empty() || self.due(moment) >= -(age as i64) {
            return None;
        }
        let grain = self.grain();
        let units = Reading::at(moment.now, grain).units;
        let then = units.wrapping_sub(grain.units_up(age));
        Some(Self::pack(Print(self.0 & PRINT_MASK), grain, then))
    }
}
