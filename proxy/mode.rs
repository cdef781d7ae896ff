//! The mode: `observe`, `normal` or `known-only`, with its end and its reason.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tidegate_config::Mode;

use crate::state::{StateError, StateFile};

/// The mode in force, and everything an operator wants to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The mode.
    #[serde(with = "by_name")]
    pub mode: Mode,
    /// When it was set, in seconds since the epoch.
    pub since: u64,
    /// When it ends by itself, in seconds since the epoch.
    pub until: Option<u64>,
    /// Why it was set.
    pub reason: Option<String>,
    /// Who set it.
    pub set_by: Option<String>,
    /// The mode that returns when it ends.
    #[serde(with = "by_name")]
    pub before: Mode,
}

/// What an operator asks for.
#[derive(Clone, Debug)]
pub struct Change {
    /// The mode to switch to.
    pub mode: Mode,
    /// When it ends; `None` for "until I say so".
    pub until: Option<u64>,
    /// Why.
    pub reason: Option<String>,
    /// Who.
    pub set_by: Option<String>,
}

/// The switch: read on every request without a lock, set from the admin side.
#[derive(Debug)]
pub struct Switch {
    current: AtomicU8,
    record: Mutex<Record>,
    file: Mutex<StateFile>,
}

impl Switch {
    /// The mode last set at run time, or `configured` when there is none.
    pub fn open(file: StateFile, configured: Mode, now: u64) -> Self {
        let fresh = Record {
            mode: configured,
            since: now,
            until: None,
            reason: None,
            set_by: None,
            before: configured,
        };
        let record = match file.load::<Record>() {
            Some(record) if record.until.is_some_and(|until| until <= now) => Record {
                mode: record.before,
                ..fresh
            },
            Some(record) => record,
            None => fresh,
        };
        Switch {
            current: AtomicU8::new(to_byte(record.mode)),
            record: Mutex::new(record),
            file: Mutex::new(file),
        }
    }

    /// The mode in force. Relaxed: nothing else is published with it, and a request that is being
    /// decided at the moment of the switch may see either.
    pub fn mode(&self) -> Mode {
        from_byte(self.current.load(Relaxed))
    }

    /// The mode in force with its end and reason.
    pub fn record(&self) -> Record {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Switches, at once. [`Switch::save`] makes it survive a restart.
    pub fn set(&self, change: Change, now: u64) -> Record {
        let mut record = self.lock();
        let before = match (change.until, record.until, record.mode == change.mode) {
            // A mode without an end has nothing to return to.
            (None, _, _) => change.mode,
            // Prolonging it does not make it its own predecessor.
            (_, _, true) | (_, Some(_), _) => record.before,
            (_, None, false) => record.mode,
        };
        *record = Record {
            mode: change.mode,
            since: now,
            until: change.until,
            reason: change.reason,
            set_by: change.set_by,
            before,
        };
        self.current.store(to_byte(record.mode), Relaxed);
        record.clone()
    }

    /// Returns to the mode before when the end has come, and gives the record that ended.
    pub fn end_if_due(&self, now: u64) -> Option<Record> {
        let mut record = self.lock();
        if record.until.is_none_or(|until| until > now) {
            return None;
        }
        let ended = record.clone();
        *record = Record {
            mode: ended.before,
            since: now,
            until: None,
            reason: None,
            set_by: None,
            before: ended.before,
        };
        self.current.store(to_byte(record.mode), Relaxed);
        Some(ended)
    }

    /// Writes down what is in force. Blocks for as long as the disk does, and nobody else with it:
    /// neither who reads the mode nor who switches again.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn save(&self) -> Result<(), StateError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // Read behind the lock: of two savers, the last writes the latest.
        file.save(&self.record())
    }
}

fn to_byte(mode: Mode) -> u8 {
    match mode {
        Mode::Observe => 0,
        Mode::Normal => 1,
        Mode::KnownOnly => 2,
    }
}

fn from_byte(byte: u8) -> Mode {
    match byte {
        0 => Mode::Observe,
        2 => Mode::KnownOnly,
        _ => Mode::Normal,
    }
}

/// Modes in JSON, under the names that people type.
pub mod by_name {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use tidegate_config::Mode;

    /// Writes the mode's name.
    ///
    /// # Errors
    /// When the serializer fails.
    pub fn serialize<S: Serializer>(mode: &Mode, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(mode)
    }

    /// Reads a mode's name.
    ///
    /// # Errors
    /// When there is no such mode.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Mode, D::Error> {
        let name = String::deserialize(from)?;
        name.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gate(tempfile::TempDir);

    impl Gate {
        fn new() -> Self {
            Gate(tempfile::tempdir().unwrap())
        }

        /// What a start at this time finds.
        fn start(&self, configured: Mode, now: u64) -> Switch {
            Switch::open(StateFile::new(self.0.path(), "mode.json"), configured, now)
        }
    }

    fn to(mode: Mode, until: Option<u64>) -> Change {
        Change {
            mode,
            until,
            reason: None,
            set_by: None,
        }
    }

    #[test]
    fn the_mode_before_returns_when_one_ends() {
        let gate = Gate::new();
        let switch = gate.start(Mode::Observe, 0);
        switch.set(to(Mode::KnownOnly, Some(100)), 10);
        assert_eq!(switch.end_if_due(99), None);
        assert_eq!(switch.mode(), Mode::KnownOnly);
        assert_eq!(switch.end_if_due(100).unwrap().mode, Mode::KnownOnly);
        assert_eq!(
            (switch.mode(), switch.record().until),
            (Mode::Observe, None)
        );
        assert_eq!(switch.end_if_due(200), None);
    }

    #[test]
    fn prolonging_a_mode_does_not_make_it_its_own_predecessor() {
        let gate = Gate::new();
        let switch = gate.start(Mode::Normal, 0);
        switch.set(to(Mode::KnownOnly, Some(100)), 10);
        switch.set(to(Mode::KnownOnly, Some(300)), 90);
        assert_eq!(switch.end_if_due(100), None);
        switch.end_if_due(300);
        assert_eq!(switch.mode(), Mode::Normal);
    }

    #[test]
    fn a_mode_for_a_while_within_another_returns_to_what_held_before_both() {
        let gate = Gate::new();
        let switch = gate.start(Mode::Normal, 0);
        switch.set(to(Mode::KnownOnly, Some(100)), 10);
        switch.set(to(Mode::Observe, Some(50)), 20);
        switch.end_if_due(50);
        assert_eq!(switch.mode(), Mode::Normal);
    }

    #[test]
    fn a_restart_keeps_the_mode_until_its_end_and_not_longer() {
        let gate = Gate::new();
        let switch = gate.start(Mode::Normal, 0);
        switch.set(to(Mode::KnownOnly, Some(100)), 10);
        switch.save().unwrap();
        let record = switch.record();
        assert_eq!(gate.start(Mode::Observe, 99).record(), record);
        assert_eq!(gate.start(Mode::Observe, 100).mode(), Mode::Normal);
        switch.set(to(Mode::KnownOnly, None), 20);
        switch.save().unwrap();
        assert_eq!(gate.start(Mode::Observe, u64::MAX).mode(), Mode::KnownOnly);
    }

    #[test]
    fn a_switch_that_cannot_be_saved_is_in_force_all_the_same() {
        let gate = Gate::new();
        let switch = Switch::open(
            StateFile::new(&gate.0.path().join("gone"), "mode.json"),
            Mode::Normal,
            0,
        );
        let record = switch.set(to(Mode::KnownOnly, Some(100)), 10);
        assert_eq!(
            (record.mode, switch.mode()),
            (Mode::KnownOnly, Mode::KnownOnly)
        );
        assert!(
            switch
                .save()
                .unwrap_err()
                .to_string()
                .contains("would not survive a restart")
        );
    }
}
