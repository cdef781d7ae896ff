//! A new configuration: file -> policy -> swap, or keep the last good one and say why.

mod secrets;
mod summary;
mod tenants;
mod watching;

pub use secrets::Secrets;
pub use tenants::{MoveError, Placed};
pub use watching::Watched;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use tidegate_config::Config;
use tokio::runtime::Handle;

use crate::admin::Token;
use crate::admin::wire::Reloaded;
use crate::build::resolved_upstreams;
use crate::descriptors;
use crate::forward::Health;
use crate::gate::Gate;
use crate::known::{Customers, KnownFiles};
use crate::limits::Limits;
use crate::listener;
use crate::notify;
use crate::pass;
use crate::policy::{Caps, Policy, Upstreams};
use crate::tenants::{Moved, Moves, Roster};
use crate::top::Owners;
use crate::written::Written;

/// Replaces what the configuration says while the gate runs, and the known set with it.
#[derive(Debug)]
pub struct Reloader {
    gate: Arc<Gate>,
    running: ArcSwap<Running>,
    /// The known customers.
    pub known: Customers,
    /// What became of changes of their files.
    pub watched: Watched,
    moves: Moves,
    runtime: Handle,
    problem: Mutex<Option<String>>,
    /// One reload at a time.
    turn: Mutex<()>,
    /// One policy at a time, so that no older one replaces a newer one.
    publishing: Mutex<()>,
}

/// What the gate was last configured with.
#[derive(Debug)]
pub struct Running {
    config: Config,
    caps: Caps,
    upstreams: Upstreams,
    roster: Roster,
    secrets: Secrets,
    /// The file as it was, to say what is different.
    written: Written,
}

impl Running {
    /// A configuration with the upstreams and tenants that it names, and as many connections as fit.
    pub fn new(
        config: Config,
        caps: Caps,
        upstreams: Upstreams,
        roster: Roster,
        secrets: Secrets,
    ) -> Self {
        let written = config.source.as_deref().map(Written::read);
        Running {
            config,
            caps,
            upstreams,
            roster,
            secrets,
            written: written.unwrap_or_default(),
        }
    }

    /// The file it was read from.
    fn named(&self) -> String {
        let source = self.config.source.as_ref();
        source.map_or_else(String::new, |source| source.display().to_string())
    }

    /// What is different in the next one.
    fn changes(&self, next: &Running) -> Vec<String> {
        let mut changes = self.written.changes(&next.written);
        changes.extend(self.roster.changes(&next.roster));
        changes.extend(self.secrets.changes(&next.secrets));
        changes
    }

    /// What should be looked at.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.config.warnings.iter().chain(&self.roster.warnings);
        warnings.cloned().chain(self.caps.warning()).collect()
    }

    /// As with known customers: tenants do not leave by the half.
    fn refuse_shrunk(&self, next: &Roster) -> anyhow::Result<()> {
        let (before, after) = (self.roster.len(), next.len());
        if after * 2 < before {
            bail!(
                "tenants: only {after} of {before} are left, as if a file was cut or emptied; if that is meant, `tidegate reload --force`; nothing was changed"
            );
        }
        Ok(())
    }

    /// The rules that it asks for, over these counters, with these tenants moved.
    ///
    /// # Errors
    /// See [`Policy::new`].
    pub fn policy(&self, moves: &[Moved], limits: &Limits) -> anyhow::Result<Policy> {
        let asked = Policy::new(&self.config, &self.upstreams, &self.roster, moves, limits)?;
        let keyed = self
            .config
            .known
            .pass
            .as_ref()
            .zip(self.secrets.keys.clone());
        let pass = keyed.map(|(pass, keys)| pass::Rules::new(pass, keys, limits));
        let pass = pass.transpose();
        Ok(Policy {
            pass: pass
                .context("known.pass.limit cannot be counted")?
                .map(Arc::new),
            caps: self.caps,
            ..asked
        })
    }
}

impl Reloader {
    /// A reloader of the gate that runs with this configuration.
    pub fn new(
        gate: Arc<Gate>,
        running: Running,
        known: Customers,
        moves: Moves,
        runtime: Handle,
    ) -> Self {
        Reloader {
            watched: Watched::default(),
            gate,
            running: ArcSwap::from_pointee(running),
            known,
            moves,
            runtime,
            problem: Mutex::new(None),
            turn: Mutex::new(()),
            publishing: Mutex::new(()),
        }
    }

    /// Reads the file again and takes all of it over, or nothing. Blocks while names are looked up.
    /// `force`: though most of the known customers are gone.
    ///
    /// # Errors
    /// When the file is not good, or asks for what only a restart can change.
    pub fn reload(&self, force: bool) -> anyhow::Result<Reloaded> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        notify::reloading();
        let reloaded = self.replace(force);
        self.gate.account.metrics.reloaded(reloaded.is_ok());
        let problem = reloaded.as_ref().err().map(|error| format!("{error:#}"));
        match (&reloaded, &problem) {
            (Ok(reloaded), _) => {
                tracing::info!("reloaded: {} changes", reloaded.changes.len());
                for change in &reloaded.changes {
                    tracing::info!("reloaded: {change}");
                }
            }
            (_, Some(problem)) => {
                tracing::error!("not reloaded, the running configuration stays: {problem}");
            }
            _ => {}
        }
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
        notify::reloaded(&self.summary());
        reloaded
    }

    fn replace(&self, force: bool) -> anyhow::Result<Reloaded> {
        let running = self.running.load_full();
        let Some(source) = &running.config.source else {
            bail!("this gate was started without a configuration file, so there is none to reload");
        };
        let mut config = Config::load(source)?;
        if running.config.admin.is_named {
            config.admin = running.config.admin.clone();
        }
        refuse_static_changes(&running.config, &config)?;
        let known = KnownFiles::read(&config.known.files)?;
        let roster = Roster::read(&config)?;
        let secrets = Secrets::read(&config)?;
        let listeners = self.gate.listeners.read_again(&config)?;
        let owners = Owners::read(&config)?;
        if !force {
            let shrunk = self.known.files().refuse_shrunk(&known);
            shrunk.context("nothing was changed")?;
            running.refuse_shrunk(&roster)?;
        }
        let upstreams = resolved_upstreams(&config, &running.upstreams, &self.runtime);
        let caps = descriptors::fit(&config)?.caps;
        let next = Running::new(config, caps, upstreams, roster, secrets);
        let mut changes = running.changes(&next);
        let mut warnings = next.warnings();
        warnings.extend(listeners.iter().flat_map(listener::warnings));
        let log = next.config.log.clone();
        self.publish(next)?;
        self.gate.account.log.configure(&log);
        changes.extend(self.gate.listeners.replace(listeners));
        changes.extend(self.known.replace_files(known));
        let running = &self.gate.account.top.owners;
        changes.extend(running.load().changes(&owners));
        running.replace(|| owners);
        self.watched.as_they_are();
        Ok(Reloaded { changes, warnings })
    }

    /// Puts a configuration in force, or leaves the one that is.
    fn publish(&self, next: Running) -> anyhow::Result<()> {
        let _turn = self.publishing();
        self.refuse_stranded(&next.config)?;
        let moves = self.moves.among(&next.roster);
        let policy = next.policy(&moves, &self.gate.limits);
        let policy = policy.with_context(|| next.named())?;
        self.moves.replace(moves);
        self.enforce(policy);
        let next = Arc::new(next);
        let before = self.running.swap(next.clone());
        for (name, upstream) in &before.upstreams {
            let kept = next.upstreams.get(name);
            if !kept.is_some_and(|kept| Arc::ptr_eq(kept, upstream)) {
                upstream.retire();
            }
        }
        Ok(())
    }

    /// Puts rules in force.
    fn enforce(&self, policy: Policy) {
        self.gate.limits.table.put_in_force();
        self.gate.policy.replace(|| policy);
    }

    fn publishing(&self) -> MutexGuard<'_, ()> {
        self.publishing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the last reload was not taken over.
    pub fn problem(&self) -> Option<String> {
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        problem.clone()
    }

    /// The file the gate is configured from.
    pub fn source(&self) -> Option<PathBuf> {
        self.running.load().config.source.clone()
    }

    /// The token that is asked for over TCP.
    pub fn token(&self) -> Option<Arc<Token>> {
        self.running.load().secrets.token.clone()
    }

    /// How each upstream has been doing.
    pub fn upstreams(&self) -> Vec<(String, Health)> {
        let running = self.running.load();
        let upstreams = running.upstreams.iter();
        upstreams
            .map(|(name, upstream)| (name.clone(), upstream.health()))
            .collect()
    }
}

fn addresses(config: &Config) -> Vec<SocketAddr> {
    let listeners = config.listeners.iter();
    listeners.map(|listener| listener.address).collect()
}

fn admin_address(config: &Config) -> Option<SocketAddr> {
    config.admin.tcp.as_ref().map(|tcp| tcp.address)
}

/// What is fixed when the gate starts: sockets, and memory that is allocated once.
fn refuse_static_changes(running: &Config, wanted: &Config) -> anyhow::Result<()> {
    let fixed = [
        ("listener.address", addresses(running) != addresses(wanted)),
        ("threads", running.threads != wanted.threads),
        (
            "client.max_tracked",
            running.client.max_tracked != wanted.client.max_tracked,
        ),
        ("admin.socket", running.admin.socket != wanted.admin.socket),
        (
            "admin.address",
            admin_address(running) != admin_address(wanted),
        ),
        ("metrics.address", running.metrics != wanted.metrics),
        ("state.directory", running.state != wanted.state),
        ("log.file", running.log.file != wanted.log.file),
    ];
    let asked: Vec<&str> = fixed
        .iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| *key)
        .collect();
    if !asked.is_empty() {
        let what_can = match asked.contains(&"state.directory") {
            true => "stop the gate and start it again",
            false => "`tidegate upgrade`",
        };
        bail!(
            "a reload cannot change {}: {what_can} for that, or put the old value back; nothing was changed",
            asked.join(", ")
        );
    }
    Ok(())
}
