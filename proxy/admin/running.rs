//! The admin side while it runs: its thread, its signals, its end.

use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{Admin, End, Socket, api, exposition, housekeeping, notifying, tails};
use crate::notify;
use crate::pulse::Pulse;

/// How long work that is under way may take at the end.
const RUNTIME_END: Duration = Duration::from_secs(2);

/// The admin side as it is running.
pub struct Running {
    thread: JoinHandle<()>,
    stop: watch::Sender<bool>,
    socket: Socket,
    admin: Arc<Admin>,
    /// One message for each signal that asks the gate to end, and one when it is superseded.
    pub ends: mpsc::Receiver<End>,
}

/// Starts the admin side; `pulse` tells whether the traffic moves.
///
/// # Errors
/// When its thread, its runtime or its signal handlers cannot be had.
pub fn start(
    admin: Admin,
    socket: Socket,
    tcp: Option<TcpListener>,
    metrics: Option<TcpListener>,
    ends: mpsc::Receiver<End>,
    pulse: Pulse,
) -> anyhow::Result<Running> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("admin")
        // One import; one look at files, one write of a minute and one of what a disk did not take, which
        // may hang; and some for what operators ask.
        .max_blocking_threads(8)
        .build()
        .context("the admin runtime cannot be started")?;
    let admin = Arc::new(admin);
    let (stop, stopped) = watch::channel(false);
    let guard = runtime.enter();
    let answering = tokio::spawn(api::answer(socket.listener()?, admin.clone()));
    if let Some(tcp) = tcp {
        let listener = tokio::net::TcpListener::from_std(tcp).context("admin.address")?;
        tokio::spawn(api::answer_over_tcp(listener, admin.clone()));
    }
    if let Some(metrics) = metrics {
        let listener = tokio::net::TcpListener::from_std(metrics).context("metrics.address")?;
        tokio::spawn(exposition::answer(listener, admin.clone()));
    }
    tokio::spawn(tails::tell(admin.clone()));
    tokio::spawn(housekeeping::keep(admin.clone()));
    tokio::spawn(housekeeping::watch(admin.clone()));
    tokio::spawn(housekeeping::write_again(admin.clone()));
    let writing = tokio::spawn(housekeeping::write_minutes(admin.clone()));
    if notify::is_asked_for() {
        tokio::spawn(notifying::statuses(admin.clone()));
    }
    tokio::spawn(notifying::pulse(admin.clone(), pulse));
    spawn_signals(admin.clone()).context("signal handlers")?;
    drop(guard);
    let thread = std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                until(stopped).await;
                // Who asked for an upgrade is to hear how it went; what the last minute was, is written.
                let both = async { tokio::join!(answering, writing) };
                let _ = tokio::time::timeout(RUNTIME_END, both).await;
            });
            // Not longer: a disk that hangs must not keep the gate from ending.
            runtime.shutdown_timeout(RUNTIME_END);
        })
        .context("the admin thread cannot be started")?;
    Ok(Running {
        thread,
        stop,
        socket,
        admin,
        ends,
    })
}

pub(super) async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the other side is gone, which is an end, too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

impl Running {
    /// Lets go of what an upgrade would hand over: the gate goes down.
    pub fn abandon_upgrades(&self) {
        self.admin.upgrader.abandon();
    }

    /// Ends the admin side and removes its socket, unless that is another gate's by now.
    pub fn stop(self, end: End) {
        self.admin.ending.leaving.send_replace(true);
        let _ = self.stop.send(true);
        if self.thread.join().is_err() {
            tracing::error!("the admin thread had panicked");
        }
        if end == (End::Superseded { admin: true }) {
            self.socket.leave();
        }
    }
}

fn spawn_signals(admin: Arc<Admin>) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut rotated = signal(SignalKind::user_defined1())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => admin.ending.tell(End::Signal),
                _ = interrupt.recv() => admin.ending.tell(End::Signal),
                _ = rotated.recv() => {
                    let admin = admin.clone();
                    // What it says is in the gate's messages.
                    tokio::task::spawn_blocking(move || drop(admin.reopen_log()));
                }
                _ = hangup.recv() => {
                    let Ok(turn) = admin.changes.clone().try_read_owned() else {
                        admin.reloader.refuse("an upgrade is under way, which reads the configuration");
                        continue;
                    };
                    let admin = admin.clone();
                    // What it says is in the log, the metric and the status.
                    tokio::task::spawn_blocking(move || {
                        drop(admin.reloader.reload(false));
                        drop(turn);
                    });
                }
            }
        }
    });
    Ok(())
}
