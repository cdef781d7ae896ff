//! Who looks on: outcomes are taken over, looked through and told to each, so many a second.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body, Bytes, Frame};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use super::{Admin, until};
use crate::tail::{Event, Filter, Tail};

/// How many may look on at a time.
const LOOKING: usize = 4;
/// How often outcomes are taken over, and how many at once, so that others who ask get their turn.
const TICK: Duration = Duration::from_millis(20);
const AT_ONCE: usize = 8192;
/// Parts of lines that may wait for who looks on: those of so many ticks.
const WAITING: usize = 8;
/// Between two lines about what was left out.
const SUMMARY: Duration = Duration::from_secs(1);

/// Where those who look on come in.
#[derive(Debug)]
pub struct Tails {
    places: Arc<Semaphore>,
    coming: mpsc::Sender<Looking>,
    come: Mutex<Option<mpsc::Receiver<Looking>>>,
}

/// Somebody who looks on.
#[derive(Debug)]
struct Looking {
    filter: Filter,
    /// Lines a second.
    rate: f64,
    /// Lines that may be told now.
    left: f64,
    text: Vec<u8>,
    lines: usize,
    parts: mpsc::Sender<Bytes>,
    /// Outcomes that were for it, and were not told.
    left_out: u64,
    /// Outcomes that nobody had looked at, when that was told last.
    missed: u64,
    told: Instant,
    begun: Option<oneshot::Sender<()>>,
}

/// Lines as they come. The place is given back with it.
#[derive(Debug)]
pub(super) struct Lines {
    parts: mpsc::Receiver<Bytes>,
    _place: OwnedSemaphorePermit,
}

/// The line about what was left out, from which counts can be rebuilt.
#[derive(Debug, Serialize)]
struct LeftOut {
    time: jiff::Timestamp,
    #[serde(rename = "event.name")]
    event: &'static str,
    over_rate: u64,
    not_looked_at: u64,
}

impl Default for Tails {
    fn default() -> Self {
        let (coming, come) = mpsc::channel(LOOKING);
        Tails {
            places: Arc::new(Semaphore::new(LOOKING)),
            coming,
            come: Mutex::new(Some(come)),
        }
    }
}

impl Tails {
    /// Lines of what `filter` takes from here on, at most so many a second. `None` while too many look on.
    pub(super) async fn look(&self, filter: Filter, rate: u32) -> Option<Lines> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let (sender, parts) = mpsc::channel(WAITING);
        let (begun, begins) = oneshot::channel();
        let looking = Looking {
            filter,
            rate: rate.into(),
            left: 1.0,
            text: Vec::new(),
            lines: 0,
            parts: sender,
            left_out: 0,
            missed: 0,
            told: Instant::now(),
            begun: Some(begun),
        };
        // An error means that the admin side ends.
        self.coming.send(looking).await.ok()?;
        begins.await.ok()?;
        Some(Lines {
            parts,
            _place: place,
        })
    }
}

impl Body for Lines {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let part = self.parts.poll_recv(cx);
        part.map(|part| part.map(|part| Ok(Frame::data(part))))
    }
}

/// Tells those who look on, for as long as the admin side answers. While nobody does, it sleeps.
pub(super) async fn tell(admin: Arc<Admin>) {
    let come = &admin.tails.come;
    let come = come.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(mut come) = come else { return };
    let left = until(admin.ending.left());
    tokio::pin!(left);
    loop {
        let first = tokio::select! {
            first = come.recv() => first,
            () = &mut left => return,
        };
        let opening = admin.clone();
        let open = move || opening.gate.account.tail.open();
        // Elsewhere, as it may take a moment.
        let Ok(events) = tokio::task::spawn_blocking(open).await else {
            return;
        };
        let telling = tell_all(&admin.gate.account.tail, first, &mut come, events);
        let is_over = tokio::select! {
            () = telling => false,
            () = &mut left => true,
        };
        let closing = admin.clone();
        let close = move || closing.gate.account.tail.close();
        if tokio::task::spawn_blocking(close).await.is_err() || is_over {
            return;
        }
    }
}

async fn tell_all(
    tail: &Tail,
    first: Option<Looking>,
    come: &mut mpsc::Receiver<Looking>,
    events: Receiver<Event>,
) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut all: VecDeque<Looking> = first.into_iter().collect();
    all.iter_mut().for_each(|one| one.begin(tail));
    let mut last = Instant::now();
    while !all.is_empty() {
        tokio::select! {
            Some(mut one) = come.recv() => {
                one.begin(tail);
                all.push_back(one);
            }
            _ = ticks.tick() => {
                let passed = last.elapsed().as_secs_f64();
                last = Instant::now();
                all.iter_mut().for_each(|one| one.refill(passed));
                for event in events.try_iter().take(AT_ONCE) {
                    all.iter_mut().for_each(|one| one.take(&event));
                }
                all.iter_mut().for_each(|one| one.send(tail));
                all.retain(|one| !one.parts.is_closed());
            }
        }
    }
}

impl Looking {
    fn begin(&mut self, tail: &Tail) {
        self.missed = tail.missed();
        // Nobody waits any more when the client has gone.
        let _ = self.begun.take().map(|begun| begun.send(()));
    }

    /// No more than those of a fifth of a second at once, so that a flood is told of evenly.
    fn refill(&mut self, seconds: f64) {
        self.left = (self.left + self.rate * seconds).min((self.rate / 5.0).max(1.0));
    }

    fn take(&mut self, event: &Event) {
        if !self.filter.takes(event) {
            return;
        }
        if self.left < 1.0 {
            self.left_out += 1;
            return;
        }
        self.left -= 1.0;
        self.lines += 1;
        event.write(&mut self.text);
    }

    /// Sends the lines of this tick. One who does not read gets none: neither the gate nor anybody else
    /// waits for it.
    fn send(&mut self, tail: &Tail) {
        if self.told.elapsed() >= SUMMARY {
            self.sum_up(tail.missed());
        }
        if self.text.is_empty() {
            return;
        }
        let text = Bytes::from(std::mem::take(&mut self.text));
        let lines = std::mem::take(&mut self.lines) as u64;
        if self.parts.try_send(text).is_err() {
            self.left_out += lines;
        }
    }

    fn sum_up(&mut self, missed: u64) {
        self.told = Instant::now();
        let left_out = LeftOut {
            time: jiff::Timestamp::now(),
            event: "tail.left_out",
            over_rate: self.left_out,
            not_looked_at: missed - self.missed,
        };
        if left_out.over_rate + left_out.not_looked_at == 0 || self.parts.capacity() == 0 {
            return;
        }
        if serde_json::to_writer(&mut self.text, &left_out).is_ok() {
            self.text.push(b'\n');
            (self.left_out, self.missed) = (0, missed);
        }
    }
}
