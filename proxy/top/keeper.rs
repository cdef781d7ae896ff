//! Keeps the last minutes: takes events over, ends slots, answers.

use std::hash::RandomState;
use std::mem;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::answer::Sources;
use super::slot::Slot;
use super::source::Measure;
use super::{Arrivals, Top};
use crate::gate::Gate;
use crate::rolling::{Beat, Rolling, Stretch};

/// How often events are taken over.
const TAKE: Duration = Duration::from_millis(20);
/// How many at once, so that who asks gets a turn in a flood.
const AT_ONCE: usize = 1024;
/// How often it is decided how many events there should be.
const ADAPT: Duration = Duration::from_millis(100);
/// Seconds of the shortest slot.
const SLOT: u64 = 2;
/// Seconds of the longest.
const MINUTE: u64 = 60;
/// As many of them as are told of at the most.
const ALL: u64 = 660 / SLOT;
/// How old an answer may be: whoever asks more often gets the same one.
const FRESH: Duration = Duration::from_millis(500);

/// Over which time it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The last ten seconds.
    TenSeconds,
    /// The last minute.
    Minute,
    /// The last ten.
    TenMinutes,
}

impl Window {
    /// All, the shortest first.
    pub const ALL: [Window; 3] = [Window::TenSeconds, Window::Minute, Window::TenMinutes];

    /// Its name.
    pub const fn label(self) -> &'static str {
        match self {
            Window::TenSeconds => "10s",
            Window::Minute => "1m",
            Window::TenMinutes => "10m",
        }
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Window::ALL.into_iter();
        let found = all.find(|window| window.label() == text);
        found.ok_or_else(|| format!("there is no window {text:?}; there are 10s, 1m and 10m"))
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Over which time.
    pub window: Window,
    /// By what the sources are compared.
    pub by: Measure,
    /// How many of each kind are named, at most.
    pub limit: usize,
}

/// What came lately, and the thread that keeps it.
#[derive(Debug)]
pub struct Keeper {
    gate: Arc<Gate>,
    kept: Mutex<Kept>,
    answers: Mutex<[Option<Made>; Window::ALL.len()]>,
}

/// All of a window in one, and since when.
#[derive(Debug)]
struct Made {
    at: Instant,
    slot: Arc<Slot>,
}

#[derive(Debug)]
struct Kept {
    beat: Beat,
    now: Slot,
    /// Of two seconds, ten, and a minute.
    slots: Rolling<Slot, 3>,
    /// How many of these are over.
    over: u64,
    missed: u64,
}

/// Events that were drawn since it was last decided how many there should be.
#[derive(Debug, Default)]
struct Drawn {
    refused: u64,
    served: u64,
}

impl Kept {
    fn new(missed: u64) -> Self {
        Kept {
            beat: Beat::new(SLOT),
            now: Slot::now(),
            slots: Rolling::new([(SLOT, 5), (10, 6), (MINUTE, 10)]),
            over: 0,
            missed,
        }
    }

    /// Ends the slots whose time has passed.
    fn end_slots(&mut self, missed: u64) {
        let over = self.beat.over();
        if over > ALL {
            // Minutes begin anew, too.
            let over = (self.over + over).next_multiple_of(MINUTE / SLOT);
            *self = Kept::new(missed);
            self.over = over;
            return;
        }
        for _ in 0..over {
            let mut slot = Slot::empty();
            slot.merge(&mem::replace(&mut self.now, Slot::now()));
            slot.seconds = SLOT as f64;
            slot.missed = missed.saturating_sub(mem::replace(&mut self.missed, missed));
            self.slots.keep(slot);
        }
        self.over += over;
    }

    /// All of a window in one.
    fn of(&self, window: Window, missed: u64) -> Slot {
        let mut all = Slot::answer();
        for slot in self.slots.of(window as usize) {
            all.merge(slot);
        }
        self.add_now(&mut all, missed);
        all
    }

    /// All of the minute that goes on.
    fn this_minute(&self, missed: u64) -> Slot {
        let mut all = Slot::answer();
        for slot in self.slots.unfinished() {
            all.merge(slot);
        }
        self.add_now(&mut all, missed);
        all
    }

    fn add_now(&self, all: &mut Slot, missed: u64) {
        all.merge(&self.now);
        all.seconds += self.beat.gone_on().as_secs_f64();
        all.missed += missed.saturating_sub(self.missed);
    }
}

impl Keeper {
    /// Begins. `arrivals`: those of the account's [`Top`].
    ///
    /// # Errors
    /// When a thread cannot be had.
    pub fn start(gate: Arc<Gate>, arrivals: Arrivals) -> std::io::Result<Arc<Self>> {
        let keeper = Arc::new(Keeper {
            gate,
            kept: Mutex::new(Kept::new(0)),
            answers: Mutex::default(),
        });
        let keeping = keeper.clone();
        thread::Builder::new()
            .name("top".to_owned())
            .spawn(move || keeping.keep(&arrivals))?;
        Ok(keeper)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn top(&self) -> &Top {
        &self.gate.account.top
    }

    fn missed(&self) -> u64 {
        self.top().feed.missed()
    }

    fn keep(&self, arrivals: &Arrivals) {
        let hashing = RandomState::new();
        let (mut since, mut drawn) = (Instant::now(), Drawn::default());
        loop {
            if !self.take(arrivals, &hashing, &mut drawn) {
                thread::sleep(TAKE);
            }
            let time = since.elapsed();
            if time >= ADAPT {
                self.top().refused.adapt(drawn.refused, time);
                self.top().served.adapt(drawn.served, time);
                (since, drawn) = (Instant::now(), Drawn::default());
                self.forget_answers();
            }
        }
    }

    /// Takes over what has come; whether there may be more.
    fn take(
        &self,
        Arrivals(arrivals): &Arrivals,
        hashing: &RandomState,
        drawn: &mut Drawn,
    ) -> bool {
        let mut kept = self.lock();
        // Only while there is anything: who replaces these waits for those who look.
        let mut in_force = None;
        let mut taken = 0;
        for event in arrivals.try_iter().take(AT_ONCE) {
            let (policy, owners) =
                in_force.get_or_insert_with(|| (self.gate.policy.load(), self.top().owners.load()));
            let client = policy.client.prefix(event.client);
            kept.now.take(&event, client, owners, hashing);
            match event.refused {
                _ if !event.is_drawn() => {}
                true => drawn.refused += 1,
                false => drawn.served += 1,
            }
            taken += 1;
        }
        kept.end_slots(self.missed());
        taken == AT_ONCE
    }

    /// Who sent the most. Takes milliseconds: not for a thread that others wait for.
    pub fn sources(&self, query: Query) -> Sources {
        Sources::of(&self.window(query.window), query, &self.gate)
    }

    /// How many minutes are over.
    pub fn minutes_over(&self) -> u64 {
        self.lock().over * SLOT / MINUTE
    }

    /// Who sent the most in the last one that is.
    pub fn last_minute(&self) -> Sources {
        let last = self.lock().slots.last(Window::TenMinutes as usize).cloned();
        last.map_or_else(Sources::default, |slot| {
            Sources::of_minute(&slot, &self.gate)
        })
    }

    /// Who has sent the most in the one that goes on.
    pub fn this_minute(&self) -> Sources {
        let slot = self.lock().this_minute(self.missed());
        Sources::of_minute(&slot, &self.gate)
    }

    /// Gives back the memory of answers that nobody gets any more.
    fn forget_answers(&self) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        for answer in answers.iter_mut() {
            answer.take_if(|made| made.at.elapsed() >= FRESH);
        }
    }

    fn window(&self, window: Window) -> Arc<Slot> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let made = answers.get(window as usize).and_then(Option::as_ref);
        if let Some(made) = made.filter(|made| made.at.elapsed() < FRESH) {
            return made.slot.clone();
        }
        let slot = Arc::new(self.lock().of(window, self.missed()));
        if let Some(answer) = answers.get_mut(window as usize) {
            let (at, slot) = (Instant::now(), slot.clone());
            *answer = Some(Made { at, slot });
        }
        slot
    }
}
