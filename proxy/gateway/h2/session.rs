//! One stream of an HTTP/2 connection, as Pingora's proxy sees it.
//!
//! Pingora has a session of its own for HTTP/2. It reads bodies without a deadline and writes them
//! without a minimum rate, and takes nothing along from the verdict, so the gate has this one, over
//! the same `h2` crate.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method, Response};
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::custom::CustomMessageWrite;
use pingora_core::protocols::http::custom::server::Session;
use pingora_core::protocols::http::date::get_cached_date;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};

use super::super::exchange::Exchange;
use super::super::pace::{Limits, Pace};
use super::super::paced::Overdue;

/// Bytes of a body that are kept for a second try on another connection, as Pingora does.
const MAX_RETRY: usize = 64 * 1024;

/// Fields of one hop alone, which HTTP/2 does not have (RFC 9113 section 8.2.2).
const OF_ONE_HOP: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// A request, and the way its response goes.
pub(super) struct StreamSession {
    request: RequestHeader,
    body: RecvStream,
    respond: SendResponse<Bytes>,
    writer: Option<SendStream<Bytes>>,
    response: Option<Box<ResponseHeader>>,
    /// Whether the response is whole.
    ended: bool,
    max_body: u64,
    received: usize,
    sent: usize,
    /// What was read of the body, while it is short; `None` when nobody asked.
    retry: Option<BytesMut>,
    reading: Pace,
    writing: Pace,
}

/// What is asked of a stream's client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Of the request's body.
    pub(super) reading: Limits,
    /// Of the response.
    pub(super) writing: Limits,
    /// Bytes that the request's body may have.
    pub(super) max_body: u64,
}

impl Asked {
    /// What the rules that an exchange was judged by ask.
    pub(super) fn of(exchange: &Exchange) -> Self {
        let deadlines = &exchange.deadlines;
        Asked {
            reading: Limits::receiving(deadlines),
            writing: Limits::sending(deadlines),
            max_body: exchange.max_body,
        }
    }
}

impl StreamSession {
    pub(super) fn new(
        request: RequestHeader,
        body: RecvStream,
        respond: SendResponse<Bytes>,
        asked: Asked,
    ) -> Self {
        StreamSession {
            request,
            body,
            respond,
            writer: None,
            response: None,
            ended: false,
            max_body: asked.max_body,
            received: 0,
            sent: 0,
            retry: None,
            reading: Pace::new(asked.reading),
            writing: Pace::new(asked.writing),
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        let Poll::Ready(data) = self.body.poll_data(cx) else {
            let received = self.received as u64;
            let fault = ready!(self.reading.poll_fault(cx, || received));
            let overdue = io::Error::from(Overdue::receiving(fault));
            return Poll::Ready(Err(downstream(ErrorType::ReadTimedout, overdue)));
        };
        self.reading.progress();
        let data = data.transpose();
        let data = data.map_err(unread)?;
        if let Some(data) = &data {
            self.received += data.len();
            if self.received as u64 > self.max_body {
                let overrun = io::Error::from(io::ErrorKind::FileTooLarge);
                return Poll::Ready(Err(downstream(ErrorType::ReadError, overrun)));
            }
            self.keep(data);
            // The stream is gone when this fails, which the next read tells.
            let _ = self.body.flow_control().release_capacity(data.len());
        }
        Poll::Ready(Ok(data))
    }

    fn keep(&mut self, data: &Bytes) {
        if let Some(kept) = &mut self.retry
            && self.received <= MAX_RETRY
        {
            kept.extend_from_slice(data);
        }
    }

    /// Waits until the client takes more, and says how much.
    fn poll_capacity(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize>> {
        let Some(writer) = &mut self.writer else {
            return Poll::Ready(Err(unsent()));
        };
        let Poll::Ready(capacity) = writer.poll_capacity(cx) else {
            let sent = self.sent as u64;
            let fault = ready!(self.writing.poll_fault(cx, || sent));
            let overdue = io::Error::from(Overdue::sending(fault));
            return Poll::Ready(Err(downstream(ErrorType::WriteTimedout, overdue)));
        };
        self.writing.progress();
        Poll::Ready(match capacity {
            Some(Ok(capacity)) => Ok(capacity),
            Some(Err(error)) => Err(downstream(ErrorType::WriteError, error)),
            None => Err(downstream(ErrorType::WriteError, "the client cancelled")),
        })
    }

    async fn send(&mut self, mut data: Bytes, end: bool) -> Result<()> {
        if self.request.method == Method::HEAD {
            // RFC 9110 section 9.3.2.
            data.clear();
        }
        while !data.is_empty() {
            let Some(writer) = &mut self.writer else {
                return Err(unsent());
            };
            writer.reserve_capacity(data.len());
            let capacity = poll_fn(|cx| self.poll_capacity(cx)).await?;
            if capacity == 0 {
                continue;
            }
            let part = data.split_to(capacity.min(data.len()));
            let length = part.len();
            self.send_part(part, end && data.is_empty())?;
            self.sent += length;
        }
        if end && !self.ended {
            self.send_part(Bytes::new(), true)?;
        }
        Ok(())
    }

    fn send_part(&mut self, part: Bytes, end: bool) -> Result<()> {
        let writer = self.writer.as_mut().ok_or_else(unsent)?;
        let sent = writer.send_data(part, end);
        sent.map_err(|error| downstream(ErrorType::WriteError, error))?;
        self.ended |= end;
        Ok(())
    }

    fn send_header(&mut self, mut header: Box<ResponseHeader>, end: bool) -> Result<()> {
        if self.ended || self.response.is_some() {
            return Ok(());
        }
        for name in &OF_ONE_HOP {
            header.remove_header(name);
        }
        if header.status.is_informational() {
            let sent = self.respond.send_informational(message(&header));
            return sent.map_err(|error| downstream(ErrorType::WriteError, error));
        }
        header.insert_header(http::header::DATE, get_cached_date())?;
        let writer = self.respond.send_response(message(&header), end);
        let writer = writer.map_err(|error| downstream(ErrorType::WriteError, error))?;
        self.writer = Some(writer);
        self.response = Some(header);
        self.ended |= end;
        Ok(())
    }

    async fn send_task(&mut self, task: HttpTask) -> Result<bool> {
        match task {
            HttpTask::Header(header, end) => {
                self.send_header(header, end)?;
                Ok(end)
            }
            HttpTask::Body(data, end) => {
                self.send(data.unwrap_or_default(), end).await?;
                Ok(end)
            }
            HttpTask::Trailer(trailers) => {
                if let Some(trailers) = trailers {
                    self.send_trailers(*trailers)?;
                }
                Ok(true)
            }
            HttpTask::Done => Ok(true),
            HttpTask::Failed(error) => Err(error),
            HttpTask::UpgradedBody(..) => Error::e_explain(
                ErrorType::InternalError,
                "a tunnel over HTTP/2, which was not asked for",
            ),
        }
    }

    fn send_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        let writer = self.writer.as_mut().ok_or_else(unsent)?;
        let sent = writer.send_trailers(trailers);
        sent.map_err(|error| downstream(ErrorType::WriteError, error))?;
        self.ended = true;
        Ok(())
    }

    /// Ends a response of which the header was sent.
    fn end(&mut self) -> Result<()> {
        match self.writer.is_some() && !self.ended {
            true => self.send_part(Bytes::new(), true),
            false => Ok(()),
        }
    }

    /// Tells the client that this response will not be whole.
    fn reset(&mut self) {
        if !self.ended {
            self.respond.send_reset(Reason::INTERNAL_ERROR);
            self.ended = true;
        }
    }

    /// Waits until the client cancels.
    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason>> {
        let reset = match &mut self.writer {
            Some(writer) => writer.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        reset.map_err(|error| downstream(ErrorType::H2Error, error))
    }
}

fn message(header: &ResponseHeader) -> Response<()> {
    Response::from_parts(header.as_owned_parts(), ())
}

fn downstream(
    kind: ErrorType,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Box<Error> {
    Error::because(kind, "over HTTP/2", cause).into_down()
}

/// Why a body did not come whole: the client's frames contradict it, or the client went.
fn unread(error: h2::Error) -> Box<Error> {
    match error.is_reset() && error.is_library() {
        true => downstream(
            ErrorType::ReadError,
            io::Error::from(io::ErrorKind::InvalidData),
        ),
        false => downstream(ErrorType::ReadError, error),
    }
}

fn unsent() -> Box<Error> {
    Error::explain(ErrorType::InternalError, "a body before its header")
}

#[async_trait]
impl Session for StreamSession {
    fn req_header(&self) -> &RequestHeader {
        &self.request
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        &mut self.request
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        poll_fn(|cx| self.poll_body(cx)).await
    }

    /// What was not read is dropped with the stream.
    async fn drain_request_body(&mut self) -> Result<()> {
        Ok(())
    }

    async fn write_response_header(&mut self, resp: Box<ResponseHeader>, end: bool) -> Result<()> {
        self.send_header(resp, end)
    }

    async fn write_response_header_ref(&mut self, resp: &ResponseHeader, end: bool) -> Result<()> {
        self.send_header(Box::new(resp.clone()), end)
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.send(data, end).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.send_trailers(trailers)
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let mut end = false;
        for task in tasks {
            end |= self.send_task(task).await?;
        }
        if end {
            self.end()?;
        }
        Ok(end)
    }

    // The deadlines are the stream's own: see `Asked`.
    fn set_read_timeout(&mut self, _: Option<Duration>) {}

    fn get_read_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) {}

    fn get_write_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_total_drain_timeout(&mut self, _: Option<Duration>) {}

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        None
    }

    fn request_summary(&self) -> String {
        format!("{} {}", self.request.method, self.request.uri.path())
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.response.as_deref()
    }

    async fn shutdown(&mut self, _code: u32, _ctx: &str) {
        self.reset();
    }

    fn is_body_done(&mut self) -> bool {
        self.body.is_end_stream()
    }

    async fn finish(&mut self) -> Result<()> {
        self.end()
    }

    fn is_body_empty(&mut self) -> bool {
        self.received == 0 && self.body.is_end_stream()
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if !no_body_expected && !self.body.is_end_stream() {
            return self.read_body_bytes().await;
        }
        let reason = poll_fn(|cx| self.poll_cancelled(cx)).await?;
        Err(downstream(
            ErrorType::H2Error,
            format!("the client cancelled: {reason}"),
        ))
    }

    fn body_bytes_sent(&self) -> usize {
        self.sent
    }

    fn body_bytes_read(&self) -> usize {
        self.received
    }

    fn digest(&self) -> Option<&Digest> {
        None
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        None
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        None
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        None
    }

    /// For sub-requests, of which there are none.
    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        Bytes::new()
    }

    fn enable_retry_buffering(&mut self) {
        self.retry.get_or_insert_default();
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.retry.is_some() && self.received > MAX_RETRY
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        let kept = self.retry.as_ref()?;
        let whole = !kept.is_empty() && !self.retry_buffer_truncated();
        whole.then(|| Bytes::copy_from_slice(kept))
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(
        &mut self,
    ) -> Option<Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>> {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _: Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>,
    ) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}

impl fmt::Debug for StreamSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSession")
            .field("received", &self.received)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}
