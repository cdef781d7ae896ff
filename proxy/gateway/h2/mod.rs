//! A client's connection over HTTP/2 (RFC 9113): every stream is a request to the limiter, and the
//! connection ends when it is idle, misused or told to.

mod active;
mod connection;
mod frames;
mod hooks;
mod session;
mod watched;

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::header::{COOKIE, HOST, HeaderValue, TE};
use http::request::Parts;
use http::{Request, Uri};
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use pingora_http::RequestHeader;

use super::app::ConnectionApp;
use super::exchange::Exchange;
use super::judgement::Judge;
use super::paced::PacedStream;
use crate::account::Closing;
use crate::door::Guard;
use crate::head::{MAX_FIELDS, from_http2};
use crate::identity::Caller;
use crate::refuse::Reply;
use active::Active;
use connection::Greeted;
use session::{Asked, StreamSession};

/// What a connection has beside its frames.
pub(super) struct Http2 {
    pub(super) app: Arc<ConnectionApp>,
    pub(super) caller: Caller,
    /// Its places at the door, given back when its last stream has ended.
    pub(super) guard: Arc<Guard>,
    pub(super) shutdown: ShutdownWatch,
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

impl Http2 {
    /// Serves the connection to its end and says how it came.
    pub(super) async fn serve(self, stream: PacedStream) -> Closing {
        match Greeted::greet(self, stream).await {
            Ok(connection) => connection.run().await,
            Err(closing) => closing,
        }
    }

    /// Whether the requests are those of many clients.
    fn speaks_for_others(&self) -> bool {
        let policy = self.app.gate.policy.load();
        policy.client.speaks_for_others(self.caller.address)
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
    // It is about this hop alone.
    parts.headers.remove(TE);
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
