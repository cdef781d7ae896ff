//! Tenants: how requests tell them apart, and which limits each has.
//!
//! [`Roster`] is what the configuration and its files list, [`Moves`] what operators changed since;
//! [`Tenants`] is made of both, looked up for every request, and swapped whole with the policy.

mod line;
mod moves;
mod roster;

pub use moves::{Moved, Moves, MovesError};
pub use roster::Roster;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::Context;
use sha2::{Digest, Sha256};
use tidegate_config::{Config, Listed, SHA256, TenantFrom};
use tidegate_limit::{Domain, Key};

use crate::limits::{Limits, NamedLimit};

/// A set of limits that tenants are put in, or one tenant's own.
#[derive(Debug)]
pub struct Tier {
    /// The tier's name.
    pub name: String,
    /// Whether these are numbers that one tenant has instead of the tier's.
    pub own: bool,
    /// Requests over time.
    pub limit: Option<NamedLimit>,
    /// Requests at once.
    pub in_flight: Option<NonZeroU32>,
}

/// A tenant that is listed.
#[derive(Debug)]
pub struct Tenant {
    /// What it is called: in the log, and as it is counted.
    pub name: Box<str>,
    /// Its limits.
    pub tier: Arc<Tier>,
    /// As it is counted.
    pub key: Key,
    /// Where it is listed, for people.
    pub source: Arc<str>,
}

/// How tenants are told apart, and which limits each has.
#[derive(Debug)]
pub struct Tenants {
    /// Where the tenant's name is read.
    pub from: TenantFrom,
    /// The tier of a tenant that is not listed.
    pub unlisted: Arc<Tier>,
    listed: HashMap<Box<str>, Tenant>,
    /// Whether any is listed by the SHA-256 of its credential.
    any_hashed: bool,
}

/// `sha256:` and 64 digits.
type Hashed = arrayvec::ArrayString<71>;

impl Tenants {
    /// The field of a request that names the tenant, where one does.
    pub fn field(&self) -> Option<&str> {
        match &self.from {
            TenantFrom::Header(name) => Some(name),
            _ => None,
        }
    }

    /// The tenants that the configuration tells apart, if any, as operators have moved them.
    ///
    /// # Errors
    /// When limits cannot be counted, or a tier is not there.
    pub fn new(
        config: &Config,
        roster: &Roster,
        moves: &[Moved],
        limits: &Limits,
    ) -> anyhow::Result<Option<Self>> {
        let Some(rules) = &config.tenant else {
            return Ok(None);
        };
        let tiers = Tiers::new(config, limits)?;
        let mut tenants = Tenants {
            from: rules.from.clone(),
            unlisted: tiers.get(&rules.tier)?,
            listed: HashMap::with_capacity(roster.len()),
            any_hashed: false,
        };
        let mut moved: HashMap<&str, (&Moved, bool)> = HashMap::new();
        moved.extend(moves.iter().map(|moved| (&*moved.name, (moved, false))));
        for (told_by, entry, source) in roster.entries() {
            let name = entry.name.as_deref().unwrap_or(told_by);
            let (tier, source) = match moved.get_mut(name) {
                Some((moved, found)) => {
                    *found = true;
                    (tiers.get(&moved.tier)?, moved.source())
                }
                None => (tiers.of(entry, limits)?, source.clone()),
            };
            tenants.insert(told_by, name, tier, source, limits);
        }
        for (moved, _) in moved.values().filter(|(_, found)| !found) {
            if let Ok(told_by) = rules.from.listed(&moved.name) {
                let tier = tiers.get(&moved.tier)?;
                tenants.insert(&told_by, &moved.name, tier, moved.source(), limits);
            }
        }
        Ok(Some(tenants))
    }

    fn insert(
        &mut self,
        told_by: &str,
        name: &str,
        tier: Arc<Tier>,
        source: Arc<str>,
        limits: &Limits,
    ) {
        self.any_hashed |= is_credential(&self.from) && told_by.starts_with(SHA256);
        let tenant = Tenant {
            name: name.into(),
            tier,
            key: limits.hasher.key(Domain::Tenant, name.as_bytes()),
            source,
        };
        self.listed.insert(told_by.into(), tenant);
    }

    /// The tenant that a request tells by this name or credential.
    pub fn find(&self, told_by: &str) -> Option<&Tenant> {
        match self.listed.get(told_by) {
            found if !self.any_hashed => found,
            // Who sends a hash as it is listed does not have the credential.
            Some(tenant) if !told_by.starts_with(SHA256) => Some(tenant),
            _ => self.listed.get(&*hashed(told_by)?),
        }
    }

    /// How many names and credentials are listed.
    pub fn len(&self) -> usize {
        self.listed.len()
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// All that is listed, with what tells it.
    pub fn listed(&self) -> impl Iterator<Item = (&str, &Tenant)> {
        self.listed
            .iter()
            .map(|(told_by, tenant)| (&**told_by, tenant))
    }
}

/// How what an operator writes may be listed: as it is, as requests are compared with it, and by its
/// hash.
pub fn spellings(from: &TenantFrom, text: &str) -> Vec<String> {
    let mut spellings = vec![text.to_owned()];
    spellings.extend(from.listed(text).ok());
    if is_credential(from) {
        spellings.extend(hashed(text).map(|hashed| hashed.to_string()));
    }
    spellings
}

/// Whether what tells a tenant may be a secret.
fn is_credential(from: &TenantFrom) -> bool {
    matches!(from, TenantFrom::Header(_) | TenantFrom::Cookie(_))
}

fn hashed(credential: &str) -> Option<Hashed> {
    let mut text = Hashed::new();
    text.push_str(SHA256);
    for byte in Sha256::digest(credential) {
        write!(text, "{byte:02x}").ok()?;
    }
    Some(text)
}

/// The tiers of a configuration by name.
struct Tiers<'config> {
    config: &'config Config,
    built: BTreeMap<&'config str, Arc<Tier>>,
}

impl<'config> Tiers<'config> {
    fn new(config: &'config Config, limits: &Limits) -> anyhow::Result<Self> {
        let mut built = BTreeMap::new();
        for (name, tier) in &config.tiers {
            let tier = build(name, tier, false, limits)
                .with_context(|| format!("tier.{name}.limit cannot be counted"))?;
            built.insert(&**name, Arc::new(tier));
        }
        Ok(Tiers { config, built })
    }

    fn get(&self, name: &str) -> anyhow::Result<Arc<Tier>> {
        let found = self.built.get(name).cloned();
        found.with_context(|| format!("no tier is called {name}"))
    }

    /// The tier of a listed tenant, with its own numbers in it.
    fn of(&self, entry: &Listed, limits: &Limits) -> anyhow::Result<Arc<Tier>> {
        let tier = self.config.tiers.get(&entry.tier);
        let (Some(tier), true) = (tier, entry.limit.is_some() || entry.in_flight.is_some()) else {
            return self.get(&entry.tier);
        };
        let own = tidegate_config::Tier {
            limit: entry.limit.or(tier.limit),
            in_flight: entry.in_flight.or(tier.in_flight),
        };
        let own = build(&entry.tier, &own, true, limits);
        Ok(Arc::new(
            own.context("a tenant's own limit cannot be counted")?,
        ))
    }
}

fn build(
    name: &str,
    tier: &tidegate_config::Tier,
    own: bool,
    limits: &Limits,
) -> anyhow::Result<Tier> {
    let limit = tier.limit.as_ref();
    let limit = limit.map(|limit| NamedLimit::new("tenant", limit, limits));
    Ok(Tier {
        name: name.to_owned(),
        own,
        limit: limit.transpose()?,
        in_flight: tier.in_flight,
    })
}
