//! A client's connection over HTTP/2 (RFC 9113): every stream is a request to the limiter, and the
//! connection ends when it is idle, misused or told to.

mod active;
mod frames;
mod session;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::header::{COOKIE, HOST, HeaderValue};
use http::request::Parts;
use http::{Request, Uri};
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use pingora_http::RequestHeader;
use pingora_timeout::timeout;

use super::app::ConnectionApp;
use super::connection::DRAIN_GRACE;
use super::exchange::Exchange;
use super::judgement::Judge;
use super::pace::Limits;
use super::paced::{Overdue, PacedStream};
use crate::account::Closing;
use crate::door::Guard;
use crate::head::{MAX_FIELDS, MAX_HEAD, from_http2};
use crate::identity::Caller;
use crate::refuse::Reply;
use active::Active;
use frames::{Abuse, Watch, Watched};
use session::{Asked, StreamSession};

/// Streams of one connection at a time, as most servers allow (RFC 9113 section 6.5.2 advises no
/// fewer).
const MAX_STREAMS: u32 = 100;
/// Bytes of a request's body that a stream, and a connection, may send before some are taken: what
/// a client can make the gate hold.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// Bytes of a response that wait for a stream's turn to be written.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that were ended and are still remembered, so that their late frames are no errors.
const MAX_RESET_STREAMS: usize = 20;
/// Errors of a client's streams after which its connection ends (CVE-2025-8671, "MadeYouReset").
const MAX_STREAM_ERRORS: usize = 50;
/// Requests of a connection that were malformed until it ends.
const MAX_MALFORMED: u32 = 32;
/// How long a connection that was told to end may take to be told.
const GOODBYE: Duration = Duration::from_millis(500);

/// What a connection has beside its frames.
pub(super) struct Http2 {
    pub(super) app: Arc<ConnectionApp>,
    pub(super) caller: Caller,
    /// Its places at the door, given back when its last stream has ended.
    pub(super) guard: Arc<Guard>,
    pub(super) shutdown: ShutdownWatch,
}

/// What comes next on a connection.
#[expect(clippy::large_enum_variant, reason = "made to be taken apart at once")]
enum Event {
    Request(Request<RecvStream>, SendResponse<Bytes>),
    Shutdown,
    Idle,
    Abuse(Abuse),
    /// It broke, or was closed by the client.
    Over(Closing),
}

/// What became of a request when it was taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// It was forwarded, or refused alone.
    Served,
    /// It was refused, and the connection with it.
    Ending,
    Malformed,
}

fn options() -> Builder {
    let mut options = Builder::new();
    options
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD as u32)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(Some(MAX_STREAM_ERRORS));
    options
}

impl Http2 {
    /// Serves the connection to its end and says how it came.
    pub(super) async fn serve(self, stream: PacedStream) -> Closing {
        match self.greet(stream).await {
            Ok(connection) => connection.run().await,
            Err(closing) => closing,
        }
    }

    /// Waits for what a client says first.
    async fn greet(self, mut stream: PacedStream) -> Result<Greeted, Closing> {
        let deadlines = self.app.gate.policy.load().deadlines.clone();
        stream.begin(Limits::receiving(&deadlines), Limits::sending(&deadlines));
        let watch = Arc::new(Watch::default());
        let watched = Watched::new(stream, watch.clone(), deadlines.request_header);
        let greeting = options().handshake(watched);
        match timeout(deadlines.request_header, greeting).await {
            Ok(Ok(frames)) => Ok(Greeted {
                of: self,
                frames,
                watch,
                active: Active::new(),
                requests: 0,
                malformed: 0,
                leaving: None,
            }),
            Ok(Err(_)) => Err(Closing::Client),
            Err(_) => Err(Closing::NoRequest),
        }
    }

    /// Judges one request.
    fn take(
        &self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        active: &Arc<Active>,
    ) -> Taken {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let mut space = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let judge = Judge {
            gate: &self.app.gate,
            caller: &self.caller,
            last: false,
            stream: true,
        };
        let judged = match from_http2(&parts, body.is_end_stream(), &mut space) {
            Ok(head) => judge.judge(&head, started, |reply, ends| {
                refuse(reply, head.method == "HEAD", &mut respond);
                ends
            }),
            Err(error) => {
                refuse(&judge.refuse_head(error), false, &mut respond);
                return Taken::Malformed;
            }
        };
        match judged {
            Ok(exchange) => {
                self.forward(parts, body, respond, exchange, active);
                Taken::Served
            }
            Err(true) => Taken::Ending,
            Err(false) => Taken::Served,
        }
    }

    /// Hands the request to Pingora's proxy, in a task of its own.
    fn forward(
        &self,
        parts: Parts,
        body: RecvStream,
        respond: SendResponse<Bytes>,
        exchange: Box<Exchange>,
        active: &Arc<Active>,
    ) {
        let session = StreamSession::new(as_http1(parts), body, respond, Asked::of(&exchange));
        let session = ServerSession::new_custom(Box::new(session));
        let proxy = self.app.proxy.clone();
        let shutdown = self.shutdown.clone();
        let held = (self.guard.clone(), active.begin());
        tokio::spawn(async move {
            let request = pin!(proxy.process_new_http(session, &shutdown));
            exchange.carried_by(request).await;
            drop(held);
        });
    }
}

/// A connection that has begun.
struct Greeted {
    of: Http2,
    frames: Connection<Watched, Bytes>,
    watch: Arc<Watch>,
    active: Arc<Active>,
    requests: u32,
    malformed: u32,
    /// Why the client was told that the connection ends.
    leaving: Option<Closing>,
}

impl Greeted {
    async fn run(mut self) -> Closing {
        loop {
            let event = self.next().await;
            if let Some(closing) = self.meet(event) {
                // What was said to the client gets a moment to reach it. It ends either way.
                let told = poll_fn(|cx| self.frames.poll_closed(cx));
                let _ = timeout(GOODBYE, told).await;
                return self.leaving.unwrap_or(closing);
            }
        }
    }

    /// Waits for what comes next.
    async fn next(&mut self) -> Event {
        let shutdown = &mut self.of.shutdown;
        let leaving = self.leaving.is_some();
        if *shutdown.borrow() && !leaving {
            return Event::Shutdown;
        }
        let deadlines = self.of.app.gate.policy.load().deadlines.clone();
        let idle = match self.requests {
            _ if leaving => DRAIN_GRACE,
            0 => deadlines.request_header,
            _ => deadlines.keepalive,
        };
        // Set by the poll of the connection, which comes before in the same turn.
        let abuse = poll_fn(|_| self.watch.abuse().map_or(Poll::Pending, Poll::Ready));
        tokio::select! {
            biased;
            _ = shutdown.changed(), if !leaving => Event::Shutdown,
            accepted = self.frames.accept() => match accepted {
                Some(Ok((request, respond))) => Event::Request(request, respond),
                Some(Err(error)) => Event::Over(unsent(&error)),
                None => Event::Over(Closing::Client),
            },
            abuse = abuse => Event::Abuse(abuse),
            () = self.active.idle_for(idle) => Event::Idle,
        }
    }

    /// Does what an event asks for, and says how the connection ends if it does.
    fn meet(&mut self, event: Event) -> Option<Closing> {
        match event {
            Event::Request(request, respond) => return self.request(request, respond),
            Event::Shutdown => self.leave(Closing::Drained),
            Event::Idle => {
                self.frames.graceful_shutdown();
                return Some(match self.requests {
                    0 => Closing::NoRequest,
                    _ => Closing::KeepaliveIdle,
                });
            }
            Event::Abuse(abuse) => return Some(self.expel(closing_of(abuse))),
            Event::Over(closing) => return Some(closing),
        }
        None
    }

    fn request(
        &mut self,
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
    ) -> Option<Closing> {
        self.requests += 1;
        let most = self.of.app.gate.policy.load().requests_per_connection;
        match self.of.take(request, respond, &self.active) {
            Taken::Malformed => self.malformed += 1,
            Taken::Ending => self.leave(Closing::Request),
            Taken::Served => {}
        }
        if self.requests >= most.get() {
            self.leave(Closing::RequestsLimit);
        }
        (self.malformed > MAX_MALFORMED).then(|| self.expel(Closing::Http2Malformed))
    }

    /// Tells the client that the connection ends behind the streams that it has begun.
    fn leave(&mut self, why: Closing) {
        if self.leaving.is_none() {
            self.frames.graceful_shutdown();
            self.leaving = Some(why);
        }
    }

    /// Tells the client that it has gone too far.
    fn expel(&mut self, why: Closing) -> Closing {
        self.frames.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        self.leaving = Some(why);
        why
    }
}

fn unsent(error: &h2::Error) -> Closing {
    match error.get_io().and_then(Overdue::of) {
        Some(_) => Closing::NotReading,
        None => Closing::Client,
    }
}

fn closing_of(abuse: Abuse) -> Closing {
    match abuse {
        Abuse::Frames => Closing::Http2Frames,
        Abuse::Resets => Closing::Http2Resets,
        Abuse::HeaderBlock => Closing::Http2HeaderBlock,
    }
}

/// Answers a request that goes no further. What was not read of its body is not waited for.
fn refuse(reply: &Reply, bodiless: bool, respond: &mut SendResponse<Bytes>) {
    let Ok((header, body)) = reply.to_pingora() else {
        return respond.send_reset(Reason::INTERNAL_ERROR);
    };
    let response = http::Response::from_parts(header.as_owned_parts(), ());
    // The client is gone when this fails.
    if let Ok(mut writer) = respond.send_response(response, bodiless)
        && !bodiless
    {
        let _ = writer.send_data(body, true);
    }
}

/// The request as the hooks and an app of HTTP/1.1 see it: with a `Host`, a target in origin form,
/// and one `Cookie` (RFC 9113 section 8.2.3).
fn as_http1(mut parts: Parts) -> RequestHeader {
    if let Some(authority) = parts.uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        parts.headers.insert(HOST, host);
    }
    if parts.headers.get_all(COOKIE).iter().nth(1).is_some() {
        let crumbs: Vec<&[u8]> = parts
            .headers
            .get_all(COOKIE)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
            parts.headers.insert(COOKIE, cookie);
        }
    }
    let target = parts.uri.path_and_query().cloned();
    parts.uri = target.map_or_else(Uri::default, Uri::from);
    RequestHeader::from(parts)
}
