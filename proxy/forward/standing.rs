//! Whether a server gets requests: it is left out for a while when it takes no connections, and then
//! gets more and more of them.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_config::{self as config, Balance, Eject};
use tidegate_limit::Now;

use super::jitter::jittered;
use crate::clock;

/// The share of its turns that a server takes at first when it comes back.
const FIRST_SHARE: f32 = 0.1;

/// What a server gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Standing {
    /// All of its turns.
    In,
    /// This share of them.
    Warming(f32),
    /// None, for this long.
    Out(Duration),
    /// None, until its checks are good again.
    Unwell,
}

impl Standing {
    pub(super) fn is_out(self) -> bool {
        matches!(self, Standing::Out(_) | Standing::Unwell)
    }
}

/// The same in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It gets all of its turns.
    Available,
    /// It has come back and gets more and more of them.
    SlowStart,
    /// It took no connections and is left out.
    Ejected,
    /// Its health checks fail, and it is left out.
    Unhealthy,
}

impl State {
    /// Every state.
    pub const ALL: [State; 4] = [
        State::Available,
        State::SlowStart,
        State::Ejected,
        State::Unhealthy,
    ];

    /// The value of the `state` label.
    pub fn label(self) -> &'static str {
        match self {
            State::Available => "available",
            State::SlowStart => "slow_start",
            State::Ejected => "ejected",
            State::Unhealthy => "unhealthy",
        }
    }

    /// Whether it gets no requests.
    pub fn is_out(self) -> bool {
        matches!(self, State::Ejected | State::Unhealthy)
    }
}

/// By what a server gets its requests, is left out, and comes back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) balance: Balance,
    eject: Eject,
    slow_start: Duration,
    /// Whether there are health checks.
    checked: bool,
}

impl Rules {
    pub(super) fn new(config: &config::Upstream) -> Self {
        Rules {
            balance: config.balance,
            eject: config.eject,
            slow_start: config.slow_start,
            checked: config.health.is_some(),
        }
    }

    /// How long a server is out that has been out so many times in a row, more or less.
    fn out_for(&self, times: u32) -> Duration {
        let Eject { first, longest, .. } = self.eject;
        let doubled = 2_u32.saturating_pow(times);
        first.saturating_mul(doubled).min(longest)
    }
}

/// How one server has been doing.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// When it comes back, or came; zero when it has long been in.
    in_from: AtomicU64,
    /// Connections that failed since the last that did not.
    failures: AtomicU32,
    /// How often it was left out in a row.
    times: AtomicU32,
    /// Whether its health checks fail.
    unwell: AtomicBool,
}

impl Record {
    pub(super) fn standing(&self, rules: &Rules) -> Standing {
        if rules.checked && self.unwell.load(Relaxed) {
            return Standing::Unwell;
        }
        match self.in_from.load(Relaxed) {
            // Almost always, and then without a look at the clock.
            0 => Standing::In,
            from => standing(from, clock::now().as_nanos(), rules),
        }
    }

    /// It took a connection.
    pub(super) fn connected(&self) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
        let from = self.in_from.load(Relaxed);
        if from == 0 {
            return;
        }
        let now = clock::now().as_nanos();
        if from > now {
            // All are out and all are used, and this one is well.
            let _ = self.in_from.compare_exchange(from, now, Relaxed, Relaxed);
        }
    }

    /// Its health checks say how it is.
    pub(super) fn found(&self, is_well: bool) {
        if is_well && self.unwell.load(Relaxed) {
            // It comes back as others do, and no sooner than it would without checks.
            self.in_from.fetch_max(clock::now().as_nanos(), Relaxed);
        }
        self.unwell.store(!is_well, Relaxed);
    }

    /// It did not take a connection.
    pub(super) fn failed(&self, rules: &Rules) {
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        let times = self.times.load(Relaxed);
        // One that has just come back has no more to lose.
        let enough = times > 0 || failures >= rules.eject.failures.get();
        let (from, now) = (self.in_from.load(Relaxed), clock::now().as_nanos());
        if !enough || from > now {
            return;
        }
        let until = now.saturating_add(nanos(jittered(rules.out_for(times))));
        // Of many that fail at a time one counts.
        if (self.in_from.compare_exchange(from, until, Relaxed, Relaxed)).is_ok() {
            self.times.store(times.saturating_add(1), Relaxed);
            self.failures.store(0, Relaxed);
        }
    }

    /// Forgets what is long over: it has been in for as long as it was out last.
    pub(super) fn forget(&self, rules: &Rules, now: Now) {
        let from = self.in_from.load(Relaxed);
        let last = rules.out_for(self.times.load(Relaxed).saturating_sub(1));
        let over = from.saturating_add(nanos(last.max(rules.slow_start)));
        if from != 0
            && over < now.as_nanos()
            && (self.in_from.compare_exchange(from, 0, Relaxed, Relaxed)).is_ok()
        {
            self.times.store(0, Relaxed);
            self.failures.store(0, Relaxed);
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The standing of a server that comes back at `from`.
fn standing(from: u64, now: u64, rules: &Rules) -> Standing {
    if now < from {
        return Standing::Out(Duration::from_nanos(from - now));
    }
    let back = Duration::from_nanos(now - from);
    if back >= rules.slow_start {
        return Standing::In;
    }
    let grown = back.as_secs_f32() / rules.slow_start.as_secs_f32();
    Standing::Warming(FIRST_SHARE + (1.0 - FIRST_SHARE) * grown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(first: Duration) -> Rules {
        Rules {
            balance: Balance::default(),
            eject: Eject {
                first,
                ..Eject::default()
            },
            slow_start: Duration::from_secs(10),
            checked: false,
        }
    }

    #[test]
    fn each_time_is_twice_as_long_up_to_the_longest() {
        let rules = rules(Duration::from_secs(10));
        for (times, expected) in [(0, 10), (1, 20), (4, 160), (5, 300), (4_000_000, 300)] {
            assert_eq!(rules.out_for(times).as_secs(), expected, "{times} times");
        }
    }

    #[test]
    fn the_share_grows_from_a_tenth_to_all() {
        let rules = rules(Duration::from_secs(10));
        const SECOND: u64 = 1_000_000_000;
        assert_eq!(
            standing(10 * SECOND, 9 * SECOND, &rules),
            Standing::Out(Duration::from_secs(1))
        );
        for (now, expected) in [(10, 0.1), (15, 0.55), (19, 0.91)] {
            match standing(10 * SECOND, now * SECOND, &rules) {
                Standing::Warming(share) => assert!((share - expected).abs() < 0.001, "{share}"),
                other => panic!("after {now} s: {other:?}"),
            }
        }
        assert_eq!(standing(10 * SECOND, 20 * SECOND, &rules), Standing::In);
    }

    #[test]
    fn connections_that_fail_together_leave_a_server_out_once() {
        let rules = rules(Duration::from_secs(1000));
        let record = Record::default();
        for _ in 0..4 {
            record.failed(&rules);
        }
        record.connected();
        for _ in 0..4 {
            record.failed(&rules);
        }
        assert_eq!(record.standing(&rules), Standing::In, "not in a row");
        for _ in 0..100 {
            record.failed(&rules);
        }
        assert_eq!(record.times.load(Relaxed), 1);
        assert!(matches!(record.standing(&rules), Standing::Out(time) if time.as_secs() < 1101));
    }

    #[test]
    fn one_that_comes_back_is_out_again_at_its_first_failure() {
        let rules = rules(Duration::from_millis(1));
        let record = Record::default();
        let out = |record: &Record| matches!(record.standing(&rules), Standing::Out(_));
        for _ in 0..5 {
            record.failed(&rules);
        }
        while out(&record) {}
        record.failed(&rules);
        assert_eq!(record.times.load(Relaxed), 2);
        for _ in 0..5 {
            // All are out and all are used.
            record.failed(&rules);
        }
        while out(&record) {}
        let later = clock::now().as_nanos() + nanos(Duration::from_secs(11));
        record.forget(&rules, Now::from_nanos(later));
        assert_eq!(record.standing(&rules), Standing::In);
        record.failed(&rules);
        assert_eq!(record.standing(&rules), Standing::In, "all is forgotten");
    }

    #[test]
    fn one_that_takes_a_connection_while_all_are_out_is_back() {
        let rules = rules(Duration::from_secs(1000));
        let record = Record::default();
        for _ in 0..5 {
            record.failed(&rules);
        }
        record.connected();
        assert!(matches!(record.standing(&rules), Standing::Warming(_)));
    }
}
