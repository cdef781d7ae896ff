//! From an accepted connection to one that speaks HTTP: the PROXY protocol header and the TLS
//! handshake, each with its own deadline.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use pingora_core::protocols::Stream;
use pingora_timeout::timeout;
use tidegate_config::Deadlines;
use tidegate_limit::GaugePermit;
use tokio_rustls::{LazyConfigAcceptor, rustls};

use super::encrypted::Encrypted;
use crate::door::DoorReason;
use crate::gate::Gate;
use crate::identity::Caller;
use crate::proxy_protocol::{self, HeaderError};
use crate::tls::{self, Tls};

/// A connection that is ready for HTTP.
pub(super) struct Arrival {
    /// What HTTP runs over.
    pub(super) stream: Stream,
    /// Who is at its other end.
    pub(super) caller: Caller,
    /// Whether TLS agreed on HTTP/2.
    pub(super) http2: bool,
}

impl Arrival {
    /// A connection without TLS.
    pub(super) fn plain(stream: Stream, client: IpAddr) -> Self {
        Arrival {
            stream,
            caller: Caller {
                address: client,
                secure: false,
                certificate: None,
            },
            http2: false,
        }
    }
}

/// Reads the PROXY protocol header of a connection from `peer` and gives the client's address.
///
/// # Errors
/// When the peer may not say so, or did not in time, or it is not a header.
pub(super) async fn announced(
    gate: &Gate,
    deadlines: &Deadlines,
    stream: &mut Stream,
    peer: IpAddr,
) -> Result<IpAddr, DoorReason> {
    if !gate.policy.load().client.trusts(peer) {
        return Err(DoorReason::ProxyUntrusted);
    }
    match timeout(deadlines.proxy_header, proxy_protocol::read(stream)).await {
        Ok(Ok(announced)) => Ok(announced.unwrap_or(peer)),
        Ok(Err(HeaderError::Malformed)) => Err(DoorReason::ProxyMalformed),
        Ok(Err(HeaderError::Gone)) => Err(DoorReason::Gone),
        Err(_) => Err(DoorReason::ProxyTimeout),
    }
}

/// Ends TLS on a connection from `client`. The deadline ends the handshake itself: it runs here and
/// nowhere else.
///
/// # Errors
/// When the handshake fails, or is not done in time, or too many others are under way.
pub(super) async fn decrypted(
    gate: &Arc<Gate>,
    deadlines: &Deadlines,
    tls: &Tls,
    stream: Stream,
    client: IpAddr,
) -> Result<Arrival, DoorReason> {
    let handshake = handshake(gate, tls, stream, client);
    match timeout(deadlines.tls_handshake, handshake).await {
        Ok(done) => done,
        Err(_) => Err(DoorReason::TlsTimeout),
    }
}

async fn handshake(
    gate: &Arc<Gate>,
    tls: &Tls,
    stream: Stream,
    client: IpAddr,
) -> Result<Arrival, DoorReason> {
    let begun = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
    let begun = begun.await.map_err(|error| failed(&error))?;
    // Its place is taken when its costs begin: silent connections are no handshakes.
    let _place = place(gate, client)?;
    let done = begun.into_stream(tls.config.clone()).await;
    let stream = done.map_err(|error| failed(&error))?;
    let (_, session) = stream.get_ref();
    let caller = Caller {
        address: client,
        secure: true,
        certificate: tls::client_name(session.peer_certificates()),
    };
    Ok(Arrival {
        http2: tls::is_http2(session.alpn_protocol()),
        stream: Box::new(Encrypted(stream)),
        caller,
    })
}

/// A place among the handshakes under way. Known clients always get one: whoever fills the places
/// must not lock them out, and the cap of all connections bounds them.
fn place(gate: &Arc<Gate>, client: IpAddr) -> Result<Option<GaugePermit>, DoorReason> {
    let limit = gate.policy.load().tls_handshakes.get();
    match gate.handshakes.try_acquire(limit) {
        Some(place) => Ok(Some(place)),
        None if gate.known.contains(client) => Ok(None),
        None => Err(DoorReason::TlsHandshakes),
    }
}

fn failed(error: &io::Error) -> DoorReason {
    match error.kind() {
        // rustls' own errors: not TLS, no protocol in common, a certificate that does not do.
        io::ErrorKind::InvalidData => DoorReason::TlsFailed,
        _ => DoorReason::Gone,
    }
}
