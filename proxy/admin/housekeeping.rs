//! What is done by the clock: modes and entries that end by themselves, rates, the hourly sweep.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tidegate_config::Share;
use tidegate_limit::Table;
use tokio::time::{MissedTickBehavior, interval};

use super::Admin;
use super::over_tcp::Told;
use super::reopening::Seen;
use super::running::until;
use super::wire::Requests;
use crate::audit::Change;
use crate::clock;
use crate::state::{self, StateError};

/// How late a mode may end.
const TICK: Duration = Duration::from_millis(100);
/// Seconds over which rates are told.
const WINDOW: usize = 10;
/// Ticks between sweeps of the limiter's table: an hour of them.
const SWEEP: u64 = 36_000;

/// How many buckets are in use, counted at most once a second: counting reads the whole table.
#[derive(Debug, Default)]
pub struct Tracked {
    last: Mutex<Option<(Instant, usize)>>,
}

impl Tracked {
    /// The count, at most a second old.
    pub fn get(&self, table: &Table) -> usize {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((at, count)) if at.elapsed() < Duration::from_secs(1) => count,
            _ => {
                let count = table.tracked(clock::now());
                *last = Some((Instant::now(), count));
                count
            }
        }
    }
}

/// Requests a second over the last few.
#[derive(Debug, Default)]
pub struct Rates {
    samples: Mutex<VecDeque<(Instant, [u64; 3])>>,
}

impl Rates {
    fn sample(&self, totals: [u64; 3]) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.push_back((Instant::now(), totals));
        if samples.len() > WINDOW {
            samples.pop_front();
        }
    }

    /// The totals with what they were a second, since the oldest sample.
    pub fn requests(&self, totals: [u64; 3]) -> Requests {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = samples.front().copied();
        let (since, before) = oldest.unwrap_or((Instant::now(), totals));
        let seconds = since.elapsed().as_secs_f64().max(0.001);
        let [forwarded, refused, failed] = totals;
        let [forwarded_before, refused_before, failed_before] = before;
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        Requests {
            forwarded,
            refused,
            failed,
            forwarded_per_second: rate(forwarded, forwarded_before),
            refused_per_second: rate(refused, refused_before),
            failed_per_second: rate(failed, failed_before),
        }
    }
}

/// Writes something down on another thread, as the disk may take its time.
pub(super) fn save(admin: &Arc<Admin>, save: fn(&Admin) -> Result<(), StateError>) {
    let admin = admin.clone();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = save(&admin) {
            tracing::warn!("{error}");
        }
    });
}

/// Seconds before a mode's end when it is announced.
const NOTICE: u64 = 60;

/// Says once that a mode is about to end; `told` is the end that was announced last.
fn announce_end(admin: &Admin, now: u64, told: &mut Option<u64>) {
    let record = admin.gate.mode.record();
    let soon = |until: &u64| until.saturating_sub(now) <= NOTICE && *told != Some(*until);
    if let Some(until) = record.until.filter(soon) {
        *told = Some(until);
        let share = match record.admit_unknown {
            Share::NONE => String::new(),
            share => format!(" --admit-unknown {share}"),
        };
        tracing::warn!(
            "mode {} ends in {} s, and {} returns; `tidegate mode {}{share} --for DURATION` prolongs it",
            record.mode,
            until.saturating_sub(now),
            record.before,
            record.mode
        );
    }
}

/// A mode has ended by itself.
fn audit_end(admin: &Arc<Admin>, ended: &crate::mode::Record) {
    let change = Change {
        what: "mode",
        to: ended.before.to_string(),
        until: None,
        reason: Some(format!("the time of {} has passed", ended.mode)),
    };
    audit(admin, change);
}

/// Writes down a change that nobody waits for.
pub(super) fn audit(admin: &Arc<Admin>, change: Change) {
    let admin = admin.clone();
    tokio::spawn(async move {
        if let Some(problem) = admin.audited("tidegate", change).await {
            tracing::warn!("mode: {problem}");
        }
    });
}

/// Writes down the traffic a minute after changes.
fn look_back(admin: &Arc<Admin>, now: u64) {
    if !admin.audit.has_due(now) {
        return;
    }
    let (admin, traffic) = (admin.clone(), admin.traffic());
    tokio::task::spawn_blocking(move || {
        if let Err(error) = admin.audit.look_back(now, traffic) {
            tracing::warn!("the audit log could not be written: {error}");
        }
    });
}

/// Ended blocks that are named one by one.
const NAMED: usize = 10;

/// Lets clients in again whose blocks have ended.
fn lift_blocks(admin: &Arc<Admin>, now: u64) {
    let ended = admin.blocks.expire(now);
    if ended.is_empty() {
        return;
    }
    for block in ended.iter().take(NAMED) {
        tracing::warn!("the block of {} has ended", block.prefix);
    }
    if let Some(more @ 1..) = ended.len().checked_sub(NAMED) {
        tracing::warn!("{more} more blocks have ended");
    }
    save(admin, |admin| admin.blocks.save());
}

/// Takes out known customers whose time has passed.
fn end_known(admin: &Arc<Admin>, now: u64) {
    let admin = admin.clone();
    // The set may be large, and another change of it under way.
    tokio::task::spawn_blocking(move || {
        if admin.reloader.known.expire(now)
            && let Err(error) = admin.reloader.known.save()
        {
            tracing::warn!("{error}");
        }
    });
}

/// Lets tenants return whose time in another tier has passed.
fn return_tenants(admin: &Arc<Admin>, now: u64) {
    if !admin.reloader.has_moves_to_end(now) {
        return;
    }
    let admin = admin.clone();
    // The policy is built anew, which many tenants make long.
    tokio::task::spawn_blocking(move || {
        for returned in admin.reloader.expire_moves(now) {
            tracing::warn!(
                "tenant {:?} is no longer in tier {}: its time has passed",
                returned.name,
                returned.tier
            );
        }
        if let Err(error) = admin.reloader.save_moves() {
            tracing::warn!("{error}");
        }
    });
}

/// Between two looks at the files of known customers. A change is read at the second look that finds it.
const LOOK: Duration = Duration::from_millis(900);

/// Looks at the files of known customers for as long as the gate runs. A file system that hangs holds up
/// nothing else.
pub(super) async fn watch(admin: Arc<Admin>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let admin = admin.clone();
        let look = move || admin.reloader.look_at_known_files();
        if let Err(error) = tokio::task::spawn_blocking(look).await {
            tracing::error!("a look at the files of known customers: {error}");
        }
    }
}

/// Writes down what each minute was, for as long as the gate runs, and at its end the one that goes on.
pub(super) async fn write_minutes(admin: Arc<Admin>) {
    let mut looks = interval(Duration::from_secs(1));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut going_on = true;
    while going_on {
        tokio::select! {
            _ = looks.tick() => {}
            () = until(admin.ending.left()) => going_on = false,
        }
        let admin = admin.clone();
        let look = move || {
            let upstreams = admin.reloader.upstreams();
            match going_on {
                true => admin.minutes.look(&admin.gate, &admin.top, &upstreams),
                false => admin.minutes.end(&admin.gate, &admin.top, &upstreams),
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(look).await {
            tracing::error!("what a minute was: {error}");
        }
    }
}

/// The wall clock was set: nothing ends because of it, nor lasts longer.
fn move_ends(admin: &Arc<Admin>, seconds: i64) {
    tracing::warn!(
        "the wall clock was set by {seconds} s; what has an end keeps the time it has left"
    );
    if admin.gate.mode.move_end(seconds) {
        save(admin, |admin| admin.gate.mode.save());
    }
    if admin.blocks.move_ends(seconds) {
        save(admin, |admin| admin.blocks.save());
    }
    if admin.reloader.known.move_ends(seconds) {
        save(admin, |admin| admin.reloader.known.save());
    }
    if admin.reloader.move_ends(seconds) {
        save(admin, |admin| admin.reloader.save_moves());
    }
    let change = Change::plain("clock", format!("set by {seconds} s"));
    audit(admin, change);
}

/// Tells in the audit log what a start has not found.
fn audit_start(admin: &Arc<Admin>) {
    for problem in state::problems() {
        audit(admin, Change::plain("start", problem));
    }
}

/// Between two tries to write what the disk did not take.
const AGAIN: Duration = Duration::from_secs(5);

/// Writes what the disk did not take, for as long as the gate runs, and keeps other gates away from the
/// state directory once the process before has left it.
pub(super) async fn write_again(admin: Arc<Admin>) {
    let mut tries = interval(AGAIN);
    tries.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tries.tick().await;
        let admin = admin.clone();
        // What is wrong is in the status, and the log had it when it began.
        let again = move || {
            admin.audit.write_again();
            admin.minutes.write_again();
            state::lock_again(&admin.directory);
            drop(state::write_again());
        };
        if let Err(error) = tokio::task::spawn_blocking(again).await {
            tracing::error!("writing state files again: {error}");
        }
    }
}

/// Keeps the gate in order for as long as it runs.
pub(super) async fn keep(admin: Arc<Admin>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count: u64 = 0;
    let mut announced = None;
    let mut seen = Seen::default();
    let mut told = Told::default();
    let mut jumps = clock::Jumps::from_now();
    audit_start(&admin);
    loop {
        ticks.tick().await;
        if let Some(seconds) = jumps.look() {
            move_ends(&admin, seconds);
        }
        let gate = &admin.gate;
        let now = clock::unix_seconds();
        if let Some(ended) = gate.mode.end_if_due(now) {
            tracing::warn!(
                "mode {} has ended; {} is in force again",
                ended.mode,
                ended.before
            );
            save(&admin, |admin| admin.gate.mode.save());
            audit_end(&admin, &ended);
        }
        if count.is_multiple_of(10) {
            admin.rates.sample(gate.account.metrics.totals());
            end_known(&admin, now);
            lift_blocks(&admin, now);
            look_back(&admin, now);
            announce_end(&admin, now, &mut announced);
            seen.look(&admin, now);
            return_tenants(&admin, now);
            if let Some(refused) = told.due(&admin.refused, now) {
                tracing::warn!("admin API: {refused}");
                audit(&admin, Change::plain("admin", refused));
            }
        }
        if count % SWEEP == SWEEP - 1 {
            let gate = gate.clone();
            tokio::task::spawn_blocking(move || gate.limits.table.sweep(clock::now()));
        }
        count += 1;
    }
}
