//! Refusals and failures as HTTP: the one place where a reason becomes a status, fields and a body.
//!
//! A refusal has to be cheap, for it is what a flood gets: it is written into the connection's own
//! buffer, without an allocation.

mod text;

use std::time::Duration;

use arrayvec::ArrayVec;
use bytes::{BufMut, Bytes, BytesMut};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use pingora_core::protocols::http::date::get_cached_date;
use pingora_http::ResponseHeader;
use tidegate_limit::Quota;

use crate::reason::Reason;
use crate::verdict::Refusal;

/// What is told to the client, before it is known over which protocol.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'policy> {
    reason: Reason,
    wait: Option<Wait>,
    limit: Option<Counted<'policy>>,
    html: bool,
}

/// When to come back, in whole seconds.
#[derive(Clone, Copy, Debug)]
struct Wait {
    /// Not before this.
    least: u64,
    /// A moment after it that differs from client to client, so that they do not all come back at
    /// once.
    told: u64,
}

impl Wait {
    fn new(wait: Duration) -> Self {
        let least = wait
            .as_secs()
            .saturating_add(u64::from(wait.subsec_nanos() > 0));
        let spread = (least / 2 + 1).min(30);
        Wait {
            least,
            told: least.max(1).saturating_add(fastrand::u64(0..=spread)),
        }
    }
}

/// How the response leaves the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// It stays open, as HTTP/1.1 does unless told.
    KeepAlive,
    /// It stays open, which an HTTP/1.0 client has to be told.
    KeepAliveHttp10,
    /// It closes.
    Close,
}

impl<'policy> Reply<'policy> {
    /// The reply to a refusal. `ratelimit_fields`: whether the client is told its quota.
    pub fn to_refusal(refusal: &Refusal<'policy>, ratelimit_fields: bool, html: bool) -> Self {
        Reply {
            reason: refusal.reason,
            wait: refusal.wait.map(Wait::new),
            limit: refusal.limit.filter(|_| ratelimit_fields),
            html,
        }
    }

    /// The reply to a failure, or to a head that was not understood.
    pub fn to_failure(reason: Reason, html: bool) -> Self {
        let again = matches!(status(reason), StatusCode::SERVICE_UNAVAILABLE);
        Reply {
            reason,
            wait: again.then(|| Wait::new(Duration::from_secs(2))),
            limit: None,
            html,
        }
    }

    /// The status it is sent with.
    pub fn status(&self) -> StatusCode {
        status(self.reason)
    }

    fn content_type(&self) -> &'static str {
        match self.html {
            true => "text/html; charset=utf-8",
            false => "application/problem+json",
        }
    }

    /// Writes the whole response as HTTP/1.1. `body`: whether the body goes with it (not for HEAD).
    pub fn write_http1(&self, persistence: Persistence, body: bool, out: &mut BytesMut) {
        let mut text = ArrayVec::new();
        self.body(&mut text);
        // Room for all of it: a field grows nothing.
        out.reserve(text.len() + 640);
        self.write_fields(text.len(), persistence, out);
        if body {
            out.put_slice(&text);
        }
    }

    fn write_fields(&self, length: usize, persistence: Persistence, out: &mut BytesMut) {
        let status = self.status();
        out.put_slice(b"HTTP/1.1 ");
        out.put_slice(status.as_str().as_bytes());
        out.put_slice(b" ");
        out.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
        out.put_slice(b"\r\nDate: ");
        out.put_slice(get_cached_date().as_bytes());
        out.put_slice(b"\r\nContent-Type: ");
        out.put_slice(self.content_type().as_bytes());
        out.put_slice(b"\r\nContent-Length: ");
        put_number(length as u64, out);
        out.put_slice(b"\r\nCache-Control: no-store");
        if let Some(wait) = self.wait {
            out.put_slice(b"\r\nRetry-After: ");
            put_number(wait.told, out);
        }
        if let Some(limit) = self.limit {
            out.put_slice(b"\r\nRateLimit-Policy: ");
            put_policy(limit, out);
            out.put_slice(b"\r\nRateLimit: ");
            self.put_limit(limit, out);
        }
        out.put_slice(match persistence {
            Persistence::KeepAlive => b"\r\n\r\n".as_slice(),
            Persistence::KeepAliveHttp10 => b"\r\nConnection: keep-alive\r\n\r\n",
            Persistence::Close => b"\r\nConnection: close\r\n\r\n",
        });
    }

    /// `RateLimit`: nothing left, and the seconds until there is.
    fn put_limit(&self, (name, _): Counted, out: &mut impl BufMut) {
        out.put_slice(b"\"");
        out.put_slice(name.as_bytes());
        out.put_slice(b"\";r=0;t=");
        put_number(self.wait.map_or(0, |wait| wait.least), out);
    }

    fn body(&self, out: &mut text::Body) {
        text::write(self.reason, self.status(), self.told(), self.html, out);
    }

    fn told(&self) -> Option<u64> {
        self.wait.map(|wait| wait.told)
    }

    /// The response in parts, for a request that was already handed to Pingora, or came over HTTP/2.
    ///
    /// # Errors
    /// When Pingora cannot build the header, which no input leads to.
    pub fn to_pingora(self) -> pingora_error::Result<(ResponseHeader, Bytes)> {
        let mut text = ArrayVec::new();
        self.body(&mut text);
        let mut header = ResponseHeader::build(self.status(), Some(6))?;
        header.insert_header(CONTENT_TYPE, self.content_type())?;
        header.insert_header(CONTENT_LENGTH, text.len())?;
        header.insert_header(CACHE_CONTROL, "no-store")?;
        if let Some(told) = self.told() {
            header.insert_header(RETRY_AFTER, told)?;
        }
        if let Some(limit) = self.limit {
            let (mut policy, mut left) = (Vec::new(), Vec::new());
            put_policy(limit, &mut policy);
            self.put_limit(limit, &mut left);
            header.insert_header("ratelimit-policy", policy)?;
            header.insert_header("ratelimit", left)?;
        }
        Ok((header, Bytes::copy_from_slice(&text)))
    }
}

/// A limit's name and its quota.
type Counted<'policy> = (&'static str, &'policy Quota);

/// `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers-11: the quota and its window.
fn put_policy((name, quota): Counted, out: &mut impl BufMut) {
    out.put_slice(b"\"");
    out.put_slice(name.as_bytes());
    out.put_slice(b"\";q=");
    put_number(quota.burst().get().into(), out);
    out.put_slice(b";w=");
    put_number(quota.window().as_secs().max(1), out);
}

fn put_number(number: u64, out: &mut impl BufMut) {
    out.put_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Whether the client is a browser that shows pages to a person.
/// `accept`: the values of its `Accept`.
pub fn wants_html<'head>(accept: impl IntoIterator<Item = &'head [u8]>) -> bool {
    accept.into_iter().any(|value| {
        value
            .windows(9)
            .any(|part| part.eq_ignore_ascii_case(b"text/html"))
    })
}

/// The status that tells a client of this reason.
pub fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::ClientRate
        | Reason::PassRate
        | Reason::NetworkRate
        | Reason::TenantRate
        | Reason::TenantInFlight
        | Reason::RouteRate
        | Reason::RouteInFlight
        | Reason::ClientInFlight => StatusCode::TOO_MANY_REQUESTS,
        Reason::UnknownClient | Reason::InFlight | Reason::UpstreamUnresolved | Reason::Drained => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Reason::Blocked => StatusCode::FORBIDDEN,
        Reason::NoRoute => StatusCode::NOT_FOUND,
        Reason::Malformed | Reason::BodyMalformed => StatusCode::BAD_REQUEST,
        Reason::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Reason::TargetTooLong => StatusCode::URI_TOO_LONG,
        Reason::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        Reason::Method => StatusCode::NOT_IMPLEMENTED,
        Reason::BodyTooLarge | Reason::BodyOverrun => StatusCode::PAYLOAD_TOO_LARGE,
        Reason::HeadTimeout
        | Reason::BodyTimeout
        | Reason::BodyTooSlow
        | Reason::ResponseStalled
        | Reason::ResponseTooSlow
        | Reason::ClientGone => StatusCode::REQUEST_TIMEOUT,
        Reason::MaxForwards => StatusCode::OK,
        Reason::UpstreamConnect | Reason::UpstreamBroken => StatusCode::BAD_GATEWAY,
        Reason::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        Reason::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests;
