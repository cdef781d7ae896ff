//! Moving tenants between tiers while the gate runs: the policy is built anew, with the counters that
//! there are.

use anyhow::bail;
use tidegate_config::Config;

use super::Reloader;
use crate::state::StateError;
use crate::tenants::{Moved, MovesError, Tenants};

/// Why a tenant was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The configuration does not tell tenants apart.
    #[error("this gate tells no tenants apart: write [tenant] in its configuration, and reload")]
    NoTenants,
    /// No request can have such a tenant.
    #[error("{name:?} is no tenant: {hint}")]
    Name {
        /// What was asked for.
        name: String,
        /// What would be right.
        hint: String,
    },
    /// There is no such tier.
    #[error("there is no tier {tier:?}; the tiers are {tiers}")]
    Tier {
        /// What was asked for.
        tier: String,
        /// Those there are.
        tiers: String,
    },
    /// See [`MovesError`].
    #[error(transparent)]
    Moves(#[from] MovesError),
    /// The policy cannot be built with it.
    #[error("{0:#}")]
    Policy(anyhow::Error),
}

/// The beginning of what was asked for, which may be anything.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A tenant in another tier, as it turned out.
#[derive(Debug)]
pub struct Placed {
    /// What is in force.
    pub moved: Moved,
    /// Whether nothing but this move makes it a tenant of its own.
    pub unlisted: bool,
}

impl Reloader {
    /// Moves a tenant to another tier, from the next request on. [`Reloader::save_moves`] makes it
    /// survive a restart.
    ///
    /// # Errors
    /// See [`MoveError`]; nothing was changed.
    pub fn move_tenant(&self, mut to: Moved) -> Result<Placed, MoveError> {
        let _turn = self.publishing();
        let running = self.running.load();
        let tenants = running.config.tenant.as_ref().ok_or(MoveError::NoTenants)?;
        if !running.config.tiers.contains_key(&to.tier) {
            let tiers: Vec<&str> = running.config.tiers.keys().map(String::as_str).collect();
            return Err(MoveError::Tier {
                tier: shortened(&to.tier),
                tiers: tiers.join(", "),
            });
        }
        let name = running.roster.name_of(&tenants.from, &to.name);
        let name = name.map(str::to_owned);
        let unlisted = name.is_none();
        to.name = match name {
            Some(name) => name,
            None => tenants
                .from
                .listed(&to.name)
                .map_err(|hint| MoveError::Name {
                    name: shortened(&to.name),
                    hint,
                })?,
        };
        self.moves.set(to.clone())?;
        self.rebuild().map_err(MoveError::Policy)?;
        Ok(Placed {
            unlisted: unlisted && !self.gate.policy.load().routes.name_host(&to.name),
            moved: to,
        })
    }

    /// Lets a tenant return to where it is listed.
    ///
    /// # Errors
    /// When it was not moved.
    pub fn return_tenant(&self, name: &str) -> Result<Moved, MoveError> {
        let _turn = self.publishing();
        let running = self.running.load();
        let tenants = running.config.tenant.as_ref();
        let meant = tenants.and_then(|tenants| {
            let listed = || tenants.from.listed(name).ok();
            let called = running.roster.name_of(&tenants.from, name);
            called.map(str::to_owned).or_else(listed)
        });
        let returned = self.moves.unset(meant.as_deref().unwrap_or(name))?;
        self.rebuild().map_err(MoveError::Policy)?;
        Ok(returned)
    }

    /// The wall clock was set, as [`Moves::move_ends`](crate::tenants::Moves::move_ends) takes it.
    pub fn move_ends(&self, seconds: i64) -> bool {
        self.moves.move_ends(seconds)
    }

    /// Whether somebody's time has passed.
    pub fn has_moves_to_end(&self, now: u64) -> bool {
        self.moves.any_ended(now)
    }

    /// Lets those return whose time has passed, and gives them.
    pub fn expire_moves(&self, now: u64) -> Vec<Moved> {
        let _turn = self.publishing();
        let returned = self.moves.drop_unless(now, |_| true);
        if !returned.is_empty()
            && let Err(problem) = self.rebuild()
        {
            tracing::error!("tenants: {problem:#}");
        }
        returned
    }

    /// The policy of the running configuration with the moves as they are now.
    fn rebuild(&self) -> anyhow::Result<()> {
        let running = self.running.load();
        let policy = running.policy(&self.moves.list(), &self.gate.limits)?;
        self.enforce(policy);
        Ok(())
    }

    /// A reload must not take away the tier that an operator has put a tenant in.
    pub(super) fn refuse_stranded(&self, next: &Config) -> anyhow::Result<()> {
        for moved in self.moves.list() {
            if !next.tiers.contains_key(&moved.tier) {
                bail!(
                    "the tenant {name:?} was moved to tier {tier:?}, which is not in this configuration any more: keep the tier, or `tidegate tenant unset {name}`; nothing was changed",
                    name = moved.name,
                    tier = moved.tier,
                );
            }
        }
        Ok(())
    }

    /// The tenants that operators moved.
    pub fn moves(&self) -> Vec<Moved> {
        self.moves.list()
    }

    /// Writes down who was moved. Blocks for as long as the disk does.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn save_moves(&self) -> Result<(), StateError> {
        self.moves.save()
    }

    /// The tenants of the policy in force, for as long as `look` does.
    pub fn with_tenants<T>(&self, look: impl FnOnce(Option<&Tenants>) -> T) -> T {
        look(self.gate.policy.load().tenants.as_ref())
    }
}
