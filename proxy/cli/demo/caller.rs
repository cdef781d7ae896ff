//! One connection to the gate, kept, and made anew when it is gone.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{COOKIE, HeaderValue, SET_COOKIE};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;

use super::source::Origin;

/// After this, an answer is none: nobody looks at a page for longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends one request at a time from one address.
pub(super) struct Caller {
    gate: SocketAddr,
    origin: Origin,
    address: Ipv4Addr,
    connection: Option<SendRequest<Empty<Bytes>>>,
    /// What it was given to show again.
    cookie: Option<HeaderValue>,
}

impl Caller {
    pub(super) fn new(gate: SocketAddr, origin: Origin, address: Ipv4Addr) -> Self {
        Caller {
            gate,
            origin,
            address,
            connection: None,
            cookie: None,
        }
    }

    /// The same person at another address, with what they were given at the one before.
    pub(super) fn moved_to(self, address: Ipv4Addr) -> Self {
        Caller {
            address,
            connection: None,
            ..self
        }
    }

    /// The status of the answer; `None` when there is none.
    pub(super) async fn get(&mut self, path: &'static str) -> Option<StatusCode> {
        let mut connection = self.connection.take();
        let asked = tokio::time::timeout(PATIENCE, self.ask(&mut connection, path));
        let status = asked.await.ok().flatten();
        // A connection whose answer is still due would give it to the next request.
        self.connection = connection.filter(|_| status.is_some());
        status
    }

    async fn ask(
        &mut self,
        connection: &mut Option<SendRequest<Empty<Bytes>>>,
        path: &'static str,
    ) -> Option<StatusCode> {
        let mut sender = match connection.take() {
            Some(kept) if !kept.is_closed() => kept,
            _ => self.connect().await?,
        };
        sender.ready().await.ok()?;
        let mut request = Request::get(path).header("host", "demo");
        if self.origin == Origin::Named {
            request = request.header("x-forwarded-for", self.address.to_string());
        }
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        let request = request.body(Empty::new()).ok()?;
        let response = sender.send_request(request).await.ok()?;
        let status = response.status();
        if let Some(given) = response.headers().get(SET_COOKIE) {
            self.cookie = pair(given);
        }
        response.into_body().collect().await.ok()?;
        *connection = Some(sender);
        Some(status)
    }

    async fn connect(&self) -> Option<SendRequest<Empty<Bytes>>> {
        let stream = self.origin.connect(self.address, self.gate).await.ok()?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        // It ends when its sender is dropped.
        tokio::spawn(connection);
        Some(sender)
    }
}

/// The cookie itself, without what the browser is told about it.
fn pair(given: &HeaderValue) -> Option<HeaderValue> {
    let pair = given.as_bytes().split(|byte| *byte == b';').next()?;
    HeaderValue::from_bytes(pair).ok()
}
