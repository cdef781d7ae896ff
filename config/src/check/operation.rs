//! How the gate itself is run.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::Folder;
use crate::{
    checked::{Deadlines, KnownOnly, Log, LogFile, Refusal, Reopen, Rotate, Sample, State, Top},
    findings::Findings,
    literal::{Bandwidth, Deadline, FileSize, LeastRate, PathPrefix, Stay},
    raw::{self, Written},
};

pub(super) fn known_only(findings: &mut Findings<'_>, raw: raw::KnownOnly) -> KnownOnly {
    let Stay(duration) = findings.read_or(raw.r#for, Stay(KnownOnly::default().duration));
    let paths: Vec<PathPrefix> = findings.read_all(&raw.exempt_paths);
    let default = KnownOnly::default();
    let reopen = Reopen {
        refused: findings.read_or(raw.reopen.refused, default.reopen.refused),
        failed: findings.read_or(raw.reopen.failed, default.reopen.failed),
        slow: findings.read_or(raw.reopen.slow, default.reopen.slow),
        slower_than: findings
            .read_or(raw.reopen.slower_than, Deadline(default.reopen.slower_than))
            .0,
        connections: findings.read_or(raw.reopen.connections, default.reopen.connections),
    };
    KnownOnly {
        reopen,
        minimum: raw.minimum.unwrap_or(default.minimum),
        customers_refused: findings.read_or(raw.customers_refused, default.customers_refused),
        duration,
        exempt_paths: paths.into_iter().map(|PathPrefix(path)| path).collect(),
    }
}

pub(super) fn deadlines(findings: &mut Findings<'_>, raw: raw::Deadlines) -> Deadlines {
    let default = Deadlines::default();
    let mut rate = |written: Option<Written<LeastRate>>, default: u64| {
        findings.read_or(written, LeastRate(default)).0
    };
    let request_body_rate = rate(raw.request_body_rate, default.request_body_rate);
    let response_body_rate = rate(raw.response_body_rate, default.response_body_rate);
    let mut read = |written: Option<Written<Deadline>>, default: Duration| {
        findings.read_or(written, Deadline(default)).0
    };
    Deadlines {
        proxy_header: read(raw.proxy_header, default.proxy_header),
        tls_handshake: read(raw.tls_handshake, default.tls_handshake),
        request_header: read(raw.request_header, default.request_header),
        request_body_idle: read(raw.request_body_idle, default.request_body_idle),
        request_body_rate,
        response_body_idle: read(raw.response_body_idle, default.response_body_idle),
        response_body_rate,
        keepalive: read(raw.keepalive, default.keepalive),
        upgraded_idle: read(raw.upgraded_idle, default.upgraded_idle),
        upstream_connect: read(raw.upstream_connect, default.upstream_connect),
        upstream_response: read(raw.upstream_response, default.upstream_response),
        drain: read(raw.drain, default.drain),
    }
}

pub(super) fn log(findings: &mut Findings<'_>, raw: raw::Log, folder: &Folder) -> Log {
    let (default, sample) = (Log::default(), Sample::default());
    let file = raw.file.and_then(|written| findings.read(&written));
    let Bandwidth(budget) = findings.read_or(raw.budget, Bandwidth(default.budget));
    let rotate = default.rotate;
    let FileSize(size) = findings.read_or(raw.rotate.size, FileSize(rotate.size));
    Log {
        rotate: Rotate {
            size,
            keep: raw.rotate.keep.unwrap_or(rotate.keep),
        },
        file: match file {
            None => default.file,
            Some(file) if file == Path::new("stdout") => LogFile::Stdout,
            Some(file) => LogFile::Path(folder.join(&file)),
        },
        sample: Sample {
            forwarded: raw.sample.forwarded.unwrap_or(sample.forwarded),
            refused: raw.sample.refused.unwrap_or(sample.refused),
            failed: raw.sample.failed.unwrap_or(sample.failed),
        },
        budget,
        query: raw.query.unwrap_or(default.query),
    }
}

pub(super) fn refusal(raw: &raw::Refusal) -> Refusal {
    let default = Refusal::default();
    Refusal {
        ratelimit_fields: raw.ratelimit_fields.unwrap_or(default.ratelimit_fields),
    }
}

pub(super) fn state(findings: &mut Findings<'_>, raw: raw::State, folder: &Folder) -> State {
    match raw.directory.and_then(|written| findings.read(&written)) {
        Some(directory) => State {
            directory: folder.join(&directory),
        },
        None => State::default(),
    }
}

pub(super) fn top(findings: &mut Findings<'_>, raw: raw::Top, folder: &Folder) -> Top {
    let mut file = |written: Option<Written<PathBuf>>| {
        let file = findings.read(&written?)?;
        Some(folder.join(&file))
    };
    Top {
        systems_file: file(raw.systems_file),
        countries_file: file(raw.countries_file),
    }
}
