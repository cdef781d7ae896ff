//! Who sent the most, over all minutes.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::code;
use crate::minutes::Minute;
use crate::top::{Kind, Measured, Source};

/// Sources of a kind that are named.
const NAMED: usize = 10;

/// Writes a table for each kind.
pub(super) fn write(minutes: &[Minute], out: &mut String) -> fmt::Result {
    writeln!(
        out,
        "The sum of the minutes in which each was among the heaviest, so at least this much. Seconds are those for which upstreams were held.\n"
    )?;
    for (kind, title) in [
        (Kind::Client, "client"),
        (Kind::Network, "network"),
        (Kind::System, "AS"),
        (Kind::Country, "country"),
        (Kind::Tenant, "tenant"),
        (Kind::Path, "path"),
        (Kind::Agent, "user agent"),
    ] {
        let sums = sums(minutes, kind);
        if sums.is_empty() {
            continue;
        }
        writeln!(
            out,
            "| {title} | requests | refused | MiB | seconds | minutes | |"
        )?;
        writeln!(out, "|---|---:|---:|---:|---:|---:|---|")?;
        for (name, sum) in sums {
            write_row(name, &sum, out)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// What came from a source.
#[derive(Default)]
struct Sum {
    measured: Measured,
    minutes: u64,
    known: bool,
    blocked: bool,
}

impl Sum {
    fn add(&mut self, source: &Source) {
        let (here, there) = (&mut self.measured, &source.measured);
        here.requests += there.requests;
        here.refused += there.refused;
        here.bytes += there.bytes;
        here.upstream_seconds += there.upstream_seconds;
        self.minutes += 1;
        (self.known, self.blocked) = (source.known, source.blocked);
    }
}

fn sums(minutes: &[Minute], kind: Kind) -> Vec<(&str, Sum)> {
    let mut sums = BTreeMap::<&str, Sum>::new();
    for minute in minutes {
        for source in minute.sources.by_kind(kind) {
            sums.entry(&source.name).or_default().add(source);
        }
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(name, sum)| (Reverse(sum.measured.requests), *name));
    sums.truncate(NAMED);
    sums
}

fn write_row(name: &str, sum: &Sum, out: &mut String) -> fmt::Result {
    let Measured {
        requests,
        refused,
        bytes,
        upstream_seconds,
    } = sum.measured;
    let standing = match (sum.known, sum.blocked) {
        (true, true) => "known, blocked",
        (true, false) => "known",
        (false, true) => "blocked",
        (false, false) => "",
    };
    writeln!(
        out,
        "| {} | {requests} | {refused} | {:.1} | {upstream_seconds:.1} | {} | {standing} |",
        code(name),
        bytes as f64 / f64::from(1 << 20),
        sum.minutes
    )
}
