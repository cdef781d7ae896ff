//! The connection beside its streams: what a client says first, what comes next, and how it ends.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use pingora_timeout::timeout;

use super::super::connection::DRAIN_GRACE;
use super::super::pace::Limits;
use super::super::paced::PacedStream;
use super::active::Active;
use super::frames::Abuse;
use super::watched::{Watch, Watched};
use super::{Http2, Taken};
use crate::account::Closing;
use crate::door;
use crate::head::MAX_HEAD;

/// Streams of one connection at a time, as most servers allow (RFC 9113 section 6.5.2 advises no
/// fewer).
const MAX_STREAMS: u32 = 100;
/// Bytes of a request's body that a stream, and a connection, may send before some are taken: what
/// a client can make the gate hold.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// Bytes of a response that wait for a stream's turn to be written.
const SEND_BUFFER: usize = 64 * 1024;
/// Bytes of a request's fields that the `h2` crate lets through: more than the gate does, which then
/// says so and counts it.
const MAX_FIELD_BYTES: u32 = 2 * MAX_HEAD as u32;
/// Streams that were ended and are still remembered, so that their late frames are no errors: a
/// client may have sent parts of every body that is refused.
const MAX_RESET_STREAMS: usize = MAX_STREAMS as usize;
/// Streams that a client may cancel before the accept loop saw them: more than
/// [`frames`](super::frames) lets it cancel at once, so that a page that is left is no attack.
const MAX_UNSEEN_RESETS: usize = 128;
/// Errors of a client's streams after which its connection ends (CVE-2025-8671, "MadeYouReset").
const MAX_STREAM_ERRORS: usize = 50;
/// Requests of a connection that were malformed until it ends.
const MAX_MALFORMED: u32 = 32;
/// How long a connection that was told to end may take to be told.
const GOODBYE: Duration = Duration::from_millis(300);
/// How long the next request may have been on its way when an idle connection was told to end.
const CROSSING: Duration = Duration::from_millis(300);

/// What comes next on a connection.
#[expect(clippy::large_enum_variant, reason = "made to be taken apart at once")]
enum Event {
    Request(Request<RecvStream>, SendResponse<Bytes>),
    /// The mode has changed, or the gate goes down.
    Told,
    Idle,
    Abuse(Abuse),
    /// It broke, or was closed by the client.
    Over(Closing),
}

/// A connection that has begun.
pub(super) struct Greeted {
    of: Http2,
    frames: Connection<Watched, Bytes>,
    watch: Arc<Watch>,
    active: Arc<Active>,
    requests: u32,
    malformed: u32,
    /// Requests that came after the client was told to go.
    late: u32,
    /// Why, and until when, the connection ends behind the streams that it has.
    leaving: Option<(Closing, Instant)>,
}

fn options() -> Builder {
    let mut options = Builder::new();
    options
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_FIELD_BYTES)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(MAX_RESET_STREAMS)
        .max_pending_accept_reset_streams(MAX_UNSEEN_RESETS)
        .max_local_error_reset_streams(Some(MAX_STREAM_ERRORS));
    options
}

impl Greeted {
    /// Waits for what a client says first.
    ///
    /// # Errors
    /// How the connection ended instead.
    pub(super) async fn greet(of: Http2, mut stream: PacedStream) -> Result<Self, Closing> {
        let deadlines = of.app.gate.policy.load().deadlines.clone();
        stream.begin(Limits::receiving(&deadlines), Limits::sending(&deadlines));
        let watch = Arc::new(Watch::default());
        let watched = Watched::new(stream, watch.clone(), deadlines.request_header);
        let greeting = options().handshake(watched);
        match timeout(deadlines.request_header, greeting).await {
            Ok(Ok(frames)) => Ok(Greeted {
                of,
                frames,
                watch,
                active: Active::new(),
                requests: 0,
                malformed: 0,
                late: 0,
                leaving: None,
            }),
            Ok(Err(error)) => Err(closing_of_error(&error)),
            Err(_) => Err(Closing::NoRequest),
        }
    }

    /// Serves the connection to its end and says how it came.
    pub(super) async fn run(mut self) -> Closing {
        loop {
            let event = self.next().await;
            if let Some(closing) = self.meet(event) {
                // What was said to the client gets a moment to reach it. It ends either way.
                let told = poll_fn(|cx| self.frames.poll_closed(cx));
                let _ = timeout(GOODBYE, told).await;
                return self.leaving.map_or(closing, |(why, _)| why);
            }
        }
    }

    /// Waits for what comes next.
    async fn next(&mut self) -> Event {
        let shutdown = &mut self.of.shutdown;
        let leaving = self.leaving.is_some();
        let idle = match self.leaving {
            // A client that goes on asking must not put its end off.
            Some((_, until)) if self.active.is_idle() && Instant::now() >= until => {
                return Event::Idle;
            }
            Some((_, until)) => until.saturating_duration_since(Instant::now()),
            None if *shutdown.borrow() => return Event::Told,
            None => {
                let deadlines = &self.of.app.gate.policy.load().deadlines;
                match self.requests {
                    0 => deadlines.request_header,
                    _ => deadlines.keepalive,
                }
            }
        };
        // Set by the poll of the connection, which comes before in the same turn.
        let abuse = poll_fn(|_| self.watch.abuse().map_or(Poll::Pending, Poll::Ready));
        tokio::select! {
            biased;
            _ = shutdown.changed(), if !leaving => Event::Told,
            accepted = self.frames.accept() => match accepted {
                Some(Ok((request, respond))) => Event::Request(request, respond),
                Some(Err(error)) => Event::Over(closing_of_error(&error)),
                None => Event::Over(Closing::Client),
            },
            abuse = abuse => Event::Abuse(abuse),
            () = self.active.idle_for(idle) => Event::Idle,
        }
    }

    /// Does what an event asks for, and says how the connection ends if it does.
    fn meet(&mut self, event: Event) -> Option<Closing> {
        match event {
            Event::Request(request, respond) => self.request(request, respond),
            Event::Told => self.look(),
            // A request may be on its way while the client is told.
            Event::Idle => match (self.leaving, self.requests) {
                (Some((why, _)), _) => Some(why),
                (None, 0) => {
                    self.frames.graceful_shutdown();
                    Some(Closing::NoRequest)
                }
                (None, _) => self.leave_within(Closing::KeepaliveIdle, CROSSING),
            },
            Event::Abuse(abuse) => Some(self.expel(closing_of(abuse))),
            Event::Over(closing) => Some(closing),
        }
    }

    fn request(
        &mut self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) -> Option<Closing> {
        if let Some((why, until)) = self.leaving {
            self.late += 1;
            if self.late > MAX_STREAMS {
                return Some(self.expel(why));
            }
            if Instant::now() >= until {
                // Nothing was done, so it may ask elsewhere (RFC 9113 section 8.7).
                respond.send_reset(Reason::REFUSED_STREAM);
                return None;
            }
        }
        self.requests += 1;
        self.watch.surfaced();
        let most = self.of.app.gate.policy.load().requests_per_connection;
        match self.of.take(request, respond, &self.active) {
            Taken::Malformed => self.malformed += 1,
            Taken::Ending => return self.leave(Closing::Request),
            Taken::Served => {}
        }
        // Behind a trusted proxy the next request is somebody else's.
        if self.malformed > MAX_MALFORMED && !self.of.speaks_for_others() {
            return Some(self.expel(Closing::Http2Malformed));
        }
        match self.requests >= most.get() {
            true => self.leave(Closing::RequestsLimit),
            false => None,
        }
    }

    /// Looks whether the connection may stay.
    fn look(&mut self) -> Option<Closing> {
        if *self.of.shutdown.borrow() {
            return self.leave(Closing::Drained);
        }
        match door::is_shut_out(&self.of.app.gate, self.of.caller.address) {
            true => self.leave(Closing::ShutOut),
            false => None,
        }
    }

    /// Tells the client that the connection ends behind the streams that it has begun.
    fn leave(&mut self, why: Closing) -> Option<Closing> {
        self.leave_within(why, DRAIN_GRACE)
    }

    fn leave_within(&mut self, why: Closing, grace: Duration) -> Option<Closing> {
        if self.leaving.is_none() {
            self.frames.graceful_shutdown();
            self.leaving = Some((why, Instant::now() + grace));
        }
        None
    }

    /// Tells the client that it has gone too far.
    fn expel(&mut self, why: Closing) -> Closing {
        self.frames.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        self.leaving = None;
        why
    }
}

fn closing_of(abuse: Abuse) -> Closing {
    match abuse {
        Abuse::Frames => Closing::Http2Frames,
        Abuse::Resets => Closing::Http2Resets,
        Abuse::HeaderBlock => Closing::Http2HeaderBlock,
        Abuse::Malformed => Closing::Http2Malformed,
    }
}

/// Why a connection ends that the `h2` crate has ended.
fn closing_of_error(error: &h2::Error) -> Closing {
    match error.get_io().map(io::Error::kind) {
        // The crate keeps no more of an error than this, and only writes have a deadline below it.
        Some(io::ErrorKind::TimedOut) => Closing::NotReading,
        Some(_) => Closing::Client,
        None if !error.is_library() => Closing::Client,
        None if error.reason() == Some(Reason::ENHANCE_YOUR_CALM) => Closing::Http2Frames,
        None => Closing::Http2Malformed,
    }
}
