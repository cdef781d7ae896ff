//! Builds everything from a checked configuration and wires it; the only reader of all of it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::{Duration, Instant};

use anyhow::Context;
use pingora_core::server::configuration::ServerConf;
use tidegate_config::{Config, LogFile};
use tidegate_limit::KeyHasher;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::account::{Allowance, LogWriter};
use crate::admin::{self, Addresses, Admin, End, Ending, Rates, Tracked};
use crate::audit::Audit;
use crate::build::{Built, Inputs};
use crate::door::Filter;
use crate::draining::drain;
use crate::gate::Gate;
use crate::gateway::{Acceptor, ConnectionApp, Forwarder};
use crate::minutes::Minutes;
use crate::notify;
use crate::pulse::Pulse;
use crate::sockets::Sockets;
use crate::state::{self};
use crate::upgrade::{Origin, Predecessor, Upgrader};

/// How long threads may take to end once all connections have.
const RUNTIME_END: Duration = Duration::from_secs(2);
/// How long the learned customers may take to be read again. Without them it serves, too.
const STORE_TAKEN: Duration = Duration::from_secs(2);

/// Serves until a signal says otherwise, or another process goes on with it. `origin` is how that one
/// is started, `predecessor` what this one takes over from, `allowance` what it may write.
///
/// # Errors
/// When something it needs to start is not to be had: a port, a socket, memory, a file.
pub fn run(
    config: Config,
    origin: Origin,
    mut predecessor: Option<&mut Predecessor>,
    allowance: Arc<Allowance>,
) -> anyhow::Result<()> {
    let inputs = Inputs::read(config)?;
    let config = &inputs.config;
    let idle_a_thread = inputs.room.idle_a_thread;
    let directory = config.state.directory.clone();
    if let Some(before) = &predecessor {
        before.check_state_directory(&directory)?;
    }
    let mut sockets = Sockets::open(config, predecessor.as_deref_mut())?;
    let copies = sockets.copies(config)?;
    state::create_directory(&directory)
        .with_context(|| format!("state.directory {}", directory.display()))?;
    // The process before this one has it until it ends.
    if predecessor.is_none() {
        own(&directory)?;
    }
    let (log, log_guard) =
        LogWriter::open(&config.log, allowance).with_context(|| match &config.log.file {
            LogFile::Stdout => "log.file".to_owned(),
            LogFile::Path(path) => format!("log.file {}", path.display()),
        })?;
    let traffic = traffic_runtime(config)?;
    let upstreams = upstreams_runtime()?;
    let hasher = predecessor
        .as_ref()
        .map_or_else(KeyHasher::new, |before| before.hasher());
    let Built {
        gate,
        reloader,
        blocks,
        learned,
        recent,
        top,
        revocations,
    } = inputs.build(log, hasher, upstreams.handle())?;
    // As late as can be: what the process before this one counts from here on is lost.
    if let Some(before) = &mut predecessor {
        before.take_counters(&gate.limits.table)?;
    }
    let draining = gate.told.subscribe();
    let accepting = traffic.spawn(accept(&gate, sockets.traffic, idle_a_thread, &draining));
    let earlier = predecessor.as_deref_mut().map(Predecessor::take_state);
    let earlier = earlier.transpose()?;
    if predecessor.is_some() {
        // What the process before this one learned last.
        learned.save_within(STORE_TAKEN);
    }
    sockets.admin.own();
    let (ending, ends) = Ending::new();
    let admin = Admin {
        gate: gate.clone(),
        reloader,
        blocks,
        recent,
        top,
        revocations,
        addresses: sockets.addresses.clone(),
        audit: Audit::open(&directory),
        minutes: Minutes::open(&directory),
        rates: Rates::default(),
        tracked: Tracked::default(),
        started: Instant::now(),
        upgrader: Upgrader::new(
            gate.clone(),
            learned.clone(),
            origin,
            directory.clone(),
            copies,
        ),
        directory,
        earlier,
        ending,
        changes: Arc::default(),
        imports: tokio::sync::Mutex::default(),
        upgrades: Arc::default(),
        hangs: AtomicBool::default(),
        turns: admin::Kinds::default(),
        places: admin::Listeners::default(),
        refused: admin::Refused::default(),
        tails: admin::Tails::default(),
    };
    let pulse = Pulse::of(traffic.handle().clone());
    let admin = admin::start(
        admin,
        sockets.admin,
        sockets.admin_tcp,
        sockets.metrics,
        ends,
        pulse,
    )?;
    announce(&gate, &sockets.addresses);
    match predecessor {
        Some(before) => before.serving(),
        None => notify::ready(),
    }
    // An error means that the admin side is gone, and with it the way to end in order.
    let end = admin.ends.recv().unwrap_or(End::Signal);
    gate.draining.store(true, Relaxed);
    admin.abandon_upgrades();
    gate.told.send_replace(true);
    drain(&gate, &traffic, accepting, &admin.ends, end);
    traffic.shutdown_timeout(RUNTIME_END);
    // A look-up may take longer than anybody waits.
    upstreams.shutdown_background();
    learned.save_within(RUNTIME_END);
    admin.stop(end);
    drop(log_guard);
    Ok(())
}

fn announce(gate: &Gate, addresses: &Addresses) {
    for (listener, address) in gate.listeners.iter().zip(&addresses.listeners) {
        let rules = listener.rules.load();
        let scheme = if rules.tls.is_some() { "https" } else { "http" };
        let header = match rules.proxy_protocol {
            true => ", with a PROXY protocol header",
            false => "",
        };
        tracing::info!("listening on {scheme}://{address}{header}");
    }
    if let Some(metrics) = addresses.metrics {
        tracing::info!("metrics on http://{metrics}/metrics");
    }
    if let Some(admin) = addresses.admin {
        tracing::info!("admin API on http://{admin}/, for who has the token");
    }
    tracing::info!(
        "mode {}, {} known prefixes",
        gate.mode.mode(),
        gate.known_prefixes()
    );
}

/// Takes the state directory for this gate. One that cannot be written, or whose file system knows no
/// locks, keeps nobody from serving.
fn own(directory: &Path) -> anyhow::Result<()> {
    let shown = directory.display();
    match state::lock(directory) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            anyhow::bail!("state.directory {shown} is another gate's")
        }
        Err(error) => state::tell_unusable(directory, &error),
        Ok(()) => {}
    }
    Ok(())
}

fn traffic_runtime(config: &Config) -> anyhow::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = config.threads {
        builder.worker_threads(threads.get());
    }
    builder
        .enable_all()
        .thread_name("traffic")
        .build()
        .context("the traffic threads cannot be started")
}

/// What looks after upstreams: a thread that a flood does not keep from seeing how they are.
fn upstreams_runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .thread_name("upstreams")
        .build()
        .context("the thread that looks after upstreams cannot be started")
}

/// Accepts connections until shutdown, each listener in a task of its own: they differ in what their
/// connections begin with.
fn accept(
    gate: &Arc<Gate>,
    sockets: Vec<(SocketAddr, TcpListener)>,
    idle_a_thread: usize,
    shutdown: &watch::Receiver<bool>,
) -> impl Future<Output = ()> + use<> {
    let conf = Arc::new(ServerConf {
        // Of each thread.
        upstream_keepalive_pool_size: idle_a_thread,
        ..ServerConf::default()
    });
    let proxy = Arc::new(pingora_proxy::http_proxy(&conf, Forwarder));
    let on_their_way = Arc::new(AtomicU32::new(0));
    let each = gate.listeners.iter().zip(sockets);
    let accepting = each.map(|(listener, (_, socket))| {
        let app = ConnectionApp {
            gate: gate.clone(),
            listener: listener.clone(),
            proxy: proxy.clone(),
        };
        let filter = Filter::new(gate.clone(), listener.clone(), on_their_way.clone());
        let app = Arc::new(app);
        Acceptor { app, filter }.accept(socket, shutdown.clone())
    });
    let services: Vec<_> = accepting.collect();
    async move {
        let mut running = tokio::task::JoinSet::from_iter(services);
        while running.join_next().await.is_some() {}
    }
}
