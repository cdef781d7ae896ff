//! Accepts connections.
//!
//! Pingora's loop hands each connection to the runtime before the door looks at it, which is an eighth
//! of what it costs to close one (measured). Here it is looked at first.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::server::ShutdownWatch;
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with, listen, sockopt};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::yield_now;
use tokio::time::sleep;

use super::app::ConnectionApp;
use crate::door::Filter;

/// Connections that are accepted before those that were get a turn.
const AT_ONCE: usize = 64;
/// How long is waited when the system has no room for another one.
const CALM: Duration = Duration::from_millis(100);

/// What accepts on one listening socket.
pub struct Acceptor {
    /// What its connections are for.
    pub app: Arc<ConnectionApp>,
    /// Which of them are let in.
    pub filter: Filter,
}

impl Acceptor {
    /// Accepts until shutdown, and closes the socket then.
    pub async fn accept(self, socket: TcpListener, mut shutdown: ShutdownWatch) {
        // The kernel takes as many as net.core.somaxconn says; std asked for 128, which a flood fills.
        if let Err(error) = listen(&socket, i32::MAX) {
            tracing::warn!("the backlog of a listener: {error}");
        }
        // What is accepted has it from here. Without it answers are late, and that is all.
        if let Err(error) = sockopt::set_tcp_nodelay(&socket, true) {
            tracing::warn!("TCP_NODELAY: {error}");
        }
        let socket = match watched(socket) {
            Ok(socket) => socket,
            Err(error) => return tracing::error!("a listener cannot be waited for: {error}"),
        };
        let handed_on = shutdown.clone();
        while !*shutdown.borrow_and_update() {
            tokio::select! {
                biased;
                told = shutdown.changed() => if told.is_err() {
                    return;
                },
                more = self.accept_some(&socket, &handed_on) => if let Err(error) = more {
                    tracing::error!("a connection could not be accepted: {error}");
                    sleep(CALM).await;
                },
            }
        }
    }

    /// Waits for connections and accepts some of them.
    async fn accept_some(
        &self,
        socket: &AsyncFd<TcpListener>,
        shutdown: &ShutdownWatch,
    ) -> std::io::Result<()> {
        let mut ready = socket.readable().await?;
        for _ in 0..AT_ONCE {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match acceptfrom_with(socket, flags) {
                Ok((accepted, peer)) => {
                    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                    self.let_in(accepted, peer, shutdown).await;
                }
                Err(Errno::WOULDBLOCK) => {
                    ready.clear_ready();
                    return Ok(());
                }
                Err(error) if is_of_the_connection(error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        yield_now().await;
        Ok(())
    }

    /// Serves a connection in a task of its own, if it may come in.
    async fn let_in(&self, accepted: OwnedFd, peer: Option<SocketAddr>, shutdown: &ShutdownWatch) {
        if !self.filter.lets_in(peer).await {
            return;
        }
        let (app, shutdown) = (self.app.clone(), shutdown.clone());
        tokio::spawn(async move { app.process(accepted, peer, &shutdown).await });
    }
}

/// A listener that can be waited for without accepting what has come.
fn watched(socket: TcpListener) -> std::io::Result<AsyncFd<TcpListener>> {
    // SAFETY: the listener owns its descriptor, always gives the same one, and closes it when it is
    // dropped, which is after the `AsyncFd` that owns it has stopped watching.
    let watched = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
    watched.map_err(std::io::Error::from)
}

/// Errors of a connection that is gone already; accept(2) gives them in its place.
fn is_of_the_connection(error: Errno) -> bool {
    matches!(
        error,
        Errno::INTR
            | Errno::CONNABORTED
            | Errno::PERM
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::OPNOTSUPP
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::NONET
    )
}
