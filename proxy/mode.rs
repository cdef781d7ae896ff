//! The mode: `observe`, `normal` or `known-only`, with its end and its reason.

mod in_force;
mod json;
mod reopening;

pub use in_force::InForce;
pub use json::{as_percentage, as_percentages, by_name};
pub use reopening::Reopening;

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tidegate_config::{Mode, Share};
use tidegate_limit::KeyHasher;
use tokio::sync::watch;

use crate::policy::ClientRules;
use crate::state::{StateError, StateFile};

/// The mode in force, and everything an operator wants to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The mode.
    #[serde(with = "by_name")]
    pub mode: Mode,
    /// Which share of the unknown clients `known-only` lets in all the same.
    #[serde(with = "as_percentage", default)]
    pub admit_unknown: Share,
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
    /// How it opens by itself, when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopening: Option<Reopening>,
}

/// What an operator asks for.
#[derive(Clone, Debug)]
pub struct Change {
    /// The mode to switch to.
    pub mode: Mode,
    /// The share of the unknown clients to let in, in `known-only`.
    pub admit_unknown: Share,
    /// When it ends; `None` for "until I say so".
    pub until: Option<u64>,
    /// Whether the end stays as it is, and the reason where there is no new one, if the mode is in
    /// force already.
    pub goes_on: bool,
    /// Why.
    pub reason: Option<String>,
    /// Who.
    pub set_by: Option<String>,
}

/// The switch: read on every request without a lock, set from the admin side.
#[derive(Debug)]
pub struct Switch {
    /// The mode and the share in one: nobody sees the one without the other.
    current: AtomicU32,
    record: Mutex<Record>,
    file: Mutex<StateFile>,
    /// Tells which clients are in a share. Its secret is kept with the record: the same clients stay
    /// in across restarts, and nobody can choose an address that is.
    hasher: KeyHasher,
    /// Lets connections look whether they may stay.
    told: watch::Sender<bool>,
}

/// What the state file holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    record: Record,
    /// None in the file of a gate that knew no shares.
    #[serde(default)]
    secret: Option<(u64, u64)>,
}

impl Switch {
    /// The mode last set at run time, or `configured` when there is none.
    pub fn open(file: StateFile, configured: Mode, now: u64) -> Self {
        let fresh = Record {
            mode: configured,
            admit_unknown: Share::NONE,
            since: now,
            until: None,
            reason: None,
            set_by: None,
            before: configured,
            reopening: None,
        };
        let (kept, secret) = match file.load::<Kept>() {
            Some(kept) => (Some(kept.record), kept.secret),
            None => (None, None),
        };
        let record = match kept {
            Some(record) if record.until.is_some_and(|until| until <= now) => Record {
                mode: record.before,
                ..fresh
            },
            Some(record) => record.resumed(now),
            None => fresh,
        };
        Switch {
            current: AtomicU32::new(record.in_force().packed()),
            record: Mutex::new(record),
            file: Mutex::new(file),
            hasher: secret.map_or_else(KeyHasher::new, |(first, second)| {
                KeyHasher::from_secret(first, second)
            }),
            told: watch::Sender::new(false),
        }
    }

    /// Has connections look whether they may stay whenever another mode, or share, is in force.
    pub fn telling(self, told: watch::Sender<bool>) -> Self {
        Switch { told, ..self }
    }

    fn put_in_force(&self, record: &Record) {
        self.current.store(record.in_force().packed(), Relaxed);
        self.told.send_modify(|_| ());
    }

    /// The mode in force, with its share. Relaxed: nothing else is published with it, and a request
    /// that is being decided at the moment of the switch may see either.
    pub fn in_force(&self) -> InForce {
        InForce::unpacked(self.current.load(Relaxed))
    }

    /// The mode in force.
    pub fn mode(&self) -> Mode {
        self.in_force().mode
    }

    /// Whether an unknown client is in the share that is let in. No lock; a hash only while there is
    /// such a share.
    pub fn admits(&self, in_force: InForce, rules: &ClientRules, client: IpAddr) -> bool {
        let share = in_force.admit_unknown;
        share != Share::NONE
            && rules
                .share_key(&self.hasher, client)
                .part(Share::WHOLE.into())
                < u32::from(share.parts())
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
        let goes_on = change.goes_on && record.mode == change.mode;
        let (until, reason) = match goes_on {
            true => (
                record.until,
                change.reason.or_else(|| record.reason.clone()),
            ),
            false => (change.until, change.reason),
        };
        let before = match (until, record.until, record.mode == change.mode) {
            // A mode without an end has nothing to return to.
            (None, _, _) => change.mode,
            // Prolonging it does not make it its own predecessor.
            (_, _, true) | (_, Some(_), _) => record.before,
            (_, None, false) => record.mode,
        };
        *record = Record {
            mode: change.mode,
            admit_unknown: change.admit_unknown,
            since: now,
            until,
            reason,
            set_by: change.set_by,
            before,
            reopening: None,
        };
        self.put_in_force(&record);
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
            admit_unknown: Share::NONE,
            since: now,
            until: None,
            reason: None,
            set_by: None,
            before: ended.before,
            reopening: None,
        };
        self.put_in_force(&record);
        Some(ended)
    }

    /// The wall clock was set: what is in force lasts as long as it would have. Whether it has an end.
    pub fn move_end(&self, seconds: i64) -> bool {
        let mut record = self.lock();
        record.until = record.until.map(|end| end.saturating_add_signed(seconds));
        if let Some(plan) = &mut record.reopening {
            plan.next = plan.next.saturating_add_signed(seconds);
        }
        record.until.is_some()
    }

    /// Writes down what is in force. Blocks for as long as the disk does, and nobody else with it:
    /// neither who reads the mode nor who switches again.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn save(&self) -> Result<(), StateError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // Read behind the lock: of two savers, the last writes the latest.
        file.save(&Kept {
            record: self.record(),
            secret: Some(self.hasher.secret()),
        })
    }
}

impl Record {
    fn in_force(&self) -> InForce {
        InForce {
            mode: self.mode,
            // Another mode shuts no unknown client out.
            admit_unknown: match self.mode {
                Mode::KnownOnly => self.admit_unknown,
                Mode::Observe | Mode::Normal => Share::NONE,
            },
        }
    }
}

impl fmt::Display for Record {
    /// The mode with its share.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.in_force().fmt(f)
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
            admit_unknown: Share::NONE,
            until,
            goes_on: false,
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
    fn a_wall_clock_that_is_set_neither_ends_nor_prolongs_a_mode() {
        let gate = Gate::new();
        let switch = gate.start(Mode::Normal, 0);
        assert!(!switch.move_end(50), "it has no end");
        switch.set(to(Mode::KnownOnly, Some(100)), 10);
        assert!(switch.move_end(1000));
        assert_eq!(switch.end_if_due(1099), None);
        assert!(switch.move_end(-1000));
        assert!(switch.end_if_due(100).is_some());
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

    fn admitting(share: &str) -> Change {
        Change {
            admit_unknown: share.parse().unwrap(),
            goes_on: true,
            ..to(Mode::KnownOnly, Some(500))
        }
    }

    #[test]
    fn a_share_changes_within_a_mode_that_goes_on() {
        let gate = Gate::new();
        let switch = gate.start(Mode::Normal, 0);
        let reason = |text: &str| Some(text.to_owned());
        let flood = Change {
            reason: reason("flood"),
            ..to(Mode::KnownOnly, Some(100))
        };
        switch.set(flood, 10);
        let record = switch.set(admitting("5%"), 20);
        assert_eq!(
            record.to_string(),
            "known-only, 5% of unknown clients admitted"
        );
        assert_eq!((record.until, record.reason), (Some(100), reason("flood")));
        let calm = Change {
            reason: reason("calm"),
            ..admitting("20%")
        };
        let record = switch.set(calm, 30);
        assert_eq!((record.until, record.reason), (Some(100), reason("calm")));
        switch.save().unwrap();
        let again = gate.start(Mode::Observe, 40);
        assert_eq!(again.in_force(), switch.in_force());
        assert_eq!(again.hasher.secret(), switch.hasher.secret());
        switch.end_if_due(100);
        assert_eq!(switch.in_force().to_string(), "normal");
        assert_eq!(switch.set(admitting("5%"), 110).until, Some(500));
    }

    #[test]
    fn a_file_of_a_gate_that_knew_no_shares_is_read() {
        let gate = Gate::new();
        let text = r#"{"mode":"known-only","since":1,"until":null,"reason":null,"set_by":null,"before":"normal"}"#;
        std::fs::write(gate.0.path().join("mode.json"), text).unwrap();
        let switch = gate.start(Mode::Normal, 5);
        assert_eq!(switch.in_force().to_string(), "known-only");
        assert_eq!(switch.record().since, 1);
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
