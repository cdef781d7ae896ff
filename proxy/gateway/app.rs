//! The connection app: from an accepted connection to the protocol that it speaks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use pingora_core::protocols::Stream;
use pingora_core::server::ShutdownWatch;
use pingora_proxy::HttpProxy;

use super::arrival::{Arrival, announced, decrypted};
use super::connection::Connection;
use super::forwarder::Forwarder;
use super::h2::Http2;
use super::paced::PacedStream;
use super::transport::Transport;
use crate::account::Closing;
use crate::door::{self, DoorReason};
use crate::gate::Gate;
use crate::identity::canonical;
use crate::listener::{Listener, Rules};

/// The gate's connection app: it reads the heads, answers what is refused, and hands the rest on.
pub struct ConnectionApp {
    /// What the stages share.
    pub gate: Arc<Gate>,
    /// Where its connections come in.
    pub listener: Arc<Listener>,
    /// Pingora's proxy with the gate's hooks.
    pub proxy: Arc<HttpProxy<Forwarder>>,
}

impl ConnectionApp {
    /// Serves an accepted connection to its end.
    pub(super) async fn process(
        self: &Arc<Self>,
        socket: OwnedFd,
        peer: Option<SocketAddr>,
        shutdown: &ShutdownWatch,
    ) {
        let mut address = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), canonical);
        let rules = self.listener.rules.load_full();
        let arrived = match (peer, Transport::plain(socket, rules.proxy_protocol)) {
            (Some(_), Ok(plain)) => self.arrive(&rules, Box::new(plain), &mut address).await,
            _ => Err(DoorReason::Gone),
        };
        let account = &self.gate.account;
        match arrived {
            Ok((arrival, guard)) => {
                account.accepted_connection();
                let closing = self.serve(arrival, guard, shutdown).await;
                account.closed_connection(closing);
            }
            Err(reason) => account.refused_connection(reason, address, self.listener.address),
        }
    }

    /// Everything before HTTP. `address`: the other end, which becomes the client's once that is
    /// announced. What few connections need is in a box, so that the others do not carry
    /// room for it to their end.
    async fn arrive(
        &self,
        rules: &Rules,
        mut stream: Stream,
        address: &mut IpAddr,
    ) -> Result<(Arrival, door::Guard), DoorReason> {
        let gate = &self.gate;
        let deadlines = gate.policy.load().deadlines.clone();
        let guard = if rules.proxy_protocol {
            let place = door::admit_total(gate, gate.policy.load().caps)?;
            *address = Box::pin(announced(gate, &deadlines, &mut stream, *address)).await?;
            door::admit_client(gate, place, *address)?
        } else {
            door::admit(gate, *address)?
        };
        let arrival = match &rules.tls {
            Some(tls) => Box::pin(decrypted(gate, &deadlines, tls, stream, *address)).await?,
            None => Arrival::plain(stream, *address),
        };
        Ok((arrival, guard))
    }

    /// Serves what has arrived to its end, and says how it came.
    async fn serve(
        self: &Arc<Self>,
        arrival: Arrival,
        guard: door::Guard,
        shutdown: &ShutdownWatch,
    ) -> Closing {
        let stream = PacedStream::new(arrival.stream);
        let shutdown = shutdown.clone();
        if !arrival.http2 {
            let connection = Connection::new(self, arrival.caller, shutdown);
            let closing = connection.serve(stream).await;
            drop(guard);
            return closing;
        }
        let connection = Http2 {
            app: self.clone(),
            caller: arrival.caller,
            guard: Arc::new(guard),
            shutdown,
        };
        Box::pin(connection.serve(stream)).await
    }
}
