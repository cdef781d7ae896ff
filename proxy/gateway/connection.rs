//! A client's connection over HTTP/1.1, request after request.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use pingora_timeout::timeout;
use tidegate_config::Deadlines;
use tokio::io::AsyncWriteExt;

use super::app::ConnectionApp;
use super::exchange::Exchange;
use super::judgement::Judge;
use super::pace::Limits;
use super::paced::{Overdue, PacedStream};
use super::stream::ClientStream;
use super::turn::{Asked, Turn};
use crate::account::Closing;
use crate::door;
use crate::head::{self, HeadError};
use crate::identity::Caller;
use crate::reason::Reason;
use crate::refuse::Persistence;

/// How long an idle connection may still send its next request once the gate is going down: it was
/// on its way when the connection was told.
pub(super) const DRAIN_GRACE: Duration = Duration::from_secs(1);
/// How long the last word of TLS may wait for a client that does not read.
const FAREWELL: Duration = Duration::from_millis(500);
/// Empty lines that may stand before a request line: some old clients send one.
const MAX_EMPTY_LINES: usize = 8;

/// A client's connection over HTTP/1.1.
pub(super) struct Connection<'app> {
    app: &'app ConnectionApp,
    caller: Caller,
    deadlines: Deadlines,
    /// Requests so far.
    requests: u32,
    /// Requests that it may have.
    most: u32,
    shutdown: ShutdownWatch,
    /// Replies on their way out.
    out: BytesMut,
}

/// Why a connection ends whose client did not get a reply.
fn unsent(error: &std::io::Error) -> Closing {
    match Overdue::of(error) {
        Some(_) => Closing::NotReading,
        None => Closing::Client,
    }
}

/// Why there is no further head.
#[derive(Debug)]
enum End {
    /// Nobody waits for an answer.
    Quiet(Closing),
    /// The head cannot become a good one.
    Head(HeadError),
    /// The head was begun and not completed in time.
    Late,
}

impl<'app> Connection<'app> {
    /// One that has just been accepted.
    pub(super) fn new(app: &'app ConnectionApp, caller: Caller, shutdown: ShutdownWatch) -> Self {
        Connection {
            app,
            caller,
            deadlines: Deadlines::default(),
            requests: 0,
            most: u32::MAX,
            shutdown,
            out: BytesMut::new(),
        }
    }

    /// Serves the connection to its end and says how it came.
    pub(super) async fn serve(mut self, stream: PacedStream) -> Closing {
        let mut stream = Box::new(ClientStream::new(stream));
        loop {
            self.read_policy(&mut stream);
            let length = match self.next_head(&mut stream).await {
                Ok(length) => length,
                Err(end) => return self.end(stream, end).await,
            };
            self.requests += 1;
            match self.take_turn(&stream, length) {
                Turn::Replied { consumed } => {
                    stream.skip(consumed);
                    if let Err(error) = self.send(&mut stream).await {
                        return unsent(&error);
                    }
                }
                Turn::Closing { unread: true } => {
                    let closed = self.close(stream).await;
                    return closed
                        .map_or_else(|error| unsent(&error), |()| self.ended_by_request());
                }
                Turn::Closing { unread: false } => {
                    // Nothing is left to read, so closing does not reset the connection.
                    if let Err(error) = self.send(&mut stream).await {
                        return unsent(&error);
                    }
                    self.leave(stream).await;
                    return self.ended_by_request();
                }
                Turn::Forward {
                    exchange,
                    rewritten,
                    framing,
                } => {
                    let (most, websocket) = (exchange.max_body, exchange.websocket);
                    let bytes = stream.begin_body(length, framing, most, websocket);
                    let bytes = rewritten.unwrap_or(bytes);
                    let idle = exchange.tunnel_idle.clone();
                    match self.forward(stream, bytes, exchange).await {
                        Some(kept) => stream = kept,
                        None if idle.is_some_and(|idle| idle.load(Relaxed)) => {
                            return Closing::TunnelIdle;
                        }
                        None => return self.ended_by_request(),
                    }
                }
            }
        }
    }

    fn judge(&self) -> Judge<'_> {
        Judge {
            gate: &self.app.gate,
            caller: &self.caller,
            last: *self.shutdown.borrow() || self.requests >= self.most,
            stream: false,
        }
    }

    /// A reload holds for open connections, too.
    fn read_policy(&mut self, stream: &mut ClientStream) {
        let policy = self.app.gate.policy.load();
        self.deadlines.clone_from(&policy.deadlines);
        self.most = policy.requests_per_connection.get();
        let (body, response) = (
            Limits::receiving(&self.deadlines),
            Limits::sending(&self.deadlines),
        );
        stream.begin(body, response);
    }

    /// Why a connection ends behind a request.
    fn ended_by_request(&self) -> Closing {
        if self.requests >= self.most {
            Closing::RequestsLimit
        } else if *self.shutdown.borrow() {
            Closing::Drained
        } else if door::is_shut_out(&self.app.gate, self.caller.address) {
            Closing::ShutOut
        } else {
            Closing::Request
        }
    }

    fn take_turn(&mut self, stream: &ClientStream, length: usize) -> Turn {
        let mut out = std::mem::take(&mut self.out);
        let asked = Asked {
            judge: self.judge(),
            buffered: stream.buffered(),
            length,
        };
        let turn = asked.take(&mut out);
        self.out = out;
        turn
    }

    /// Reads up to the end of the next head and gives its length. The deadline runs from its first
    /// byte and is one for all of it.
    async fn next_head(&mut self, stream: &mut ClientStream) -> Result<usize, End> {
        let (mut begun, mut deadline) = (false, None);
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
            let read = match (searched, begun) {
                (0, false) => self.wait_for_request(stream).await?,
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
                return Err(End::Quiet(Closing::Client));
            }
            // The deadline's clock is read for a head that does not come in one piece.
            begun = true;
        }
    }

    /// Waits, between requests, for the first bytes of the next one.
    async fn wait_for_request(
        &mut self,
        stream: &mut ClientStream,
    ) -> Result<std::io::Result<usize>, End> {
        let (idle, closing) = match self.requests {
            0 => (self.deadlines.request_header, Closing::NoRequest),
            _ => (self.deadlines.keepalive, Closing::KeepaliveIdle),
        };
        let (since, mut left) = (Instant::now(), idle);
        while !*self.shutdown.borrow() {
            tokio::select! {
                biased;
                read = timeout(left, stream.fill()) => return read.map_err(|_| End::Quiet(closing)),
                _ = self.shutdown.changed() => {}
            }
            if door::is_shut_out(&self.app.gate, self.caller.address) {
                return Err(End::Quiet(Closing::ShutOut));
            }
            left = idle.saturating_sub(since.elapsed());
        }
        let grace = idle.min(DRAIN_GRACE);
        let read = timeout(grace, stream.fill()).await;
        read.map_err(|_| End::Quiet(Closing::Drained))
    }

    /// Hands the request to Pingora's proxy and gives the connection back if it can be used again.
    async fn forward(
        &mut self,
        stream: Box<ClientStream>,
        head: BytesMut,
        exchange: Box<Exchange>,
    ) -> Option<Box<ClientStream>> {
        let mut session = ServerSession::new_http1(stream);
        // The stream has its own, which a part of the response between two of the body does not
        // put off.
        session.set_read_timeout(None);
        session.set_pipelined_prefix(head);
        let proxied = self.app.proxy.process_new_http(session, &self.shutdown);
        let (stream, _) = exchange.carried_by(proxied).await?.consume();
        let mut stream = stream.into_any().downcast::<ClientStream>().ok()?;
        stream.end_body().then_some(stream)
    }

    async fn end(&mut self, stream: Box<ClientStream>, end: End) -> Closing {
        let reply = match end {
            End::Quiet(closing) => {
                self.leave(stream).await;
                return closing;
            }
            End::Head(error) => self.judge().refuse_head(error),
            End::Late => self.judge().refuse_unread(Reason::HeadTimeout),
        };
        reply.write_http1(Persistence::Close, true, &mut self.out);
        let closed = self.close(stream).await;
        closed.map_or_else(|error| unsent(&error), |()| Closing::Request)
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
    async fn close(&mut self, mut stream: Box<ClientStream>) -> std::io::Result<()> {
        stream.linger_at_end();
        self.send(&mut stream).await?;
        // It ends either way.
        let _ = stream.shutdown().await;
        Ok(())
    }
}
