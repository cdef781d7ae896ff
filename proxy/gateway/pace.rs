//! How long a client may keep the gate waiting, in one direction of its connection: not longer than
//! a deadline in one go, and no slower than a minimum rate.
//!
//! Only time counts in which the gate waits for the client: an app that is slow to read or to
//! answer takes nothing from it. Apache's mod_reqtimeout, IIS and Kestrel judge alike; nginx has the
//! deadline alone, which a byte in each of them gets around.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tidegate_config::Deadlines;
use tokio::time::{Instant, Sleep, sleep_until};

/// How often a wait that lasts is looked at: by so much at most is a deadline overrun.
const LOOK: Duration = Duration::from_secs(1);

/// What is asked of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long it may keep the gate waiting without any progress; also the time of waiting after
    /// which its rate is judged.
    pub idle: Duration,
    /// Bytes per second of waiting that it must at least move; 0 for none.
    pub rate: u64,
}

impl Limits {
    /// What is asked of a client that sends a body.
    pub fn receiving(deadlines: &Deadlines) -> Self {
        Limits {
            idle: deadlines.request_body_idle,
            rate: deadlines.request_body_rate,
        }
    }

    /// What is asked of a client that is sent a response.
    pub fn sending(deadlines: &Deadlines) -> Self {
        Limits {
            idle: deadlines.response_body_idle,
            rate: deadlines.response_body_rate,
        }
    }
}

/// How a client broke its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing moved for the idle time.
    Idle,
    /// It moved too little in the time that was waited for it.
    Slow,
}

/// The time that was waited for a client in one direction, and what it moved in it.
pub struct Pace {
    limits: Limits,
    /// Since when the wait that is under way was not added up.
    since: Option<Instant>,
    /// The time waited since the rate was last judged.
    waited: Duration,
    /// The time waited since there was progress.
    quiet: Duration,
    /// The bytes moved when the rate was last judged; `None` until the next wait.
    judged_at: Option<u64>,
    /// The bytes moved when it was last looked.
    seen: u64,
    /// Made for the first wait, and used for each that follows.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    /// With nothing waited for so far.
    pub fn new(limits: Limits) -> Self {
        Pace {
            limits,
            since: None,
            waited: Duration::ZERO,
            quiet: Duration::ZERO,
            judged_at: None,
            seen: 0,
            timer: None,
        }
    }

    /// Sets what is asked from now on, and forgets what was waited.
    pub fn begin(&mut self, limits: Limits) {
        *self = Pace {
            timer: self.timer.take(),
            ..Pace::new(limits)
        };
    }

    /// Waits on, until the client has broken a limit. `moved`: the bytes that it has moved so far,
    /// asked for only now and then.
    pub fn poll_fault(&mut self, cx: &mut Context<'_>, moved: impl Fn() -> u64) -> Poll<Fault> {
        if self.since.is_none() {
            let now = Instant::now();
            self.since = Some(now);
            if self.judged_at.is_none() {
                self.seen = moved();
                self.judged_at = Some(self.seen);
            }
            self.look_again(now);
        }
        while let Some(timer) = &mut self.timer {
            std::task::ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            self.add_up(now);
            self.since = Some(now);
            if let Some(fault) = self.judge(moved()) {
                return Poll::Ready(fault);
            }
            self.look_again(now);
        }
        Poll::Pending
    }

    /// The wait is over, as there was progress.
    pub fn progress(&mut self) {
        if self.since.is_some() {
            self.add_up(Instant::now());
            self.since = None;
            self.quiet = Duration::ZERO;
        }
    }

    fn judge(&mut self, moved: u64) -> Option<Fault> {
        if moved != self.seen {
            self.seen = moved;
            self.quiet = Duration::ZERO;
        }
        if self.quiet >= self.limits.idle {
            return Some(Fault::Idle);
        }
        if self.waited < self.limits.idle {
            return None;
        }
        let least = u128::from(self.limits.rate) * self.waited.as_millis() / 1000;
        let recent = moved.saturating_sub(self.judged_at.unwrap_or(moved));
        if u128::from(recent) < least {
            return Some(Fault::Slow);
        }
        self.waited = Duration::ZERO;
        self.judged_at = Some(moved);
        None
    }

    fn add_up(&mut self, now: Instant) {
        let Some(since) = self.since else { return };
        // Nobody polls a read while the app takes nothing, nor then wakes up in time for the timer:
        // that was no waiting for the client.
        let waited = now.duration_since(since).min(2 * self.look());
        self.waited += waited;
        self.quiet += waited;
    }

    /// How often to look: a short deadline has to be met as well as a long one.
    fn look(&self) -> Duration {
        LOOK.min(self.limits.idle / 4)
    }

    fn look_again(&mut self, now: Instant) {
        let left = self.limits.idle.saturating_sub(self.quiet);
        let judged = self.limits.idle.saturating_sub(self.waited);
        let at = now + self.look().min(left).min(judged);
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(at),
            None => self.timer = Some(Box::pin(sleep_until(at))),
        }
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace")
            .field("limits", &self.limits)
            .field("waited", &self.waited)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;

    use tokio::time::{advance, timeout};

    use super::*;

    const LIMITS: Limits = Limits {
        idle: Duration::from_secs(10),
        rate: 100,
    };

    /// Waits, with `step` bytes more after each `every`, and says after how long it was ended.
    async fn ended(limits: Limits, every: Duration, step: u64) -> Option<(Fault, u64)> {
        let mut pace = Pace::new(limits);
        let moved = Cell::new(0);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(100) {
            let fault = poll_fn(|cx| pace.poll_fault(cx, || moved.get()));
            if let Ok(fault) = timeout(every, fault).await {
                return Some((fault, start.elapsed().as_secs()));
            }
            moved.set(moved.get() + step);
            pace.progress();
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_moves_nothing_is_ended_at_the_deadline() {
        let never = Duration::from_secs(1000);
        assert_eq!(ended(LIMITS, never, 0).await, Some((Fault::Idle, 10)));
        let off = Limits { rate: 0, ..LIMITS };
        assert_eq!(ended(off, never, 0).await, Some((Fault::Idle, 10)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_below_the_rate_is_ended_when_so_long_was_waited_for_it() {
        let second = Duration::from_millis(999);
        let slow = ended(LIMITS, second, 90).await;
        assert_eq!(slow, Some((Fault::Slow, 10)));
        assert_eq!(ended(LIMITS, second, 110).await, None);
        assert_eq!(ended(Limits { rate: 0, ..LIMITS }, second, 1).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_is_not_waited_does_not_count() {
        let mut pace = Pace::new(LIMITS);
        for _ in 0..50 {
            let fault = poll_fn(|cx| pace.poll_fault(cx, || 0));
            let waited = timeout(Duration::from_millis(90), fault).await;
            assert!(waited.is_err(), "{waited:?}");
            pace.progress();
            advance(Duration::from_secs(60)).await;
        }
        // A wait that nobody looks after for a minute counts as a short one.
        let fault = poll_fn(|cx| pace.poll_fault(cx, || 0));
        assert!(timeout(Duration::from_millis(1), fault).await.is_err());
        advance(Duration::from_secs(60)).await;
        let fault = poll_fn(|cx| Poll::Ready(pace.poll_fault(cx, || 0))).await;
        assert!(fault.is_pending(), "{fault:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn progress_that_only_the_system_sees_is_progress() {
        let mut pace = Pace::new(LIMITS);
        let start = Instant::now();
        // Until 25 seconds have passed: 200 bytes per second, and then nothing.
        let moved = || 200 * start.elapsed().as_secs().min(25);
        let fault = poll_fn(|cx| pace.poll_fault(cx, moved)).await;
        assert_eq!((fault, start.elapsed().as_secs()), (Fault::Idle, 35));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_waited_in_one_exchange_does_not_count_in_the_next() {
        let mut pace = Pace::new(LIMITS);
        for _ in 0..10 {
            let fault = poll_fn(|cx| pace.poll_fault(cx, || 0));
            assert!(timeout(Duration::from_secs(9), fault).await.is_err());
            pace.begin(LIMITS);
        }
    }
}
