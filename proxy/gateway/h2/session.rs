//! One stream of an HTTP/2 connection, as Pingora's proxy sees it.
//!
//! Pingora has a session of its own for HTTP/2. It reads bodies without a deadline and writes them
//! without a minimum rate, and takes nothing along from the verdict, so the gate has this one, over
//! the same `h2` crate.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method, Response};
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::date::get_cached_date;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};

use super::super::exchange::Exchange;
use super::super::pace::{Limits, Pace};
use super::super::paced::Overdue;

/// Bytes of a body that are kept for a second try on another connection, as Pingora does.
pub(super) const MAX_RETRY: usize = 64 * 1024;

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
    pub(super) request: RequestHeader,
    pub(super) body: RecvStream,
    respond: SendResponse<Bytes>,
    writer: Option<SendStream<Bytes>>,
    pub(super) response: Option<Box<ResponseHeader>>,
    /// Whether the response is whole.
    ended: bool,
    max_body: u64,
    pub(super) received: usize,
    pub(super) sent: usize,
    /// What was read of the body, while it is short; `None` when nobody asked.
    pub(super) retry: Option<BytesMut>,
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

    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        let data = loop {
            match self.body.poll_data(cx) {
                // Pingora writes an empty part as the last chunk, and then the last chunk again, which
                // the app would take for the next request.
                Poll::Ready(Some(Ok(data))) if data.is_empty() => {}
                data => break data,
            }
        };
        let Poll::Ready(data) = data else {
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

    pub(super) async fn send(&mut self, mut data: Bytes, end: bool) -> Result<()> {
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

    pub(super) fn send_header(&mut self, mut header: Box<ResponseHeader>, end: bool) -> Result<()> {
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

    pub(super) async fn send_task(&mut self, task: HttpTask) -> Result<bool> {
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

    pub(super) fn send_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
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
    pub(super) fn end(&mut self) -> Result<()> {
        match self.writer.is_some() && !self.ended {
            true => self.send_part(Bytes::new(), true),
            false => Ok(()),
        }
    }

    /// Tells the client that this response will not be whole.
    pub(super) fn reset(&mut self) {
        if !self.ended {
            self.respond.send_reset(Reason::INTERNAL_ERROR);
            self.ended = true;
        }
    }

    /// Waits until the client cancels.
    pub(super) fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason>> {
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

pub(super) fn downstream(
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

impl fmt::Debug for StreamSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSession")
            .field("received", &self.received)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}
