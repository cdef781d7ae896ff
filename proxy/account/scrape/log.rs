//! The access log, and the gate's own messages.

use super::Scrape;
use crate::account::Class;
use crate::account::families::{Families, each};

impl Scrape<'_> {
    pub(super) fn log(&self, out: &mut Families) {
        let access = self.log.counts().access();
        out.counters(
            "log_lines_total",
            "Lines of the access log by what became of them: written, left out by the sample, left out by the budget, or lost because the disk did not take them.",
            &["outcome"],
            each([
                ("written", access.written),
                ("sampled_out", access.sampled_out),
                ("over_budget", access.over_budget),
                ("lost", access.lost),
            ]),
        );
        let [written, over_budget, lost] = access.bytes;
        out.counters(
            "log_bytes_total",
            "Bytes of the access log by what became of their lines, its summaries among those written; a line that the sample left out has none.",
            &["outcome"],
            each([
                ("written", written),
                ("over_budget", over_budget),
                ("lost", lost),
            ]),
        );
        let messages = self.log.counts().of(Class::Message).now();
        out.counters(
            "messages_total",
            "Messages of the gate itself by what became of them.",
            &["outcome"],
            each([
                ("written", messages.written),
                ("repeated", messages.sampled_out),
                ("over_budget", messages.over_budget),
                ("lost", messages.lost),
            ]),
        );
        out.gauge(
            "log_failing",
            "1 while the access log cannot be written: its lines are lost.",
            self.log.problem().is_some().into(),
        );
    }
}
