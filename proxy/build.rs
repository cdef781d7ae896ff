//! From a configuration to a gate: everything that is read before something runs, and what the
//! stages share.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::Context;
use tidegate_config::Config;
use tidegate_limit::{Gauge, KeyHasher};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::account::{AccessLog, Account, LogWriter, Metrics, Slow};
use crate::clock;
use crate::descriptors::{self, Room};
use crate::door::Blocks;
use crate::forward::Upstream;
use crate::gate::Gate;
use crate::in_force::InForce;
use crate::known::{Book, Customers, KnownFiles};
use crate::learn::{Keeper, Learned};
use crate::limits::Limits;
use crate::listener::Listeners;
use crate::mode::Switch;
use crate::pass::{Passes, Revocations};
use crate::policy::Upstreams;
use crate::prefixes::{self, Published};
use crate::recent::{self, Recent};
use crate::reload::{Reloader, Running, Secrets};
use crate::state::StateFile;
use crate::tail::Tail;
use crate::tenants::{Moved, Moves, Roster};
use crate::top::{self, Owners, Top};

/// How long names may take at start before the gate serves without them.
const FIRST_RESOLUTION: Duration = Duration::from_secs(6);

/// A configuration and the files that it names.
#[derive(Debug)]
pub struct Inputs {
    /// The configuration.
    pub config: Config,
    /// What this process has descriptors for.
    pub room: Room,
    known: KnownFiles,
    roster: Roster,
    secrets: Secrets,
    listeners: Listeners,
    owners: Owners,
}

/// A gate and what changes it.
#[derive(Debug)]
pub struct Built {
    /// What the stages share.
    pub gate: Arc<Gate>,
    /// What replaces its rules.
    pub reloader: Reloader,
    /// Who is blocked.
    pub blocks: Blocks,
    /// Who the app says is a customer.
    pub learned: Arc<Keeper>,
    /// What went through in the last hour.
    pub recent: Arc<recent::Keeper>,
    /// Who sends the most.
    pub top: Arc<top::Keeper>,
    /// Which passes are not believed any more.
    pub revocations: Revocations,
}

impl Inputs {
    /// Reads the files that `config` names.
    ///
    /// # Errors
    /// When one of them is not good, or this process may open too few files.
    pub fn read(config: Config) -> anyhow::Result<Self> {
        Ok(Inputs {
            room: descriptors::fit(&config)?,
            known: KnownFiles::read(&config.known.files)?,
            roster: Roster::read(&config)?,
            secrets: Secrets::read(&config)?,
            listeners: Listeners::read(&config)?,
            owners: Owners::read(&config)?,
            config,
        })
    }

    /// Builds the gate, with counters under the keys of `hasher`.
    ///
    /// # Errors
    /// When memory is not to be had, or rules cannot be counted.
    pub fn build(
        self,
        log: LogWriter,
        hasher: KeyHasher,
        runtime: &Handle,
    ) -> anyhow::Result<Built> {
        let Inputs {
            config,
            room,
            known,
            roster,
            secrets,
            listeners,
            owners,
        } = self;
        let directory = config.state.directory.clone();
        let limits = Limits::keyed(hasher, config.client.max_tracked, config.connections.total)
            .context("client.max_tracked")?;
        let upstreams = resolved_upstreams(&config, &Upstreams::new(), runtime);
        let book = Book::open(&directory, known);
        let moves = Moves::open(StateFile::new(&directory, "tenants.json"));
        forget_ended(&moves, &config);
        moves.replace(moves.among(&roster));
        let (mode, log_config) = (config.mode, config.log.clone());
        let running = Running::new(config, room.caps, upstreams, roster, secrets);
        for warning in running.warnings().into_iter().chain(listeners.warnings()) {
            tracing::warn!("{warning}");
        }
        let policy = running.policy(&moves.list(), &limits)?;
        limits.table.put_in_force();
        let (learned, arrivals) = Learned::new();
        let (recent, events) = Recent::new();
        let (top, ended) = Top::new(owners);
        let told = watch::Sender::new(false);
        let gate = Arc::new(Gate {
            learned,
            passes: Passes::default(),
            policy: InForce::of(policy),
            known: Published::of(book.layers()),
            blocks: Published::default(),
            mode: Switch::open(
                StateFile::new(&directory, "mode.json"),
                mode,
                clock::unix_seconds(),
            )
            .telling(told.clone()),
            limits,
            connections: Arc::new(Gauge::new()),
            in_flight: Arc::new(Gauge::new()),
            handshakes: Arc::new(Gauge::new()),
            listeners,
            account: Account {
                metrics: Metrics::default(),
                log: AccessLog::new(log, log_config),
                slow: Slow::default(),
                top,
                tail: Tail::default(),
            },
            recent,
            told,
            draining: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        let learned = Keeper::start(gate.clone(), &directory, arrivals)
            .context("the threads that learn customers")?;
        let recent = recent::Keeper::start(gate.clone(), events)
            .context("the thread that keeps the last hour")?;
        let top = top::Keeper::start(gate.clone(), ended)
            .context("the thread that keeps the top sources")?;
        let known = Customers::new(gate.clone(), book, learned.clone());
        let reloader = Reloader::new(gate.clone(), running, known, moves, runtime.clone());
        let blocked = prefixes::Book::open(StateFile::new(&directory, "blocks.json"));
        let blocks = Blocks::new(gate.clone(), blocked, clock::unix_seconds());
        let passes = StateFile::new(&directory, "passes.json");
        let revocations = Revocations::open(gate.clone(), passes, clock::unix_seconds());
        Ok(Built {
            gate,
            reloader,
            blocks,
            learned,
            recent,
            top,
            revocations,
        })
    }
}

/// A tier that is gone must not keep the gate from starting; who was in it is where it is listed.
fn forget_ended(moves: &Moves, config: &Config) {
    let has_tier = |moved: &Moved| config.tiers.contains_key(&moved.tier);
    let ended = moves.drop_unless(clock::unix_seconds(), has_tier);
    for moved in &ended {
        let why = match has_tier(moved) {
            true => "its time passed while the gate was down",
            false => "the configuration has no such tier any more",
        };
        tracing::warn!(
            "tenant {:?} is no longer in tier {}: {why}",
            moved.name,
            moved.tier
        );
    }
    if !ended.is_empty()
        && let Err(error) = moves.save()
    {
        tracing::warn!("{error}");
    }
}

/// The upstreams that the configuration names: those of `running` that it leaves as they are, and
/// new ones, whose names are looked up before anything is sent to them.
pub fn resolved_upstreams(config: &Config, running: &Upstreams, runtime: &Handle) -> Upstreams {
    let mut upstreams = BTreeMap::new();
    let (resolving, resolved) = mpsc::channel::<()>();
    for (name, wanted) in &config.upstreams {
        let upstream = match running.get(name) {
            Some(kept) if kept.is_built_from(wanted) => kept.clone(),
            before => {
                let upstream = Upstream::new(wanted, before.map(Arc::as_ref));
                upstream.start(runtime, &resolving);
                upstream
            }
        };
        upstreams.insert(name.clone(), upstream);
    }
    drop(resolving);
    // An error either way: nothing is sent, and all are resolved when nobody is left who could.
    let _ = resolved.recv_timeout(FIRST_RESOLUTION);
    upstreams
}
