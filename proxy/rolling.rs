//! Stretches of time that are the wider the longer they are past, so that the last seconds are told
//! apart and an hour still fits into memory.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

/// What is kept of a stretch of time.
pub trait Stretch {
    /// Nothing yet.
    fn empty() -> Self;

    /// How long it is.
    fn seconds(&self) -> u64;

    /// Takes over another one.
    fn merge(&mut self, other: &Self);

    /// Gives back memory that it does not need as it is.
    fn shrink(&mut self);
}

/// `L` levels of stretches, each of one width, the narrowest first. Wider ones are made of narrower ones.
#[derive(Debug)]
pub struct Rolling<S, const L: usize> {
    levels: [Level<S>; L],
}

/// Stretches of one width, the newest last, and the one of them that is being filled from narrower ones.
#[derive(Debug)]
struct Level<S> {
    /// In seconds.
    width: u64,
    filling: S,
    kept: VecDeque<S>,
    keep: usize,
}

impl<S: Stretch> Level<S> {
    /// Takes a narrower one over, and gives the one that is full by it.
    fn fill(&mut self, narrower: &S) -> Option<S> {
        self.filling.merge(narrower);
        let is_full = self.filling.seconds() >= self.width;
        is_full.then(|| mem::replace(&mut self.filling, S::empty()))
    }

    fn keep(&mut self, mut stretch: S) {
        stretch.shrink();
        self.kept.push_back(stretch);
        if self.kept.len() > self.keep {
            self.kept.pop_front();
        }
    }
}

impl<S: Stretch, const L: usize> Rolling<S, L> {
    /// Nothing yet; for each level the width of a stretch, in seconds, and how many are kept.
    pub fn new(levels: [(u64, usize); L]) -> Self {
        Rolling {
            levels: levels.map(|(width, keep)| Level {
                width,
                filling: S::empty(),
                kept: VecDeque::new(),
                keep,
            }),
        }
    }

    /// Keeps one of the narrowest width, which is over.
    pub fn keep(&mut self, stretch: S) {
        let mut over = stretch;
        let mut levels = self.levels.iter_mut().peekable();
        while let Some(level) = levels.next() {
            let wider = levels.peek_mut().and_then(|wider| wider.fill(&over));
            level.keep(over);
            match wider {
                Some(wider) => over = wider,
                None => return,
            }
        }
    }

    /// The last one of a level that is over.
    pub fn last(&self, level: usize) -> Option<&S> {
        self.levels.get(level)?.kept.back()
    }

    /// What has not come to the last level yet.
    pub fn unfinished(&self) -> impl Iterator<Item = &S> {
        self.levels.iter().skip(1).map(|level| &level.filling)
    }

    /// All that a level tells of, each second once: what it keeps, and what has not come to it yet.
    pub fn of(&self, level: usize) -> impl Iterator<Item = &S> {
        let kept = self.levels.get(level).into_iter();
        let fillings = self.levels.iter().take(level + 1).skip(1);
        kept.flat_map(|level| &level.kept)
            .chain(fillings.map(|level| &level.filling))
    }
}

/// Tells when stretches of one width are over.
#[derive(Debug)]
pub struct Beat {
    begun: Instant,
    width: Duration,
}

impl Beat {
    /// The first one begins now. `width`: in seconds.
    pub fn new(width: u64) -> Self {
        Beat {
            begun: Instant::now(),
            width: Duration::from_secs(width.max(1)),
        }
    }

    /// For how long the one that goes on has.
    pub fn gone_on(&self) -> Duration {
        self.begun.elapsed()
    }

    /// How many are over since this was asked last: several when nobody asked for a while. A machine
    /// that sleeps does not count.
    pub fn over(&mut self) -> u64 {
        let over = self.begun.elapsed().as_secs() / self.width.as_secs();
        let passed = self
            .width
            .saturating_mul(u32::try_from(over).unwrap_or(u32::MAX));
        self.begun = self.begun.checked_add(passed).unwrap_or_else(Instant::now);
        over
    }
}
