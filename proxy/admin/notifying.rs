//! How the gate is, and that it is alive: for the service manager, and for probes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::Admin;
use crate::notify;
use crate::pulse::Pulse;

/// Between two looks at what there is to tell.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks whether the traffic moves, where no watchdog says.
const UNWATCHED: Duration = Duration::from_secs(10);
/// As sd_watchdog_enabled(3) asks for half of the time; a third leaves room for one that is late.
const IN_TIME: u32 = 3;

/// The first tick is a period from here: the process that takes over is not the service before.
fn every(period: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Tells how the gate is, whenever that is different.
pub(super) async fn statuses(admin: Arc<Admin>) {
    let mut told = String::new();
    let mut looks = every(LOOK);
    loop {
        looks.tick().await;
        let status = admin.reloader.summary();
        if status != told && !admin.gate.draining.load(Relaxed) {
            notify::status(&status);
            told = status;
        }
    }
}

/// Looks whether the traffic moves, for `/livez` and the service manager's watchdog. That one is fed for
/// as long as it does, this process is the service, and this thread turns: the manager ends a gate that
/// does not tell in time.
pub(super) async fn pulse(admin: Arc<Admin>, mut pulse: Pulse) {
    let watchdog = notify::watchdog();
    let period = watchdog.map_or(UNWATCHED, |watchdog| watchdog / IN_TIME);
    let mut ticks = every(period);
    loop {
        ticks.tick().await;
        let felt = pulse.feel(period).await;
        if admin.ending.is_leaving() {
            continue;
        }
        match &felt {
            Ok(()) if watchdog.is_some() => notify::alive(),
            Ok(()) => {}
            Err(problem) => tracing::error!("{problem}: this gate is not alive"),
        }
        admin.hangs.store(felt.is_err(), Relaxed);
    }
}
