//! Tenants and tiers.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

use crate::{
    checked::{Listed, Tenant, TenantFrom, Tier},
    findings::Findings,
    raw::{self, Written},
    source::shortened,
};

use super::{Folder, limits::limit, network::check_name, routes::existing};

/// The table that lists tenants.
const TENANTS: &str = "tenants";

/// The tiers, by name.
pub(super) fn tiers(
    findings: &mut Findings<'_>,
    raw: BTreeMap<String, raw::Tier>,
) -> BTreeMap<String, Tier> {
    let mut tier = |(name, raw): (String, raw::Tier)| {
        check_name(findings, "tier", &name);
        let limit = raw
            .limit
            .and_then(|raw| limit(findings, &raw.rate, raw.burst));
        (
            name,
            Tier {
                limit,
                in_flight: raw.in_flight,
            },
        )
    };
    raw.into_iter().map(&mut tier).collect()
}

/// How to tell which tenant a request belongs to.
pub(super) fn tenant(
    findings: &mut Findings<'_>,
    raw: Option<raw::Tenant>,
    tiers: &BTreeMap<String, Tier>,
    folder: &Folder,
) -> Option<Tenant> {
    let Some(raw) = raw else {
        if let (Some(span), false) = (findings.document.span_of(&["tier"]), tiers.is_empty()) {
            findings.warn(
                &span,
                "without [tenant], no request belongs to a tier".to_owned(),
            );
        }
        return None;
    };
    let tier = tier_name(findings, &raw.tier, tiers);
    let files: Vec<PathBuf> = findings.read_all(&raw.files);
    Some(Tenant {
        from: findings.read(&raw.from)?,
        tier: tier.unwrap_or_default(),
        files: files.iter().map(|file| folder.join(file)).collect(),
    })
}

/// The name of a tier that exists.
fn tier_name(
    findings: &mut Findings<'_>,
    written: &Written<String>,
    tiers: &BTreeMap<String, Tier>,
) -> Option<String> {
    let name = written.text();
    if tiers.contains_key(name) {
        return Some(name.to_owned());
    }
    findings.keep(|document| {
        let right = existing("tier", name, tiers.keys());
        document.wrong(&written.span(), &right)
    });
    None
}

/// The tenants that the file itself lists. `tenant` is `None` without `[tenant]`,
/// or when that is wrong; the entries are checked in any case.
pub(super) fn tenants(
    findings: &mut Findings<'_>,
    raw: BTreeMap<String, raw::Listed>,
    tenant: Option<&Tenant>,
    tiers: &BTreeMap<String, Tier>,
) -> BTreeMap<String, Listed> {
    if !raw.is_empty() {
        refuse_idle(findings, tiers);
    }
    let mut roster = Roster::default();
    for (key, raw::Listed(own)) in raw {
        let told_by = tenant.and_then(|tenant| told_by(findings, &tenant.from, &key));
        let listed = listed(findings, own, tiers);
        if let (Some(told_by), Some(listed)) = (told_by, listed) {
            roster.add(findings, told_by, Entry { key, listed });
        }
    }
    let entries = roster.entries.into_iter();
    entries
        .map(|(told_by, entry)| (told_by, entry.listed))
        .collect()
}

/// When `[tenant]` is there and wrong, that is known already.
fn refuse_idle(findings: &mut Findings<'_>, tiers: &BTreeMap<String, Tier>) {
    let asked = findings.document.span_of(&["tenant"]).is_some();
    if let (Some(span), false) = (findings.document.span_of(&["tenants"]), asked) {
        let tier = tiers.keys().next().map_or("unverified", String::as_str);
        let message = format!(
            "found tenants, but nothing says which request is whose; write\n\n\
             [tenant]\nfrom = \"host\"\ntier = \"{tier}\""
        );
        findings.problem(&span, message);
    }
}

/// What stands behind a tenant; `None` when any of it is wrong.
fn listed(
    findings: &mut Findings<'_>,
    raw: raw::Own,
    tiers: &BTreeMap<String, Tier>,
) -> Option<Listed> {
    let tier = tier_name(findings, &raw.tier, tiers);
    let name = raw.name.map(|name| findings.read(&name));
    let limit = raw
        .limit
        .map(|limit| self::limit(findings, &limit.rate, limit.burst));
    Some(Listed {
        tier: tier?,
        name: match name {
            Some(name) => Some(name?.0),
            None => None,
        },
        limit: match limit {
            Some(limit) => Some(limit?),
            None => None,
        },
        in_flight: raw.in_flight,
    })
}

/// The key in the form in which requests are compared with it.
fn told_by(findings: &mut Findings<'_>, from: &TenantFrom, key: &str) -> Option<String> {
    let refuse = |right| {
        findings.keep(|document| {
            let message = format!("found a tenant that no request can have: {right}");
            document.problem_with_key(TENANTS, key, message)
        });
    };
    from.listed(key).map_err(refuse).ok()
}

/// One entry of the table, with its key as it was written.
struct Entry {
    key: String,
    listed: Listed,
}

/// The tenants that were read so far.
#[derive(Default)]
struct Roster {
    /// By what requests tell them by.
    entries: BTreeMap<String, Entry>,
    /// What tells the first that is called so.
    named: HashMap<String, String>,
}

impl Roster {
    fn add(&mut self, findings: &mut Findings<'_>, told_by: String, entry: Entry) {
        if let Some(other) = self.entries.get(&told_by) {
            let found = format!("found \"{}\" twice", shortened(&told_by));
            return refuse(findings, &entry, other, &found, "a tenant is listed once");
        }
        let name = entry.listed.name.as_ref().unwrap_or(&told_by);
        let first = self
            .named
            .get(name)
            .and_then(|told_by| self.entries.get(told_by));
        match first {
            Some(first) if !first.listed.agrees_with(&entry.listed) => {
                let found = format!(
                    "found the tenant \"{}\" with another tier or other limits",
                    shortened(name)
                );
                let right = "what is listed under one name has one budget: write the same in \
                             both, or another name";
                refuse(findings, &entry, first, &found, right);
            }
            Some(_) => {}
            None => {
                self.named.insert(name.clone(), told_by.clone());
            }
        }
        self.entries.insert(told_by, entry);
    }
}

/// Two entries that contradict each other. To find their places takes a search
/// through the file, so it is left to when the problem is kept.
fn refuse(findings: &mut Findings<'_>, entry: &Entry, other: &Entry, found: &str, right: &str) {
    findings.keep(|document| {
        let place = document.span_of_key(TENANTS, &other.key);
        let place = place.map(|span| format!(", see {}", document.source.place(&span)));
        let message = format!("{found}{}; {right}", place.unwrap_or_default());
        document.problem_with_key(TENANTS, &entry.key, message)
    });
}
