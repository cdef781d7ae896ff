//! A client's connection over HTTP/1.1, request after request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::BytesMut;
use pingora_core::apps::{HttpServerApp, ServerApp};
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use pingora_proxy::HttpProxy;
use pingora_timeout::timeout;
use tidegate_config::Deadlines;
use tokio::io::AsyncWriteExt;

use super::arrival::{Arrival, announced, decrypted};
use super::exchange::Exchange;
use super::forwarder::Forwarder;
use super::paced::PacedStream;
use super::stream::ClientStream;
use super::turn::{Asked, Turn, refuse_head, refuse_unread};
use crate::door::{self, DoorReason};
use crate::gate::Gate;
use crate::head::{self, HeadError};
use crate::identity::{Caller, canonical};
use crate::listener::Listener;
use crate::reason::Reason;

/// How long an idle connection may still send its next request once the gate is going down: it was
/// on its way when the connection was told.
const DRAIN_GRACE: Duration = Duration::from_secs(1);
/// How long the last word of TLS may wait for a client that does not read.
const FAREWELL: Duration = Duration::from_millis(500);
/// Empty lines that may stand before a request line: some old clients send one.
const MAX_EMPTY_LINES: usize = 8;

/// The gate's connection app: it reads the heads, answers what is refused, and hands the rest on.
pub struct ConnectionApp {
    /// What the stages share.
    pub gate: Arc<Gate>,
    /// Where its connections come in.
    pub listener: Arc<Listener>,
    /// Pingora's proxy with the gate's hooks.
    pub proxy: Arc<HttpProxy<Forwarder>>,
}

#[async_trait]
impl ServerApp for ConnectionApp {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        match self.arrive(stream).await {
            Ok((arrival, guard)) => {
                self.gate.account.accepted_connection();
                let connection = Connection {
                    app: self,
                    caller: arrival.caller,
                    deadlines: Deadlines::clone(&self.gate.policy.load().deadlines),
                    shutdown: shutdown.clone(),
                    out: BytesMut::new(),
                };
                connection.serve(PacedStream::new(arrival.stream)).await;
                drop(guard);
            }
            Err(reason) => self.gate.account.refused_connection(reason),
        }
        None
    }

    // `cleanup` stays empty: Pingora's would tell its proxy to drop every session that is reading
    // its head. Here a session has its whole head from the start, and idle connections are ours.
}

impl ConnectionApp {
    /// Everything before HTTP. What few connections need is in a box, so that the others do not carry
    /// room for it to their end.
    async fn arrive(&self, mut stream: Stream) -> Result<(Arrival, door::Guard), DoorReason> {
        let mut address = peer_address(&stream).ok_or(DoorReason::Gone)?;
        let rules = self.listener.rules.load_full();
        let deadlines = self.gate.policy.load().deadlines.clone();
        let gate = &self.gate;
        if rules.proxy_protocol {
            address = Box::pin(announced(gate, &deadlines, &mut stream, address)).await?;
        }
        let guard = door::admit(gate, address)?;
        let arrival = match &rules.tls {
            Some(tls) => Box::pin(decrypted(gate, &deadlines, tls, stream, address)).await?,
            None => Arrival::plain(stream, address),
        };
        Ok((arrival, guard))
    }
}

fn peer_address(stream: &Stream) -> Option<IpAddr> {
    let digest = stream.get_socket_digest()?;
    let peer = digest.peer_addr()?.as_inet()?;
    Some(canonical(*peer))
}

struct Connection<'app> {
    app: &'app ConnectionApp,
    caller: Caller,
    deadlines: Deadlines,
    shutdown: ShutdownWatch,
    /// Replies on their way out.
    out: BytesMut,
}

/// Why there is no further head.
#[derive(Debug)]
enum End {
    /// The client closed, or nothing came in time: nobody waits for an answer.
    Quiet,
    /// The head cannot become a good one.
    Head(HeadError),
    /// The head was begun and not completed in time.
    Late,
}

impl Connection<'_> {
    async fn serve(mut self, stream: PacedStream) {
        let mut stream = Box::new(ClientStream::new(stream));
        let mut first = true;
        loop {
            // A reload holds for open connections, too.
            self.deadlines
                .clone_from(&self.app.gate.policy.load().deadlines);
            stream.set_write_idle(self.deadlines.response_body_idle);
            let length = match self.next_head(&mut stream, first).await {
                Ok(length) => length,
                Err(end) => return self.end(stream, end).await,
            };
            first = false;
            match self.take_turn(&stream, length) {
                Turn::Replied { consumed } => {
                    stream.skip(consumed);
                    if self.send(&mut stream).await.is_err() {
                        return;
                    }
                }
                Turn::Closing { unread: true } => return self.close(stream).await,
                Turn::Closing { unread: false } => {
                    // Nothing is left to read, so closing does not reset the connection; the client
                    // is gone if the reply cannot be sent.
                    let _ = self.send(&mut stream).await;
                    return self.leave(stream).await;
                }
                Turn::Forward {
                    exchange,
                    rewritten,
                    framing,
                } => {
                    let bytes = stream.begin_body(length, framing, exchange.websocket);
                    let bytes = rewritten.unwrap_or(bytes);
                    match self.forward(stream, bytes, exchange).await {
                        Some(kept) => stream = kept,
                        None => return,
                    }
                }
            }
        }
    }

    fn take_turn(&mut self, stream: &ClientStream, length: usize) -> Turn {
        let asked = Asked {
            gate: &self.app.gate,
            caller: &self.caller,
            buffered: stream.buffered(),
            length,
            draining: *self.shutdown.borrow(),
        };
        asked.take(&mut self.out)
    }

    /// Reads up to the end of the next head and gives its length. The deadline runs from its first
    /// byte and is one for all of it.
    async fn next_head(&mut self, stream: &mut ClientStream, first: bool) -> Result<usize, End> {
        let mut deadline = None;
        let mut searched = 0;
        let mut empty_lines = 0;
        loop {
            // RFC 9112 section 2.2: an empty line before a request line is passed over.
            while stream.buffered().starts_with(b"\r\n") {
                empty_lines += 1;
                if empty_lines > MAX_EMPTY_LINES {
                    let problem = "nothing but empty lines";
                    return Err(End::Head(HeadError::Malformed(problem)));
                }
                stream.skip(2);
                searched = 0;
            }
            if let Some(end) = head::find_end(stream.buffered(), searched) {
                return match end <= head::MAX_HEAD {
                    true => Ok(end),
                    false => Err(End::Head(HeadError::TooLarge)),
                };
            }
            head::check_partial(stream.buffered(), searched).map_err(End::Head)?;
            searched = stream.buffered().len();
            let read = match (searched, deadline) {
                (0, None) => self.wait_for_request(stream, first).await?,
                _ => {
                    let deadline = *deadline
                        .get_or_insert_with(|| Instant::now() + self.deadlines.request_header);
                    let left = deadline.saturating_duration_since(Instant::now());
                    // The timer alone would not end a client that always has another byte ready.
                    if left.is_zero() {
                        return Err(End::Late);
                    }
                    timeout(left, stream.fill()).await.map_err(|_| End::Late)?
                }
            };
            if !matches!(read, Ok(1..)) {
                return Err(End::Quiet);
            }
            deadline.get_or_insert_with(|| Instant::now() + self.deadlines.request_header);
        }
    }

    /// Waits, between requests, for the first bytes of the next one.
    async fn wait_for_request(
        &mut self,
        stream: &mut ClientStream,
        first: bool,
    ) -> Result<std::io::Result<usize>, End> {
        let idle = match first {
            true => self.deadlines.request_header,
            false => self.deadlines.keepalive,
        };
        if !*self.shutdown.borrow() {
            tokio::select! {
                biased;
                read = timeout(idle, stream.fill()) => return read.map_err(|_| End::Quiet),
                _ = self.shutdown.changed() => {}
            }
        }
        let grace = idle.min(DRAIN_GRACE);
        timeout(grace, stream.fill()).await.map_err(|_| End::Quiet)
    }

    /// Hands the request to Pingora's proxy and gives the connection back if it can be used again.
    async fn forward(
        &mut self,
        stream: Box<ClientStream>,
        head: BytesMut,
        exchange: Box<Exchange>,
    ) -> Option<Box<ClientStream>> {
        let mut session = ServerSession::new_http1(stream);
        session.set_read_timeout(Some(self.deadlines.request_body_idle));
        session.set_pipelined_prefix(head);
        session.set_connection_user_context(Some(exchange));
        let reused = self.app.proxy.process_new_http(session, &self.shutdown);
        let (stream, _) = reused.await?.consume();
        let mut stream = stream.into_any().downcast::<ClientStream>().ok()?;
        stream.end_body().then_some(stream)
    }

    async fn end(&mut self, stream: Box<ClientStream>, end: End) {
        let gate = &self.app.gate;
        match end {
            End::Quiet => return self.leave(stream).await,
            End::Head(error) => refuse_head(gate, self.caller.address, error, &mut self.out),
            End::Late => refuse_unread(
                gate,
                self.caller.address,
                Reason::HeadTimeout,
                &mut self.out,
            ),
        }
        self.close(stream).await;
    }

    /// Closes a connection on which nothing is left to say but that, in TLS: without it the client
    /// could not tell this end from one that somebody on the way has made.
    async fn leave(&self, mut stream: Box<ClientStream>) {
        if self.caller.secure {
            // Box: only the end of few connections needs the room. It ends either way.
            let _ = Box::pin(timeout(FAREWELL, stream.shutdown())).await;
        }
    }

    async fn send(&mut self, stream: &mut ClientStream) -> std::io::Result<()> {
        stream.write_all(&self.out).await?;
        self.out.clear();
        stream.flush().await
    }

    /// Sends the reply, closes the gate's side, and reads what is still coming for a moment.
    async fn close(&mut self, mut stream: Box<ClientStream>) {
        stream.linger_at_end();
        if self.send(&mut stream).await.is_ok() {
            // It ends either way.
            let _ = stream.shutdown().await;
        }
    }
}
