//! What the audit log tells of a change.

use serde::{Deserialize, Serialize};

use crate::note::Note;

/// A change of what the gate does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Record {
    /// When, in seconds since the epoch.
    pub time: u64,
    /// Who: a user of this machine, or `tidegate` where it was the clock.
    pub by: String,
    /// What was changed, such as `mode`.
    pub what: String,
    /// To what, in words.
    pub to: String,
    /// Until when, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The traffic before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Traffic>,
    /// The traffic a minute after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Traffic>,
}

/// What a record tells of a change itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What was changed.
    pub what: &'static str,
    /// To what, in words.
    pub to: String,
    /// Until when, in seconds since the epoch.
    pub until: Option<u64>,
    /// Why.
    pub reason: Option<String>,
}

impl Change {
    /// One with the end and the reason that were noted.
    pub fn noted(what: &'static str, to: String, note: &Note) -> Self {
        Change {
            what,
            to,
            until: note.until,
            reason: note.reason.clone(),
        }
    }

    /// One without an end and a reason.
    pub fn plain(what: &'static str, to: String) -> Self {
        Change {
            what,
            to,
            until: None,
            reason: None,
        }
    }
}

/// What went through the gate, over some seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Traffic {
    /// Requests a second that reached an app and came back.
    pub forwarded: f64,
    /// Requests a second that were refused.
    pub refused: f64,
    /// Requests a second that failed.
    pub failed: f64,
    /// Open connections.
    pub connections: u32,
}
