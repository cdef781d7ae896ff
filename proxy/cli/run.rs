//! `tidegate run`: serve in the foreground.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::{io, thread};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, raise};
use tidegate_config::{Config, Log, Server};
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::Context;
use crate::account::{Allowance, Messages};
use crate::admin::Target;
use crate::server;
use crate::upgrade::{Origin, Predecessor};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration file; without one, an embedded default in observe mode
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["listen", "upstream"])]
    config: Option<PathBuf>,

    /// Where to listen, without a configuration file
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// The app to forward to, without a configuration file
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    upstream: Server,

    /// End when standard input does, so as not to outlive the program that holds its other end
    #[arg(long, hide = true)]
    exit_with_stdin: bool,

    /// Go on with what the gate has that hands over at this socket; `tidegate upgrade` sees to it
    #[arg(long, hide = true, value_name = "SOCKET")]
    take_over: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<()> {
    take_signals().context("signal handlers")?;
    let origin = Origin::of_this_process().context("how this program was started")?;
    // Until the configuration says otherwise.
    let allowance = Allowance::new(Log::default().budget);
    let (messages, _guard) = Messages::start(allowance.clone()).context("messages")?;
    start_messages(messages);
    // Before anything can go wrong: what does is told there.
    let predecessor = arguments.take_over.as_deref().map(Predecessor::connect);
    let mut predecessor = predecessor.transpose()?;
    let served = serve(arguments, context, origin, predecessor.as_mut(), allowance);
    if let (Err(error), Some(before)) = (&served, &mut predecessor) {
        before.failed(error);
    }
    served
}

fn serve(
    arguments: &Arguments,
    context: &Context,
    origin: Origin,
    predecessor: Option<&mut Predecessor>,
    allowance: Arc<Allowance>,
) -> anyhow::Result<()> {
    let mut config = match &arguments.config {
        Some(file) => Config::load(file)?,
        None => Config::embedded(arguments.listen, &arguments.upstream)?,
    };
    match &context.admin {
        Some(Target::Socket(socket)) => {
            config.admin.socket.clone_from(socket);
            config.admin.is_named = true;
        }
        Some(Target::Tcp { .. }) => bail!(
            "--admin (or TIDEGATE_ADMIN) names the socket of a gate that is run; an address is configured with admin.address and admin.token_file"
        ),
        None => {}
    }
    if arguments.config.is_none() {
        tracing::info!(
            "no configuration file: watching what goes to {} and refusing nothing; `tidegate init` writes a file, `tidegate run --config FILE` takes it",
            arguments.upstream
        );
    }
    if arguments.exit_with_stdin {
        end_with_stdin().context("the thread that watches standard input")?;
    }
    server::run(config, origin, predecessor, allowance)
}

/// Sends the messages of the gate, and those of libraries that no account has, to `messages`.
fn start_messages(messages: Messages) {
    let format = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_ansi(false)
        .with_writer(move || messages.clone());
    // What libraries report is mostly what clients and upstreams do; the account has that, by reason
    // and sampled. What stays of theirs are failures to accept: they are the machine's.
    let levels = Targets::new()
        .with_default(LevelFilter::OFF)
        .with_target("tidegate", Level::INFO)
        .with_target("pingora_core::services", Level::ERROR);
    tracing_subscriber::registry()
        .with(levels)
        .with(format)
        .init();
}

/// Has the signals that ask a gate for something end none that is still starting: a rotation of logs does
/// not wait for that.
fn take_signals() -> io::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_io().build()?;
    let _entered = runtime.enter();
    // Their handlers stay for as long as the process does.
    drop(signal(SignalKind::hangup())?);
    drop(signal(SignalKind::user_defined1())?);
    Ok(())
}

/// Ends the gate, as a signal would, once nobody can write to its standard input any more. The
/// system closes that pipe however its other end died.
fn end_with_stdin() -> io::Result<()> {
    let watch = || {
        // What comes is of no interest, and an error is an end, too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        // Fails only for signals that do not exist.
        let _ = raise(Signal::SIGTERM);
    };
    let thread = thread::Builder::new().name("stdin".to_owned());
    thread.spawn(watch).map(drop)
}
