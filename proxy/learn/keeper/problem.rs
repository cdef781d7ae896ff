//! What can be wrong with the store of learned customers.

use serde::{Deserialize, Serialize};

/// What is wrong with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// Parts of it were damaged; they were moved aside, and the rest is in use.
    Damaged,
    /// A newer version wrote it. It is left alone.
    NewerVersion,
    /// It cannot be read. It is left alone.
    Unreadable,
    /// It cannot be written now. It is tried again.
    Unwritable,
}

impl ProblemKind {
    /// Every kind.
    pub const ALL: [ProblemKind; 4] = [
        ProblemKind::Damaged,
        ProblemKind::NewerVersion,
        ProblemKind::Unreadable,
        ProblemKind::Unwritable,
    ];

    /// The value of the `problem` label.
    pub fn label(self) -> &'static str {
        match self {
            ProblemKind::Damaged => "damaged",
            ProblemKind::NewerVersion => "newer_version",
            ProblemKind::Unreadable => "unreadable",
            ProblemKind::Unwritable => "unwritable",
        }
    }
}

/// What is wrong with the store, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Problem {
    /// Which kind it is.
    pub kind: ProblemKind,
    /// What was found, and what to do.
    pub detail: String,
}
