//! Keeps the last hour: takes events over, ends slots, answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::answer::{Preview, Window};
use super::history::{HOUR, History, SLOT, Span};
use super::preview::Question;
use super::{Arrivals, Totals};
use crate::gate::Gate;
use crate::rolling::Beat;

/// How often events are taken over.
const TAKE: Duration = Duration::from_millis(20);
/// How many at once, so that who asks gets a turn in a flood.
const AT_ONCE: usize = 4096;

/// The last hour, and the thread that keeps it.
#[derive(Debug)]
pub struct Keeper {
    gate: Arc<Gate>,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    history: History,
    beat: Beat,
}

impl Keeper {
    /// Begins. `arrivals`: those of the gate's [`Recent`](super::Recent).
    ///
    /// # Errors
    /// When a thread cannot be had.
    pub fn start(gate: Arc<Gate>, arrivals: Arrivals) -> std::io::Result<Arc<Self>> {
        let keeper = Arc::new(Keeper {
            gate,
            kept: Mutex::new(Kept {
                history: History::new(Totals::default()),
                beat: Beat::new(SLOT),
            }),
        });
        let keeping = keeper.clone();
        thread::Builder::new()
            .name("recent".to_owned())
            .spawn(move || keeping.keep(&arrivals))?;
        Ok(keeper)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, arrivals: &Arrivals) {
        loop {
            if !self.take(arrivals) {
                thread::sleep(TAKE);
            }
        }
    }

    /// Takes over what has come; whether there may be more.
    fn take(&self, Arrivals(arrivals): &Arrivals) -> bool {
        let mut kept = self.lock();
        let mut taken = 0;
        for event in arrivals.try_iter().take(AT_ONCE) {
            kept.history.take(&event);
            taken += 1;
        }
        kept.end_slots(&self.gate);
        taken == AT_ONCE
    }

    /// What would have been refused. Takes milliseconds: not for a thread that others wait for.
    pub fn preview(&self, question: Question) -> Preview {
        let all_customers = self.lock().history.has_all_customers();
        Preview {
            known: self.gate.known_prefixes(),
            all_customers,
            windows: Span::ALL.map(|span| self.window(span, question)).to_vec(),
        }
    }

    /// What would have been refused in a span, as [`Keeper::preview`] tells.
    pub fn window(&self, span: Span, question: Question) -> Window {
        let all = {
            let kept = self.lock();
            let gone_on = kept.beat.gone_on().as_secs();
            kept.history.of(span, totals(&self.gate), gone_on)
        };
        Window::of(&all, span.minutes(), question, &self.gate)
    }
}

fn totals(gate: &Gate) -> Totals {
    let [_, closed] = gate.account.metrics.connections();
    gate.recent.totals(closed)
}

impl Kept {
    /// Ends the slots whose time has passed: several when the machine slept.
    fn end_slots(&mut self, gate: &Gate) {
        let over = self.beat.over();
        if over > HOUR {
            // Nothing of the last hour is left.
            self.history = History::new(totals(gate));
            return;
        }
        for _ in 0..over {
            self.history.end_slot(totals(gate));
        }
    }
}
