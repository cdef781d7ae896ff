//! Upstreams: their names, their servers, and what became of requests.

use super::Scrape;
use crate::account::families::{Families, Values, labelled};
use crate::forward::{Health, State};

impl Scrape<'_> {
    pub(super) fn upstreams(&self, out: &mut Families) {
        for (name, help, value) in TIMES {
            out.gauges(name, help, &["upstream"], self.of_upstreams(value));
        }
        let states = State::ALL.map(|state| {
            let count = |health: &Health| health.count(state) as u64;
            labelled(state.label(), self.of_upstreams(count))
        });
        out.gauges(
            "upstream_servers",
            "Addresses of an upstream by whether they get requests.",
            &["upstream", "state"],
            states.concat(),
        );
        let made = labelled("made", self.of_upstreams(|health| health.retries));
        let refused = self.of_upstreams(|health| health.retries_refused);
        out.counters(
            "upstream_retries_total",
            "Requests sent once more because a server did not take them, and those that were not.",
            &["upstream", "outcome"],
            [made, labelled("over_budget", refused)].concat(),
        );
        let succeeded = labelled("succeeded", self.of_upstreams(|health| health.succeeded));
        let failed = labelled("failed", self.of_upstreams(|health| health.failed));
        out.counters(
            "upstream_requests_total",
            "Requests for an upstream, by whether it answered. What the client broke off is in neither.",
            &["upstream", "outcome"],
            [succeeded, failed].concat(),
        );
    }

    fn of_upstreams(&self, value: impl Fn(&Health) -> u64) -> Values<'_> {
        let upstreams = self.upstreams.iter();
        let values = upstreams.map(|(name, health)| (vec![name.as_str()], value(health)));
        values.collect()
    }
}

/// A metric, its help, and where its value stands.
type Time = (&'static str, &'static str, fn(&Health) -> u64);

const TIMES: [Time; 3] = [
    (
        "upstream_resolved_timestamp_seconds",
        "When all names of an upstream last had an answer, in seconds since 1970; 0 for never. Addresses that were known stay in use.",
        |health| health.resolved_at,
    ),
    (
        "upstream_addresses_changed_timestamp_seconds",
        "When an answer last brought other addresses for an upstream; 0 for never.",
        |health| health.addresses_changed_at,
    ),
    (
        "upstream_last_success_timestamp_seconds",
        "When an upstream last answered a request, in seconds since 1970; 0 for never.",
        |health| health.last_success,
    ),
];
