//! Passes that are not believed any more: some by their number, or all that there were.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::Id;
use crate::clock;
use crate::gate::Gate;
use crate::state::{StateError, StateFile};

/// Numbers that are kept.
const MAX_REVOKED: usize = 100_000;
/// Seconds after which a pass has ended whatever its lifetime was: the longest that is configured.
const LONGEST: u64 = 366 * 24 * 60 * 60;

/// What requests look passes up in.
#[derive(Debug, Default)]
pub struct Revoked {
    /// Rises whenever all are revoked; signed with every pass.
    pub epoch: u64,
    /// The numbers of those that are not believed.
    pub ids: HashSet<Id>,
}

/// What was revoked, as it is written down and told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RevokedList {
    /// When all were revoked last, in milliseconds since 1970: no two times are the same, so that no
    /// pass of an earlier one is believed. Zero when they never were.
    pub epoch: u64,
    /// Numbers, and when there is no need to remember them any more.
    pub ids: BTreeMap<Id, u64>,
    /// Why all were revoked, when nobody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl RevokedList {
    /// All that there are, and none by its number: they were signed in an earlier epoch.
    fn all(before: u64, problem: Option<String>) -> Self {
        RevokedList {
            // A later one than before, whatever the clock says.
            epoch: clock::unix_millis().max(before.saturating_add(1)),
            ids: BTreeMap::new(),
            problem,
        }
    }

    /// All that there are, because nobody knows any more which ones were revoked.
    fn lost(problem: String) -> Self {
        tracing::error!(
            "all passes given before now are revoked, as nobody knows any more which ones were: {problem}"
        );
        RevokedList::all(0, Some(problem))
    }
}

/// Why a pass was not revoked.
#[derive(Debug, thiserror::Error)]
#[error(
    "{MAX_REVOKED} passes are revoked already, and no more are kept: `tidegate pass revoke all` ends all of them"
)]
pub struct RevokeError;

/// Revokes passes.
#[derive(Debug)]
pub struct Revocations {
    gate: Arc<Gate>,
    list: Mutex<RevokedList>,
    file: Mutex<StateFile>,
}

impl Revocations {
    /// What was revoked before the restart, in force from here on. When that is not to be had any more,
    /// all are: one that was revoked must not come back.
    pub fn open(gate: Arc<Gate>, file: StateFile, now: u64) -> Self {
        let loaded = file.load_or_problem::<RevokedList>();
        let lost = loaded.is_err();
        let mut list = loaded.map_or_else(RevokedList::lost, Option::unwrap_or_default);
        list.ids.retain(|_, until| *until > now);
        let revocations = Revocations {
            gate,
            list: Mutex::new(list),
            file: Mutex::new(file),
        };
        revocations.put_in_force();
        // So that what is given from here on survives the next restart.
        if lost && let Err(error) = revocations.save() {
            tracing::warn!("{error}");
        }
        revocations
    }

    fn list(&self) -> MutexGuard<'_, RevokedList> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_in_force(&self) {
        self.gate.passes.revoked.replace(|| {
            let list = self.list();
            Revoked {
                epoch: list.epoch,
                ids: list.ids.keys().copied().collect(),
            }
        });
    }

    /// Revokes one, from the next request on. Takes a moment, as [`crate::in_force::InForce::replace`] does.
    ///
    /// # Errors
    /// When too many are.
    pub fn revoke(&self, id: Id, now: u64) -> Result<(), RevokeError> {
        let mut list = self.list();
        list.ids.retain(|_, until| *until > now);
        if list.ids.len() >= MAX_REVOKED && !list.ids.contains_key(&id) {
            return Err(RevokeError);
        }
        list.ids.insert(id, now.saturating_add(LONGEST));
        drop(list);
        self.put_in_force();
        Ok(())
    }

    /// Revokes all that there are, as [`Revocations::revoke`] does.
    pub fn revoke_all(&self) {
        let mut list = self.list();
        *list = RevokedList::all(list.epoch, None);
        drop(list);
        self.put_in_force();
    }

    /// What is revoked.
    pub fn get(&self) -> RevokedList {
        self.list().clone()
    }

    /// Writes it down. Blocks for as long as the disk does.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn save(&self) -> Result<(), StateError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // Read behind the lock: of two savers, the last writes the latest.
        let list = self.get();
        file.save(&list)
    }
}
