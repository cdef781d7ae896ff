//! What the service manager hears of reloads.

use std::sync::PoisonError;

use super::Reloader;
use crate::notify;

impl Reloader {
    /// Says why there is no reload now. Who asked for one by a signal waits for that.
    pub fn refuse(&self, why: &str) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        notify::reloading();
        tracing::warn!("not reloaded: {why}");
        notify::reloaded(&format!("{}; NOT RELOADED: {why}", self.summary()));
    }

    /// How the gate is, in a line.
    pub fn summary(&self) -> String {
        let record = self.gate.mode.record();
        let end = record.until.and_then(|end| i64::try_from(end).ok());
        let end = end.and_then(|end| jiff::Timestamp::from_second(end).ok());
        let until = end.map_or_else(String::new, |end| format!(" until {end}"));
        let problem = self.problem();
        let problem = problem.map_or_else(String::new, |why| format!("; NOT RELOADED: {why}"));
        format!("mode {}{until}{problem}", record.mode)
    }
}
