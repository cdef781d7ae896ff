//! Known customers: by files, operators and the app, and by their passes.

use super::Scrape;
use crate::account::families::{Families, each};
use crate::learn::ProblemKind;

impl Scrape<'_> {
    pub(super) fn known(&self, out: &mut Families) {
        out.gauges(
            "known_prefixes",
            "Prefixes of known customers, by who said so: files, operators, or the app.",
            &["source"],
            each([
                ("file", self.known.files as u64),
                ("operator", self.known.operators as u64),
                ("learned", self.learned.known as u64),
            ]),
        );
        out.gauge(
            "known_files_rejected",
            "1 while files of known customers have changed and were not taken over, as something is wrong in them; who was known before still is.",
            self.known_files_rejected.into(),
        );
        let [taken, rejected] = self.known_files_changes;
        out.counters(
            "known_files_changes_total",
            "Changes of the files of known customers that the gate has noticed by itself, by whether they were taken over.",
            &["outcome"],
            each([("taken", taken), ("rejected", rejected)]),
        );
        let [issued, let_in, invalid] = self.passes;
        out.counters(
            "passes_total",
            "Passes: issued to customers, requests of unknown addresses that only theirs let in, and requests with an invalid one (forged, expired or revoked).",
            &["event"],
            each([("issued", issued), ("let_in", let_in), ("invalid", invalid)]),
        );
    }

    pub(super) fn learned(&self, out: &mut Families) {
        let [accepted, dropped, unattributed] = self.learned.confirmations;
        out.counters(
            "confirmations_total",
            "Responses by which the app confirmed a customer: accepted, dropped because too many came at once, or unattributed because a trusted proxy did not name the client.",
            &["outcome"],
            each([
                ("accepted", accepted),
                ("dropped", dropped),
                ("unattributed", unattributed),
            ]),
        );
        out.counter(
            "learned_evictions_total",
            "Learned customers that were forgotten before their time, as there were more than known.learn.max.",
            self.learned.evicted,
        );
        let found = self.learned.problem.as_ref().map(|problem| problem.kind);
        let is_found = |kind: ProblemKind| (kind.label(), u64::from(found == Some(kind)));
        out.gauges(
            "learned_store_problem",
            "1 for what is wrong with the store of learned customers, else 0. The gate goes on with those in memory.",
            &["problem"],
            each(ProblemKind::ALL.map(is_found)),
        );
    }
}
