//! Who sent the most, over all minutes.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::code;
use crate::minutes::Minute;
use crate::top::{Kind, Measured, Source};

/// Sources of a kind that are named: those with the most requests, and those that held the upstreams for
/// longest, who may have sent few.
const MOST: usize = 8;
const LONGEST: usize = 3;

/// Writes a table for each kind.
pub(super) fn write(minutes: &[Minute], out: &mut String) -> fmt::Result {
    let missed: u64 = minutes.iter().map(|minute| minute.sources.missed).sum();
    writeln!(
        out,
        "Of those that were among the heaviest of a minute, so what each sent in others is not in it; where more than ten thousand a second came, these are estimates ({missed} requests were not looked at). Seconds are those for which the apps were held.\n"
    )?;
    for kind in Kind::ALL {
        let title = kind.title();
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
    standing: &'static str,
}

impl Sum {
    fn add(&mut self, source: &Source) {
        let (here, there) = (&mut self.measured, &source.measured);
        here.requests += there.requests;
        here.refused += there.refused;
        here.bytes += there.bytes;
        here.upstream_seconds += there.upstream_seconds;
        self.minutes += 1;
        self.standing = source.standing();
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
    let mut named: Vec<_> = sums.drain(..sums.len().min(MOST)).collect();
    let held = |sum: &Sum| sum.measured.upstream_seconds;
    sums.sort_by(|(_, one), (_, other)| held(other).total_cmp(&held(one)));
    named.extend(sums.into_iter().take(LONGEST));
    named
}

fn write_row(name: &str, sum: &Sum, out: &mut String) -> fmt::Result {
    let Measured {
        requests,
        refused,
        bytes,
        upstream_seconds,
    } = sum.measured;
    writeln!(
        out,
        "| {} | {requests} | {refused} | {:.1} | {upstream_seconds:.1} | {} | {} |",
        code(name),
        bytes as f64 / f64::from(1 << 20),
        sum.minutes,
        sum.standing
    )
}
