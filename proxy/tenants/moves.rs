//! Tenants that operators moved to another tier.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::Roster;
use crate::note::{self, Note};
use crate::state::{StateError, StateFile};

/// Tenants that operators may move one by one; more belong in a file.
const MAX_MOVED: usize = 10_000;

/// A tenant that an operator moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Moved {
    /// What it is called.
    pub name: String,
    /// The tier it is in now.
    pub tier: String,
    /// Its end, when it returns to where it is listed, reason and owner.
    #[serde(flatten)]
    pub note: Note,
}

impl Moved {
    /// Who says so, for people.
    pub fn source(&self) -> Arc<str> {
        match &self.note.set_by {
            Some(operator) => format!("operator {operator}").into(),
            None => "operator".into(),
        }
    }
}

/// Why a tenant was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MovesError {
    /// The bound on moved tenants is reached.
    #[error(
        "{MAX_MOVED} tenants were moved already; list them in a file that tenant.files names, and reload"
    )]
    Full,
    /// It is where it is listed.
    #[error("the tenant {0:?} was not moved by an operator; see `tidegate tenant list`")]
    Absent(String),
}

/// All tenants that operators moved, by name; it survives a restart.
#[derive(Debug)]
pub struct Moves {
    moved: Mutex<BTreeMap<String, Moved>>,
    file: Mutex<StateFile>,
}

fn by_name(moved: Vec<Moved>) -> BTreeMap<String, Moved> {
    let named = moved.into_iter().map(|moved| (moved.name.clone(), moved));
    named.collect()
}

impl Moves {
    /// What was moved before the restart; a damaged file is set aside and named in the log.
    pub fn open(file: StateFile) -> Self {
        Moves {
            moved: Mutex::new(by_name(file.load().unwrap_or_default())),
            file: Mutex::new(file),
        }
    }

    fn moved(&self) -> MutexGuard<'_, BTreeMap<String, Moved>> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<Moved> {
        self.moved().values().cloned().collect()
    }

    /// All of them, each by what the tenant is called in this roster: one that was moved before it was
    /// listed may have got a name since.
    pub fn among(&self, roster: &Roster) -> Vec<Moved> {
        let mut moved = self.list();
        for one in &mut moved {
            if let Some(name) = roster.called(&one.name) {
                one.name = name.to_owned();
            }
        }
        moved
    }

    /// Replaces all of them.
    pub fn replace(&self, moved: Vec<Moved>) {
        *self.moved() = by_name(moved);
    }

    /// Moves a tenant, or changes where to, until when and why.
    ///
    /// # Errors
    /// When there are too many.
    pub fn set(&self, to: Moved) -> Result<(), MovesError> {
        let mut moved = self.moved();
        if moved.len() >= MAX_MOVED && !moved.contains_key(&to.name) {
            return Err(MovesError::Full);
        }
        moved.insert(to.name.clone(), to);
        Ok(())
    }

    /// Lets a tenant return to where it is listed.
    ///
    /// # Errors
    /// When it was not moved.
    pub fn unset(&self, name: &str) -> Result<Moved, MovesError> {
        let moved = self.moved().remove(name);
        moved.ok_or_else(|| MovesError::Absent(name.chars().take(80).collect()))
    }

    /// The wall clock was set: moves last as long as they would have. Whether any has an end.
    pub fn move_ends(&self, seconds: i64) -> bool {
        let mut moved = self.moved();
        note::move_ends(moved.values_mut().map(|moved| &mut moved.note), seconds)
    }

    /// Whether the end of any has passed.
    pub fn any_ended(&self, now: u64) -> bool {
        let moved = self.moved();
        moved.values().any(|moved| moved.note.has_ended(now))
    }

    /// Drops those whose end has passed, or whom `keep` does not want, and gives them.
    pub fn drop_unless(&self, now: u64, keep: impl Fn(&Moved) -> bool) -> Vec<Moved> {
        let stays = |moved: &Moved| !moved.note.has_ended(now) && keep(moved);
        let mut moved = self.moved();
        let gone = moved.extract_if(.., |_, moved| !stays(moved));
        gone.map(|(_, moved)| moved).collect()
    }

    /// Writes down who was moved. Blocks for as long as the disk does, and nobody else with it.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn save(&self) -> Result<(), StateError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // Read behind the lock: of two savers, the last writes the latest.
        file.save(&self.list())
    }
}
