//! Opening again in steps: up while it is calm, back at once when it is not.

use serde::{Deserialize, Serialize};
use tidegate_config::{Mode, Share};

use super::{Record, Switch, as_percentages};

/// How `known-only` opens by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reopening {
    /// The shares of unknown clients to let in, one after the other, each more than the one before.
    #[serde(with = "as_percentages")]
    #[schemars(with = "Vec<String>")]
    pub steps: Vec<Share>,
    /// Seconds of calm before each step but the first.
    pub every: u64,
    /// When the next step is due, in seconds since the epoch.
    pub next: u64,
    /// Whether a step was made.
    #[serde(default)]
    pub walked: bool,
}

impl Reopening {
    fn above(&self, share: Share) -> Option<Share> {
        self.steps.iter().copied().find(|step| *step > share)
    }

    fn below(&self, share: Share) -> Share {
        let below = self.steps.iter().copied().filter(|step| *step < share);
        below.max().unwrap_or(Share::NONE)
    }
}

impl Record {
    /// As a start finds it: what the gate could not see while it was down was no calm.
    pub(super) fn resumed(mut self, now: u64) -> Self {
        if let Some(plan) = &mut self.reopening {
            plan.next = plan.next.max(now.saturating_add(plan.every));
        }
        self
    }
}

impl Switch {
    /// Begins to open in steps, or stops to. `None` when `known-only` is not in force.
    pub fn reopen(&self, plan: Option<Reopening>) -> Option<Record> {
        let mut record = self.lock();
        if record.mode != Mode::KnownOnly {
            return None;
        }
        record.reopening = plan;
        Some(record.clone())
    }

    /// Goes a step, if one is due: back when there is a sign of the `attack`, on when it has been calm
    /// for long enough. Gives what is in force then, and why. Behind the last step, which is all,
    /// `normal` is in force.
    pub fn walk(&self, attack: Option<&str>, now: u64) -> Option<(Record, String)> {
        let mut record = self.lock();
        let share = record.admit_unknown;
        let plan = record.reopening.as_mut()?;
        let (to, why) = match attack {
            Some(sign) if share > Share::NONE => {
                (plan.below(share), format!("stepped back: {sign}"))
            }
            Some(_) => {
                plan.next = now.saturating_add(plan.every);
                return None;
            }
            None if now < plan.next => return None,
            None => {
                let why = match plan.walked {
                    true => "no sign of an attack",
                    false => "the first step",
                };
                (plan.above(share)?, why.to_owned())
            }
        };
        plan.next = now.saturating_add(plan.every);
        plan.walked = true;
        record.admit_unknown = to;
        if to == Share::ALL {
            *record = Record {
                mode: Mode::Normal,
                admit_unknown: Share::NONE,
                since: now,
                until: None,
                reason: Some("opened again in steps".to_owned()),
                set_by: record.set_by.take(),
                before: Mode::Normal,
                reopening: None,
            };
        }
        self.put_in_force(&record);
        Some((record.clone(), why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::Change;
    use crate::state::StateFile;

    fn closed(folder: &tempfile::TempDir) -> Switch {
        let switch = Switch::open(StateFile::new(folder.path(), "mode.json"), Mode::Normal, 0);
        let change = Change {
            mode: Mode::KnownOnly,
            admit_unknown: Share::NONE,
            goes_on: false,
            until: Some(10_000),
            reason: None,
            set_by: None,
        };
        switch.set(change, 0);
        let steps = ["5%", "20%", "100%"].map(|step| step.parse().unwrap());
        let plan = Reopening {
            steps: steps.to_vec(),
            every: 60,
            next: 0,
            walked: false,
        };
        switch.reopen(Some(plan)).unwrap();
        switch
    }

    fn to(switch: &Switch, attack: Option<&str>, now: u64) -> Option<String> {
        let (record, _) = switch.walk(attack, now)?;
        Some(record.to_string())
    }

    fn at(share: &str) -> Option<String> {
        Some(format!("known-only, {share} of unknown clients admitted"))
    }

    #[test]
    fn calm_leads_up_and_out() {
        let folder = tempfile::tempdir().unwrap();
        let switch = closed(&folder);
        assert_eq!(to(&switch, None, 0), at("5%"));
        assert_eq!(to(&switch, None, 59), None);
        assert_eq!(to(&switch, None, 60), at("20%"));
        assert_eq!(to(&switch, None, 120).as_deref(), Some("normal"));
        assert_eq!(switch.record().until, None);
        assert_eq!(to(&switch, Some("a flood"), 121), None);
    }

    #[test]
    fn an_attack_leads_back_at_once_and_holds_what_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let switch = closed(&folder);
        to(&switch, None, 0);
        to(&switch, None, 60);
        let (record, why) = switch.walk(Some("a flood"), 61).unwrap();
        assert_eq!(
            (record.to_string(), why),
            (at("5%").unwrap(), "stepped back: a flood".to_owned())
        );
        assert_eq!(
            to(&switch, Some("a flood"), 62).as_deref(),
            Some("known-only")
        );
        assert_eq!(to(&switch, Some("a flood"), 130), None);
        assert_eq!(
            to(&switch, None, 189),
            None,
            "calm for less than the time between steps"
        );
        assert_eq!(to(&switch, None, 190), at("5%"));
        switch.save().unwrap();
        let again = Switch::open(
            StateFile::new(folder.path(), "mode.json"),
            Mode::Normal,
            1000,
        );
        assert_eq!(to(&again, None, 1059), None, "nothing was seen meanwhile");
        assert_eq!(to(&again, None, 1060), at("20%"));
        again.reopen(None).unwrap();
        assert_eq!(to(&again, None, 9000), None);
    }
}
