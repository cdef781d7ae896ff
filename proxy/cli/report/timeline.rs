//! What was changed, and what went wrong, in the order of time.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::{code, output};
use crate::audit::{Record, Traffic};
use crate::minutes::{Minute, Report, UpstreamMinute};

/// Something that began at a time.
struct Event {
    at: u64,
    said: String,
}

/// Writes it.
pub(super) fn write(report: &Report, out: &mut String) -> fmt::Result {
    let changes = report.changes.iter().map(change);
    let mut events: Vec<Event> = changes.chain(troubles(&report.minutes)).collect();
    events.sort_by_key(|event| event.at);
    if events.is_empty() {
        writeln!(out, "Nothing was changed, and no upstream was in trouble.")?;
    }
    for Event { at, said } in events {
        writeln!(out, "- {} {said}", output::time(at))?;
    }
    writeln!(out)
}

fn change(record: &Record) -> Event {
    let mut said = format!("**{} {}**", record.what, output::plain(&record.to));
    if let Some(until) = record.until {
        said.push_str(&format!(" until {}", output::time(until)));
    }
    said.push_str(&format!(", by {}", output::plain(&record.by)));
    if let Some(reason) = &record.reason {
        said.push_str(&format!(": {}", code(reason)));
    }
    if let (Some(before), Some(after)) = (&record.before, &record.after) {
        said.push_str(&format!(
            "  \n  before {}; a minute later {}",
            traffic(before),
            traffic(after)
        ));
    }
    Event {
        at: record.time,
        said,
    }
}

fn traffic(traffic: &Traffic) -> String {
    format!(
        "{:.1}/s served, {:.1}/s refused, {:.1}/s failed, {} connections",
        traffic.forwarded, traffic.refused, traffic.failed, traffic.connections
    )
}

fn gap(from: u64, until: u64) -> Event {
    let said = format!(
        "**nothing was written down** until {}: the gate, or its machine, was not running",
        output::time(until)
    );
    Event { at: from, said }
}

/// An upstream in trouble, over minutes that follow each other.
struct Trouble {
    from: u64,
    until: u64,
    answered: u64,
    failed: u64,
    servers: usize,
    most_out: usize,
    problem: Option<String>,
}

impl Trouble {
    fn begin(minute: &Minute, upstream: &UpstreamMinute) -> Self {
        let mut trouble = Trouble {
            from: minute.until.saturating_sub(minute.seconds),
            until: 0,
            answered: 0,
            failed: 0,
            servers: 0,
            most_out: 0,
            problem: None,
        };
        trouble.go_on(minute, upstream);
        trouble
    }

    fn go_on(&mut self, minute: &Minute, upstream: &UpstreamMinute) {
        self.until = minute.until;
        self.answered += upstream.answered;
        self.failed += upstream.failed;
        self.servers = upstream.servers;
        self.most_out = self.most_out.max(upstream.out);
        self.problem = upstream.problem.clone().or(self.problem.take());
    }

    fn event(self, name: &str) -> Event {
        let mut said = format!(
            "**upstream {}** in trouble between then and {}: {} requests failed, {} were answered",
            output::plain(name),
            output::time(self.until),
            self.failed,
            self.answered
        );
        if self.most_out > 0 {
            let (out, all) = (self.most_out, self.servers);
            said.push_str(&format!("; {out} of {all} servers left out"));
        }
        if let Some(problem) = self.problem {
            said.push_str(&format!("; {}", code(&problem)));
        }
        Event {
            at: self.from,
            said,
        }
    }
}

/// Seconds between two minutes that are no gap.
const NEXT: u64 = 5;

/// Times of which nothing is known, and troubles of upstreams: those of minutes that follow each other
/// are one.
fn troubles(minutes: &[Minute]) -> Vec<Event> {
    let (mut open, mut events) = (BTreeMap::<&str, Trouble>::new(), Vec::new());
    let mut last: Option<u64> = None;
    for minute in minutes {
        let begun = minute.until.saturating_sub(minute.seconds);
        if let Some(last) = last.filter(|last| begun > last + NEXT) {
            let over = std::mem::take(&mut open).into_iter();
            events.extend(over.map(|(name, trouble)| trouble.event(name)));
            events.push(gap(last, begun));
        }
        last = Some(minute.until);
        let is_in = |name: &str| minute.upstreams.iter().any(|one| one.name == name);
        let over: Vec<&str> = open.keys().copied().filter(|name| !is_in(name)).collect();
        for name in over {
            events.extend(open.remove(name).map(|trouble| trouble.event(name)));
        }
        for upstream in &minute.upstreams {
            open.entry(&upstream.name)
                .and_modify(|trouble| trouble.go_on(minute, upstream))
                .or_insert_with(|| Trouble::begin(minute, upstream));
        }
    }
    events.extend(open.into_iter().map(|(name, trouble)| trouble.event(name)));
    events
}
