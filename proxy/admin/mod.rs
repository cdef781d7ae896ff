//! The admin side: the API on its Unix socket, the metrics on their own listener, the clockwork.
//!
//! It shares no thread and no cap with the traffic: one thread of its own, with its own runtime, so
//! that it answers during the worst flood.

mod api;
mod bounded;
mod client;
mod exposition;
mod housekeeping;
mod problem;
mod socket;
pub mod wire;

pub use client::{Client, ClientError};
pub use housekeeping::{Rates, Tracked};
pub use problem::Problem;
pub use socket::Socket;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::door::Blocks;
use crate::gate::Gate;
use crate::reload::Reloader;

/// Where the gate listens, as it turned out: port 0 has become a port.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// For traffic.
    pub listeners: Vec<SocketAddr>,
    /// For metrics.
    pub metrics: Option<SocketAddr>,
}

/// What the admin side reads and sets.
#[derive(Debug)]
pub struct Admin {
    /// The gate.
    pub gate: Arc<Gate>,
    /// What replaces its configuration.
    pub reloader: Reloader,
    /// Who is shut out.
    pub blocks: Blocks,
    /// Where it listens.
    pub addresses: Addresses,
    /// Requests a second, lately.
    pub rates: Rates,
    /// Buckets in use, lately.
    pub tracked: Tracked,
    /// Since when it has been running.
    pub started: Instant,
}

/// How long work that is under way may take at the end.
const RUNTIME_END: Duration = Duration::from_secs(2);

/// The admin side as it is running.
pub struct Running {
    thread: JoinHandle<()>,
    stop: watch::Sender<bool>,
    socket: Socket,
    /// One message for each signal that asks the gate to end.
    pub ends: mpsc::Receiver<()>,
}

/// Starts the admin side.
///
/// # Errors
/// When its thread, its runtime or its signal handlers cannot be had.
pub fn start(
    admin: Admin,
    socket: Socket,
    metrics: Option<TcpListener>,
) -> anyhow::Result<Running> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("admin")
        .max_blocking_threads(4)
        .build()
        .context("the admin runtime cannot be started")?;
    let admin = Arc::new(admin);
    let (stop, stopped) = watch::channel(false);
    let (end, ends) = mpsc::channel();
    {
        let _guard = runtime.enter();
        let listener = socket.listener()?;
        tokio::spawn(api::serve(listener, admin.clone()));
        if let Some(metrics) = metrics {
            let listener = tokio::net::TcpListener::from_std(metrics).context("metrics.address")?;
            tokio::spawn(exposition::serve(listener, admin.clone()));
        }
        tokio::spawn(housekeeping::keep(admin.clone()));
        spawn_signals(admin, end).context("signal handlers")?;
    }
    let thread = std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            runtime.block_on(until(stopped));
            // Not longer: a disk that hangs must not keep the gate from ending.
            runtime.shutdown_timeout(RUNTIME_END);
        })
        .context("the admin thread cannot be started")?;
    Ok(Running {
        thread,
        stop,
        socket,
        ends,
    })
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the other side is gone, which is an end, too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

impl Running {
    /// Ends the admin side and removes its socket.
    pub fn stop(self) {
        let _ = self.stop.send(true);
        if self.thread.join().is_err() {
            tracing::error!("the admin thread had panicked");
        }
        drop(self.socket);
    }
}

fn spawn_signals(admin: Arc<Admin>, end: mpsc::Sender<()>) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => drop(end.send(())),
                _ = interrupt.recv() => drop(end.send(())),
                _ = hangup.recv() => {
                    let admin = admin.clone();
                    // What it says is in the log, the metric and the status.
                    tokio::task::spawn_blocking(move || drop(admin.reloader.reload(false)));
                }
            }
        }
    });
    Ok(())
}
