//! Who is a known customer, and who becomes one.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use super::{Folder, limits::limit};
use crate::{
    checked::{Known, Learn, LearnRule, Limit, Pass, Rate},
    findings::Findings,
    literal::{FieldName, Keep, Method, PathPrefix, Token},
    raw,
};

const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const MOST_LEARNED: u32 = 100_000;

pub(super) fn known(findings: &mut Findings<'_>, raw: raw::Known, folder: &Folder) -> Known {
    let files: Vec<PathBuf> = findings.read_all(&raw.files);
    let learn = raw.learn.and_then(|raw| learn(findings, raw));
    let pass = raw.pass.and_then(|raw| pass(findings, raw, folder));
    if pass.is_some()
        && learn.is_none()
        && let Some(span) = findings.document.span_of(&["known", "pass"])
    {
        findings.problem(
            &span,
            "a pass is given to whom the app confirms, and nothing says how it does; write \
             [known.learn], such as header = \"x-tidegate-known\""
                .to_owned(),
        );
    }
    Known {
        files: files.iter().map(|file| folder.join(file)).collect(),
        learn,
        pass,
    }
}

fn learn(findings: &mut Findings<'_>, raw: raw::Learn) -> Option<Learn> {
    let rules: Vec<LearnRule> = raw
        .rules
        .iter()
        .filter_map(|raw| rule(findings, raw))
        .collect();
    if raw.header.is_none()
        && raw.rules.is_empty()
        && let Some(span) = findings.document.span_of(&["known", "learn"])
    {
        findings.problem(
            &span,
            "found neither `header` nor `rules`, so that no response confirms anybody; write one, \
             such as header = \"x-tidegate-known\""
                .to_owned(),
        );
    }
    let header = raw.header.and_then(|written| findings.read(&written));
    let Keep(keep) = findings.read_or(raw.keep, Keep(MONTH));
    Some(Learn {
        header: header.map(|FieldName(name)| name),
        rules,
        keep,
        max: raw.max.unwrap_or(MOST_LEARNED),
        confirmations: raw.confirmations.unwrap_or(NonZeroU32::MIN),
    })
}

fn rule(findings: &mut Findings<'_>, raw: &raw::LearnRule) -> Option<LearnRule> {
    let PathPrefix(path) = findings.read(&raw.path)?;
    let methods: Vec<Method> = findings.read_all(&raw.methods);
    Some(LearnRule {
        path,
        methods: methods.into_iter().map(|Method(method)| method).collect(),
        status: raw.status,
    })
}

fn pass(findings: &mut Findings<'_>, raw: raw::Pass, folder: &Folder) -> Option<Pass> {
    let Token(cookie) = findings.read_or(raw.cookie, Token("tidegate_pass".to_owned()));
    let Keep(lifetime) = findings.read_or(raw.lifetime, Keep(MONTH));
    let written = raw
        .limit
        .and_then(|raw| limit(findings, &raw.rate, raw.burst));
    let key_file = findings.read(&raw.key_file)?;
    Some(Pass {
        key_file: folder.join(&key_file),
        cookie,
        lifetime,
        limit: written.unwrap_or(usual_limit()),
    })
}

/// Enough for one person who clicks, and little for whoever shares a pass.
fn usual_limit() -> Limit {
    let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    Limit {
        rate: Rate {
            count: number(10),
            per: Duration::from_secs(1),
        },
        burst: number(20),
    }
}
