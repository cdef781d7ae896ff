//! The service manager is kept informed: how the gate is, and that it is well.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::Admin;
use crate::notify;
use crate::pulse::Pulse;

/// Between two looks at what there is to tell.
const LOOK: Duration = Duration::from_secs(1);
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

/// Tells that the gate is well, for as long as it is, and is the service: this thread turns, and those
/// of the traffic do. The manager ends a gate that does not tell within `watchdog`.
pub(super) async fn pings(admin: Arc<Admin>, watchdog: Duration, mut pulse: Pulse) {
    let period = watchdog / IN_TIME;
    let mut ticks = every(period);
    loop {
        ticks.tick().await;
        match pulse.feel(period).await {
            _ if admin.ending.is_leaving() => {}
            Ok(()) => notify::alive(),
            Err(problem) => tracing::error!(
                "{problem}: the service manager is not told that all is well, and ends the gate after {watchdog:?}"
            ),
        }
    }
}
