//! From an accepted connection to one that speaks HTTP: the PROXY protocol header and the TLS
//! handshake, each with its own deadline.

use std::io;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use pingora_core::protocols::Stream;
use pingora_timeout::timeout;
use rustls::server::{Accepted, Acceptor};
use tidegate_config::Deadlines;
use tidegate_limit::{GaugePermit, Permit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{StartHandshake, rustls};

use super::transport::Transport;
use crate::door::{self, DoorReason};
use crate::gate::Gate;
use crate::identity::Caller;
use crate::proxy_protocol::{self, HeaderError};
use crate::tls::{self, Tls};

/// What one read of a client's first message asks for; most are a quarter of it.
const HELLO: usize = 2048;
/// The answer to HTTP where TLS was expected.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain\r\nContent-Length: 47\r\nConnection: close\r\n\r\n\
    This port speaks HTTPS: ask with https instead\n";

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
    mut stream: Stream,
    client: IpAddr,
) -> Result<Arrival, DoorReason> {
    let hello = hello(&mut stream).await?;
    // Its place is taken when its costs begin: silent connections are no handshakes.
    let _place = place(gate, client)?;
    let begun = StartHandshake::from_parts(hello, stream);
    let done = begun.into_stream(tls.config.clone()).await;
    // What is dropped sends what it has gathered, and with it the alert.
    let stream = done.map_err(|error| failed(&error))?;
    let (_, session) = stream.get_ref();
    let caller = Caller {
        address: client,
        secure: true,
        certificate: tls::client_name(session.peer_certificates()),
    };
    Ok(Arrival {
        http2: tls::is_http2(session.alpn_protocol()),
        stream: Box::new(Transport::encrypted(stream)),
        caller,
    })
}

/// Reads the client's first message. Who speaks HTTP here is told so, as programs that were given the
/// wrong scheme cannot make anything of an alert.
async fn hello(stream: &mut Stream) -> Result<Accepted, DoorReason> {
    let mut acceptor = Acceptor::default();
    let mut space = [0; HELLO];
    let mut first = None;
    loop {
        let read = stream.read(&mut space).await;
        let mut bytes = match read {
            Ok(read @ 1..) => space.get(..read).unwrap_or_default(),
            _ => return Err(DoorReason::Gone),
        };
        first = first.or(bytes.first().copied());
        while !bytes.is_empty() {
            // Nothing is taken of what is longer than a first message may be.
            let Ok(1..) = acceptor.read_tls(&mut bytes) else {
                return Err(DoorReason::TlsFailed);
            };
        }
        let answer = match acceptor.accept() {
            Ok(Some(hello)) => return Ok(hello),
            Ok(None) => continue,
            Err(_) if first.is_some_and(|byte| byte.is_ascii_uppercase()) => PLAIN_HTTP.to_vec(),
            Err((_, mut alert)) => {
                let mut answer = Vec::new();
                while matches!(alert.write(&mut answer), Ok(1..)) {}
                answer
            }
        };
        // The connection ends either way.
        let _ = stream.write_all(&answer).await;
        return Err(DoorReason::TlsFailed);
    }
}

/// The places of a handshake, given back when dropped.
struct Place {
    _total: Option<GaugePermit>,
    _client: Option<Permit>,
}

/// One client may have this share of the places, and so many in any case: whoever says hello and
/// nothing more must need many addresses to keep others out.
const CLIENT_SHARE: u32 = 50;
const CLIENT_LEAST: NonZeroU32 = NonZeroU32::MIN.saturating_add(7);

/// A place among the handshakes under way. Known clients always get one: whoever fills the places
/// must not lock them out, and the cap of all connections bounds them.
fn place(gate: &Arc<Gate>, client: IpAddr) -> Result<Place, DoorReason> {
    if gate.is_known(client) {
        return Ok(Place {
            _total: None,
            _client: None,
        });
    }
    let policy = gate.policy.load();
    let limit = policy.tls_handshakes.get();
    let total = gate.handshakes.try_acquire(limit);
    let total = total.ok_or(DoorReason::TlsHandshakes)?;
    let share = NonZeroU32::new(limit / CLIENT_SHARE).unwrap_or(CLIENT_LEAST);
    let share = share.max(CLIENT_LEAST);
    let own = &gate.limits.handshakes;
    let own = door::client_place(gate, &policy, client, own, share, DoorReason::TlsHandshakes)?;
    Ok(Place {
        _total: Some(total),
        _client: own,
    })
}

fn failed(error: &io::Error) -> DoorReason {
    match error.kind() {
        // rustls' own errors: not TLS, no protocol in common, a certificate that does not do.
        io::ErrorKind::InvalidData => DoorReason::TlsFailed,
        _ => DoorReason::Gone,
    }
}
