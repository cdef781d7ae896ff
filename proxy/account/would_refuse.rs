//! What other modes would have refused.

use tidegate_config::Mode;

use super::families::{Families, Values};
use super::sharded::Counters;
use crate::door::DoorReason;
use crate::reason::Reason;

/// What other modes would have refused: requests by `known-only`, requests by `normal` in the order of
/// [`Reason::ALL`], and connections by `normal` in the order of [`DoorReason::ALL`].
#[derive(Debug)]
pub(super) struct WouldRefuse(Counters);

const BY_NORMAL: usize = 1;
const CONNECTIONS: usize = BY_NORMAL + Reason::ALL.len();

impl Default for WouldRefuse {
    fn default() -> Self {
        WouldRefuse(Counters::new(CONNECTIONS + DoorReason::ALL.len()))
    }
}

impl WouldRefuse {
    pub(super) fn add(&self, mode: Mode, reason: Reason) {
        match mode {
            Mode::Normal => self.0.increment(BY_NORMAL + reason as usize),
            Mode::KnownOnly => self.0.increment(0),
            // It refuses nothing.
            Mode::Observe => {}
        }
    }

    pub(super) fn close(&self, reason: DoorReason) {
        self.0.increment(CONNECTIONS + reason as usize);
    }

    pub(super) fn families(&self, out: &mut Families) {
        let [normal, known_only] = [Mode::Normal, Mode::KnownOnly].map(|mode| mode.to_string());
        let doors = DoorReason::ALL.map(|reason| {
            let label = format!("connection_{}", reason.label());
            (label, self.0.get(CONNECTIONS + reason as usize))
        });
        let shut_out = Reason::UnknownClient.label();
        let mut values: Values = vec![(vec![&known_only, shut_out], self.0.get(0))];
        let decided = Reason::ALL.into_iter().filter(|reason| reason.is_refusal());
        values.extend(decided.map(|reason| {
            let count = self.0.get(BY_NORMAL + reason as usize);
            (vec![normal.as_str(), reason.label()], count)
        }));
        values.extend(
            doors
                .iter()
                .map(|(label, count)| (vec![normal.as_str(), label.as_str()], *count)),
        );
        out.counters(
            "would_refuse_total",
            "Requests that another mode would have refused: normal, while the mode is observe, and known-only, while it is not in force. With a reason that begins with connection_: connections that normal would have closed.",
            &["mode", "reason"],
            values,
        );
    }
}
