//! What `tidegate reopen` sees of an attack, and its steps.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tidegate_config::{Reopen, Share};

use super::Admin;
use crate::audit::Change;

/// Seconds that are looked back, at the most to the last step.
const WINDOW: usize = 10;
/// With fewer requests, shares of them tell nothing.
const LEAST: u64 = 20;

/// What was seen in the last seconds.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Requests let in so far, as [`Metrics::let_in`](crate::account::Metrics::let_in) tells, and the
    /// answers that took long.
    samples: VecDeque<[u64; 4]>,
}

impl Seen {
    /// Once a second: looks for signs of an attack, and goes a step if one is due.
    pub(super) fn look(&mut self, admin: &Arc<Admin>, now: u64) {
        let gate = &admin.gate;
        if gate.draining.load(Relaxed) || gate.mode.record().reopening.is_none() {
            self.samples.clear();
            return;
        }
        let policy = gate.policy.load();
        let [forwarded, refused, failed] = gate.account.metrics.let_in();
        let slow = gate.account.slow.than(policy.reopen.slower_than);
        self.samples.push_back([forwarded, refused, failed, slow]);
        if self.samples.len() > WINDOW {
            self.samples.pop_front();
        }
        let open = gate.connections.get();
        let sign = self.of_requests(&policy.reopen).or_else(|| {
            let most = policy.caps.open_to_all();
            let too_many = exceeds(open.into(), most.into(), policy.reopen.connections);
            too_many.then(|| format!("{open} of {most} connections are open"))
        });
        if let Some((record, why)) = gate.mode.walk(sign.as_deref(), now) {
            self.samples.clear();
            stepped(admin, &record, why);
        }
    }

    fn of_requests(&self, most: &Reopen) -> Option<String> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let [forwarded, refused, failed, slow] = [0, 1, 2, 3].map(|at| {
            let [first, last] = [first, last].map(|sample| sample.get(at).copied().unwrap_or(0));
            last.saturating_sub(first)
        });
        let let_in = forwarded + refused + failed;
        let tell = |count: u64, all: u64, share: Share, what: &str| {
            let sign = all >= LEAST && exceeds(count, all, share);
            sign.then(|| format!("{count} of {all} requests {what}"))
        };
        tell(refused, let_in, most.refused, "let in were refused")
            .or_else(|| {
                let what = "let in were not answered by an upstream";
                tell(failed, let_in, most.failed, what)
            })
            .or_else(|| {
                let bound = format!("that were answered took longer than {:?}", most.slower_than);
                tell(slow, forwarded, most.slow, &bound)
            })
    }
}

/// Whether `count` is more than a share of `all`.
fn exceeds(count: u64, all: u64, share: Share) -> bool {
    u128::from(count) * u128::from(Share::WHOLE) > u128::from(all) * u128::from(share.parts())
}

/// Tells of a step.
fn stepped(admin: &Arc<Admin>, record: &crate::mode::Record, why: String) {
    tracing::warn!("mode {record}, opening again: {why}");
    super::housekeeping::save(admin, |admin| admin.gate.mode.save());
    let change = Change {
        what: "mode",
        to: record.to_string(),
        until: record.until,
        reason: Some(why),
    };
    super::housekeeping::audit(admin, change);
}
