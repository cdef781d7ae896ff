//! What is noted with everything that an operator sets: its end, its reason and its owner.

use serde::{Deserialize, Serialize};

/// An end, a reason and an owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Note {
    /// When it ends, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Why it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_by: Option<String>,
}

impl Note {
    /// Whether its end has passed.
    pub fn has_ended(&self, now: u64) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// The wall clock was set: it lasts as long as it would have. Whether it has an end.
    pub fn move_end(&mut self, seconds: i64) -> bool {
        let end = self.until.as_mut();
        end.map(|end| *end = end.saturating_add_signed(seconds))
            .is_some()
    }
}

/// Moves the ends of several, as [`Note::move_end`] does. Whether any has one.
pub fn move_ends<'notes>(notes: impl Iterator<Item = &'notes mut Note>, seconds: i64) -> bool {
    notes
        .map(|note| note.move_end(seconds))
        .fold(false, |any, one| any | one)
}
