//! What is remembered of one minute.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::account::Outcome;
use crate::audit;
use crate::forward::{Health, State};
use crate::top::Sources;

/// `GET /v1/report`: what an incident was.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Report {
    /// From when on, in seconds since the epoch.
    pub from: u64,
    /// Until when: now.
    pub until: u64,
    /// The gate's version.
    pub version: String,
    /// What went through, the oldest first. The last one goes on.
    pub minutes: Vec<Minute>,
    /// What was changed, the oldest first.
    pub changes: Vec<audit::Record>,
}

/// A minute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Minute {
    /// Its end, in seconds since the epoch.
    pub until: u64,
    /// How long it was: less than 60 when it goes on, more when the machine slept.
    pub seconds: u64,
    /// The mode at its end, with the share of unknown clients that is let in.
    pub mode: String,
    /// Requests by how they ended.
    pub requests: Ends,
    /// Those of known customers.
    pub known: Ends,
    /// Connections that were closed at the door, by reason.
    pub closed: BTreeMap<String, u64>,
    /// Open connections at its end.
    pub connections: u32,
    /// Upstreams in trouble.
    pub upstreams: Vec<UpstreamMinute>,
    /// Who sent the most.
    pub sources: Sources,
}

/// Requests by how they ended; those that were not served by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Ends {
    /// Served.
    pub forwarded: u64,
    /// Refused by the gate.
    pub refused: BTreeMap<String, u64>,
    /// Let in, and not served well.
    pub failed: BTreeMap<String, u64>,
}

/// What was the matter with an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UpstreamMinute {
    /// Its name.
    pub name: String,
    /// Its servers,
    pub servers: usize,
    /// and how many of them took no requests at the minute's end.
    pub out: usize,
    /// Requests that it answered.
    pub answered: u64,
    /// Requests that it did not.
    pub failed: u64,
    /// What was wrong with its names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Ends {
    /// Those that there were of each outcome.
    pub(super) fn of(all: impl IntoIterator<Item = (Outcome, u64)>) -> Self {
        let mut ends = Ends::default();
        for (outcome, count) in all {
            let (_, reason) = outcome.labels();
            let kind = match outcome {
                Outcome::Forwarded => {
                    ends.forwarded = count;
                    continue;
                }
                Outcome::Refused(_) => &mut ends.refused,
                Outcome::Failed(_) => &mut ends.failed,
            };
            if count > 0 {
                kind.insert(reason.to_owned(), count);
            }
        }
        ends
    }

    /// Those that have come since.
    pub(super) fn since(&self, before: &Self) -> Self {
        Ends {
            forwarded: self.forwarded.saturating_sub(before.forwarded),
            refused: since(&self.refused, &before.refused),
            failed: since(&self.failed, &before.failed),
        }
    }

    /// All that were refused.
    pub fn refused(&self) -> u64 {
        self.refused.values().sum()
    }

    /// All that failed.
    pub fn failed(&self) -> u64 {
        self.failed.values().sum()
    }

    /// All.
    pub fn all(&self) -> u64 {
        self.forwarded + self.refused() + self.failed()
    }

    /// With others.
    pub fn add(&mut self, other: &Self) {
        self.forwarded += other.forwarded;
        add(&mut self.refused, &other.refused);
        add(&mut self.failed, &other.failed);
    }
}

/// By reason, those that have come since.
pub(super) fn since(
    now: &BTreeMap<String, u64>,
    before: &BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    let more = now.iter().map(|(reason, count)| {
        let before = before.get(reason).copied().unwrap_or_default();
        (reason.clone(), count.saturating_sub(before))
    });
    more.filter(|(_, count)| *count > 0).collect()
}

/// By reason, with others.
pub fn add(all: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (reason, count) in more {
        *all.entry(reason.clone()).or_default() += count;
    }
}

impl UpstreamMinute {
    pub(super) fn of(name: &str, health: &Health, answered: u64, failed: u64) -> Self {
        let servers = health.addresses.len();
        let serves = |state| matches!(state, State::Available | State::SlowStart);
        let serving = health.addresses.iter().filter(|one| serves(one.state));
        UpstreamMinute {
            name: name.to_owned(),
            servers,
            out: servers - serving.count(),
            answered,
            failed,
            problem: health.problem.clone(),
        }
    }

    /// Whether there is anything to tell.
    pub(super) fn is_troubled(&self) -> bool {
        self.out > 0 || self.failed > 0 || self.servers == 0 || self.problem.is_some()
    }
}
