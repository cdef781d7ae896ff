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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Record {
    /// The mode.
    #[serde(with = "by_name")]
    #[schemars(with = "String")]
    pub mode: Mode,
    /// Which share of the unknown clients `known-only` lets in all the same.
    #[serde(with = "as_percentage", default)]
    #[schemars(with = "String")]
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
    #[schemars(with = "String")]
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
mod tests;
