//! Tenants and tiers.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

use crate::{
    checked::{Listed, Tenant, Tier},
    findings::Findings,
    raw::{self, Written},
};

use super::{
    Folder,
    limits::limit,
    network::{NAME, check_name, is_name},
    routes::existing,
};

/// The tiers, by name.
pub(super) fn tiers(
    findings: &mut Findings<'_>,
    raw: BTreeMap<String, raw::Tier>,
) -> BTreeMap<String, Tier> {
    let mut tier = |(name, raw): (String, raw::Tier)| {
        check_name(findings, "tier", &name);
        let limit = raw.limit.and_then(|raw| limit(findings, &raw));
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
        tier,
        files: files.iter().map(|file| folder.join(file)).collect(),
    })
}

fn tier_name(
    findings: &mut Findings<'_>,
    written: &Written<String>,
    tiers: &BTreeMap<String, Tier>,
) -> String {
    if !tiers.contains_key(written.text()) {
        findings.wrong(
            &written.span(),
            &existing("tier", written.text(), tiers.keys()),
        );
    }
    written.text().to_owned()
}

/// The tenants that the file itself lists.
pub(super) fn tenants(
    findings: &mut Findings<'_>,
    raw: BTreeMap<String, raw::Listed>,
    tenant: Option<&Tenant>,
    tiers: &BTreeMap<String, Tier>,
) -> BTreeMap<String, Listed> {
    if tenant.is_none() {
        refuse_idle(findings, !raw.is_empty(), tiers);
        return BTreeMap::new();
    }
    let mut roster = Roster {
        tiers,
        tenant,
        listed: BTreeMap::new(),
        called: HashMap::new(),
    };
    for (key, raw) in raw {
        roster.add(findings, &key, raw);
    }
    roster.listed
}

/// When `[tenant]` is there and wrong, that is known already.
fn refuse_idle(findings: &mut Findings<'_>, any: bool, tiers: &BTreeMap<String, Tier>) {
    let asked = findings.document.span_of(&["tenant"]).is_some();
    if let (Some(span), false, true) = (findings.document.span_of(&["tenants"]), asked, any) {
        let tier = tiers.keys().next().map_or("unverified", String::as_str);
        let message = format!(
            "found tenants, but nothing says which request is whose; write\n\n\
             [tenant]\nfrom = \"host\"\ntier = \"{tier}\""
        );
        findings.problem(&span, message);
    }
}

/// The tenants that were read so far.
struct Roster<'c> {
    tiers: &'c BTreeMap<String, Tier>,
    tenant: Option<&'c Tenant>,
    listed: BTreeMap<String, Listed>,
    /// What those are called that have a name, and what they may use.
    called: HashMap<String, Listed>,
}

impl Roster<'_> {
    fn add(&mut self, findings: &mut Findings<'_>, key: &str, raw: raw::Listed) {
        let place = raw.tier.span();
        let listed = Listed {
            tier: tier_name(findings, &raw.tier, self.tiers),
            name: raw.name.and_then(|name| tenant_name(findings, &name)),
            limit: raw.limit.and_then(|raw| limit(findings, &raw)),
            in_flight: raw.in_flight,
        };
        let told_by = match self.tenant.map(|tenant| tenant.from.listed(key)) {
            Some(Ok(told_by)) => told_by,
            Some(Err(right)) => {
                let message = format!("found a tenant that no request can have: {right}");
                return findings.problem(&place, message);
            }
            None => return,
        };
        let called = listed.name.as_ref().unwrap_or(&told_by);
        let same = self.called.entry(called.clone());
        if !same.or_insert_with(|| listed.clone()).agrees_with(&listed) {
            let message = format!(
                "found the tenant \"{called}\" a second time, with another tier or other limits; \
                 what is listed under one name has one budget"
            );
            findings.problem(&place, message);
        }
        if self.listed.insert(told_by.clone(), listed).is_some() {
            let message = format!("found \"{told_by}\" a second time; a tenant has one tier");
            findings.problem(&place, message);
        }
    }
}

fn tenant_name(findings: &mut Findings<'_>, written: &Written<String>) -> Option<String> {
    if !is_name(written.text()) {
        findings.wrong(&written.span(), &format!("a name is {NAME}"));
        return None;
    }
    Some(written.text().to_owned())
}
