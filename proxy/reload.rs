//! A new configuration: file -> policy -> swap, or keep the last good one and say why.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use ipnet::IpNet;
use tidegate_config::Config;
use tokio::runtime::Handle;

use crate::admin::wire::Reloaded;
use crate::descriptors;
use crate::forward::Health;
use crate::gate::Gate;
use crate::known::{Added, Book, BookError, Entry, FromFile};
use crate::policy::{Policy, Upstreams};
use crate::server::resolved_upstreams;
use crate::state::StateError;
use crate::written::Written;

/// Replaces what the configuration says while the gate runs, and the known set with it.
#[derive(Debug)]
pub struct Reloader {
    gate: Arc<Gate>,
    running: ArcSwap<Running>,
    book: Book,
    traffic: Handle,
    problem: Mutex<Option<String>>,
    /// One reload at a time.
    turn: Mutex<()>,
    publishing: Mutex<()>,
}

/// What the gate was last configured with.
#[derive(Debug)]
struct Running {
    config: Config,
    upstreams: Upstreams,
    /// The file as it was, to say what is different.
    written: Written,
}

impl Running {
    fn new(config: Config, upstreams: Upstreams) -> Self {
        let written = config.source.as_deref().map(Written::read);
        Running {
            config,
            upstreams,
            written: written.unwrap_or_default(),
        }
    }
}

impl Reloader {
    /// A reloader of the gate that runs with this configuration.
    pub fn new(
        gate: Arc<Gate>,
        config: Config,
        upstreams: Upstreams,
        book: Book,
        traffic: Handle,
    ) -> Self {
        Reloader {
            gate,
            running: ArcSwap::from_pointee(Running::new(config, upstreams)),
            book,
            traffic,
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
        reloaded
    }

    fn replace(&self, force: bool) -> anyhow::Result<Reloaded> {
        let running = self.running.load_full();
        let Some(source) = &running.config.source else {
            bail!("this gate was started without a configuration file, so there is none to reload");
        };
        let config = Config::load(source)?;
        refuse_static_changes(&running.config, &config)?;
        let files = Book::read_files(&config.known.files)?;
        if !force {
            self.refuse_shrunk(&files)?;
        }
        let upstreams = resolved_upstreams(&config, &running.upstreams, &self.traffic);
        descriptors::raise(config.connections.total);
        let policy = Policy::new(&config, &upstreams, &self.gate.limits)
            .with_context(|| source.display().to_string())?;
        let running_now = Running::new(config, upstreams);
        let mut changes = running.written.changes(&running_now.written);
        changes.extend(self.replace_known(files));
        self.gate.policy.store(Arc::new(policy));
        let config = &running_now.config;
        self.gate.account.log.set_sample(config.log.sample);
        let warnings = config.warnings.clone();
        self.running.store(Arc::new(running_now));
        Ok(Reloaded { changes, warnings })
    }

    /// Customers do not leave by the half: files that say so were cut, emptied or mistaken.
    fn refuse_shrunk(&self, files: &[FromFile]) -> anyhow::Result<()> {
        let (before, _) = self.book.counts();
        let after: usize = files.iter().map(|(_, prefixes)| prefixes.len()).sum();
        if after * 2 < before {
            bail!(
                "known.files: only {after} of {before} prefixes are left, as if a file was cut or emptied; if that is meant, `tidegate reload --force`; nothing was changed"
            );
        }
        Ok(())
    }

    fn replace_known(&self, files: Vec<FromFile>) -> Option<String> {
        let before = self.gate.known.load().len();
        self.book.replace_files(files);
        self.publish_known();
        let after = self.gate.known.load().len();
        (before != after).then(|| format!("known prefixes: {before} -> {after}"))
    }

    /// One at a time, so that no older set replaces a newer one.
    fn publish_known(&self) {
        let _turn = self
            .publishing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.gate.known.store(Arc::new(self.book.set()));
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

    /// How each upstream has been doing.
    pub fn upstreams(&self) -> Vec<(String, Health)> {
        let running = self.running.load();
        let upstreams = running.upstreams.iter();
        upstreams
            .map(|(name, upstream)| (name.clone(), upstream.health()))
            .collect()
    }

    /// Known prefixes: lines of files, added by operators.
    pub fn known_counts(&self) -> (usize, usize) {
        self.book.counts()
    }

    /// Entries of the known set.
    pub fn list_known(&self, limit: usize, address: Option<IpAddr>) -> Vec<Entry> {
        self.book.list(limit, address)
    }

    /// Makes a customer known, from the next request on.
    ///
    /// # Errors
    /// See [`BookError`].
    pub fn add_known(
        &self,
        prefix: &str,
        until: Option<u64>,
        reason: Option<String>,
    ) -> Result<Added, BookError> {
        let added = self.book.add(prefix, until, reason)?;
        self.publish_known();
        Ok(added)
    }

    /// Takes a customer out who was added.
    ///
    /// # Errors
    /// See [`BookError`].
    pub fn remove_known(&self, prefix: &str) -> Result<IpNet, BookError> {
        let removed = self.book.remove(prefix)?;
        self.publish_known();
        Ok(removed)
    }

    /// Takes out what has ended, and says whether anything had.
    pub fn expire_known(&self, now: u64) -> bool {
        let ended = self.book.expire(now) > 0;
        if ended {
            self.publish_known();
        }
        ended
    }

    /// Writes down what operators added. Blocks for as long as the disk does.
    ///
    /// # Errors
    /// When the disk is full, read-only or gone.
    pub fn save_known(&self) -> Result<(), StateError> {
        self.book.save()
    }
}

/// What is fixed when the gate starts: sockets, and memory that is allocated once.
fn refuse_static_changes(running: &Config, wanted: &Config) -> anyhow::Result<()> {
    let fixed = [
        ("listener", running.listeners != wanted.listeners),
        ("threads", running.threads != wanted.threads),
        (
            "client.max_tracked",
            running.client.max_tracked != wanted.client.max_tracked,
        ),
        ("admin.socket", running.admin != wanted.admin),
        ("metrics.address", running.metrics != wanted.metrics),
        ("state.directory", running.state != wanted.state),
        ("log.file", running.log.file != wanted.log.file),
        ("log.budget", running.log.budget != wanted.log.budget),
    ];
    let asked: Vec<&str> = fixed
        .iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| *key)
        .collect();
    if !asked.is_empty() {
        bail!(
            "a reload cannot change {}: restart the gate for that, or put the old value back; nothing was changed",
            asked.join(", ")
        );
    }
    Ok(())
}
