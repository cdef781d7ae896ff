//! The client's side of an HTTP/1.1 connection: the gate's own buffer and framing around the stream.
//!
//! Pingora's session reads and writes through it while a request is forwarded, and sees exactly
//! that request's body and then nothing: bytes of the next request stay in the buffer here until
//! their turn. That makes pipelining work, and closes the gap that Pingora leaves for a client that
//! sends early ("Sent data after end of body" would end the request before it).

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::pace::Limits;
use super::paced::{Overdue, PacedStream};
use crate::head::{ChunkError, Chunks, Framing};

/// Bytes of later requests that are kept while one is being served. A client that sends more waits
/// in the kernel's buffer.
const MAX_EARLY: usize = 16 * 1024;
/// How much, and for how long, is read from a client that was answered before it had sent all:
/// closing at once would reset the connection and take the answer with it.
const LINGER_BYTES: usize = 64 * 1024;
const LINGER: Duration = Duration::from_millis(500);
/// What one read asks for; also enough for the heads of a browser.
const READ: usize = 4096;

/// What the next bytes from the client are.
enum Expecting {
    /// A request head, read by the gate.
    Head,
    /// This much of a body.
    Length(u64),
    /// A chunked body.
    Chunks(Chunks),
    /// Anything: the connection was upgraded.
    Tunnel,
}

/// A client's connection, between and during its requests.
pub struct ClientStream {
    io: PacedStream,
    buffer: BytesMut,
    expecting: Expecting,
    /// Whether some of what was written may still be in the write buffer below.
    unflushed: bool,
    /// Whether the client was answered before it had sent all.
    unread: bool,
    /// Until when, and how many bytes, are waited for at the end.
    linger: Option<(Pin<Box<Sleep>>, usize)>,
}

impl ClientStream {
    /// Wraps an accepted connection.
    pub fn new(io: PacedStream) -> Self {
        ClientStream {
            io,
            buffer: BytesMut::new(),
            expecting: Expecting::Head,
            unflushed: false,
            unread: false,
            linger: None,
        }
    }

    /// Sets what is asked of the client during its next request, for its body and its response.
    pub fn begin(&mut self, body: Limits, response: Limits) {
        self.io.begin(body, response);
    }

    /// What was read and not yet used.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Drops the first bytes of what was read.
    pub fn skip(&mut self, length: usize) {
        self.buffer.advance(length.min(self.buffer.len()));
    }

    /// Takes the head's bytes and arranges for the body behind it: what Pingora reads from here on
    /// is the body and nothing else.
    /// `most`: bytes that a body may have which does not say its length.
    pub fn begin_body(
        &mut self,
        head: usize,
        framing: Framing,
        most: u64,
        websocket: bool,
    ) -> BytesMut {
        self.expecting = match framing {
            _ if websocket => Expecting::Tunnel,
            Framing::Length(length) => Expecting::Length(length),
            Framing::Chunked => Expecting::Chunks(Chunks::new(most)),
        };
        self.buffer.split_to(head.min(self.buffer.len()))
    }

    /// Ends the body; `false` when some of it is still to come, and the connection has to close.
    pub fn end_body(&mut self) -> bool {
        // A tunnel that Pingora gives back as usable was refused by the upstream, and never was one.
        let done = self.expecting.is_done()
            || matches!(self.expecting, Expecting::Head | Expecting::Tunnel);
        self.expecting = Expecting::Head;
        done
    }

    /// Reads more bytes into the buffer; zero when the client has closed.
    pub async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(READ);
        self.io.read_buf(&mut self.buffer).await
    }

    /// Makes the end of this connection wait for what the client is still sending: it was answered
    /// before it had sent all.
    pub fn linger_at_end(&mut self) {
        self.unread = true;
    }

    /// Reads and drops what is still coming, for a moment. Either way the connection ends then.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (until, left) = self
            .linger
            .get_or_insert_with(|| (Box::pin(sleep(LINGER)), LINGER_BYTES));
        if until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        while *left > 0 {
            let mut space = [0; 1024];
            let mut dropped = ReadBuf::new(&mut space);
            std::task::ready!(Pin::new(&mut self.io).poll_read(cx, &mut dropped))?;
            match dropped.filled().len() {
                0 => break,
                read => *left = left.saturating_sub(read),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the client may still be sending what it was answered for.
    fn is_unread(&self) -> bool {
        match self.expecting {
            Expecting::Head | Expecting::Tunnel => self.unread,
            Expecting::Length(_) | Expecting::Chunks(_) => !self.expecting.is_done(),
        }
    }

    /// Bytes of the body that are already here go first.
    fn serve_buffered(&mut self, out: &mut ReadBuf<'_>) -> io::Result<()> {
        let available = self.buffer.len().min(out.remaining());
        let offered = self.buffer.get(..available).unwrap_or_default();
        let taken = self.expecting.take(offered)?;
        out.put_slice(offered.get(..taken).unwrap_or_default());
        self.buffer.advance(taken);
        Ok(())
    }

    /// Reads straight into Pingora's buffer, and keeps back what is not part of the body.
    fn poll_body(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        // A tunnel is silent for as long as its two ends like.
        std::task::ready!(match self.expecting {
            Expecting::Length(_) | Expecting::Chunks(_) => self.io.poll_due(cx, out),
            Expecting::Head | Expecting::Tunnel => Pin::new(&mut self.io).poll_read(cx, out),
        })?;
        let read = out.filled().get(before..).unwrap_or_default();
        let taken = self.expecting.take(read)?;
        self.buffer
            .extend_from_slice(read.get(taken..).unwrap_or_default());
        out.set_filled(before + taken);
        Poll::Ready(Ok(()))
    }

    /// After the body Pingora reads to learn whether the client is still there. Only the end of the
    /// stream is its business; bytes are the next request's.
    fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.buffer.len() < MAX_EARLY {
            let mut space = [0; 1024];
            let mut early = ReadBuf::new(&mut space);
            std::task::ready!(Pin::new(&mut self.io).poll_read(cx, &mut early))?;
            if early.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.buffer.extend_from_slice(early.filled());
        }
        Poll::Pending
    }
}

impl Expecting {
    fn is_done(&self) -> bool {
        match self {
            Expecting::Length(left) => *left == 0,
            Expecting::Chunks(chunks) => chunks.is_done(),
            Expecting::Head | Expecting::Tunnel => false,
        }
    }

    /// How many of these bytes belong to the body.
    fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Expecting::Head | Expecting::Tunnel => Ok(bytes.len()),
            Expecting::Length(left) => {
                let taken =
                    usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left = left.saturating_sub(taken as u64);
                Ok(taken)
            }
            Expecting::Chunks(chunks) => chunks.advance(bytes).map_err(|error| {
                let kind = match error {
                    ChunkError::Malformed(_) => io::ErrorKind::InvalidData,
                    ChunkError::TooLarge => io::ErrorKind::FileTooLarge,
                };
                io::Error::new(kind, error)
            }),
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Pingora buffers the parts of a response whose length is known, and reads here while it
        // waits for the next one: the client must not wait with it. An error comes back at the next
        // write, but for that of a client that takes too long.
        if this.unflushed
            && let Poll::Ready(flushed) = Pin::new(&mut this.io).poll_flush(cx)
        {
            this.unflushed = false;
            flushed.or_else(|error| Overdue::of(&error).map_or(Ok(()), |_| Err(error)))?;
        }
        if this.expecting.is_done() {
            return this.poll_early(cx);
        }
        if this.buffer.is_empty() {
            return this.poll_body(cx, out);
        }
        Poll::Ready(this.serve_buffered(out))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.unflushed = true;
        Pin::new(&mut this.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.unflushed = true;
        Pin::new(&mut this.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        this.unflushed &= flushed.is_pending();
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            std::task::ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            if !this.is_unread() {
                return Poll::Ready(Ok(()));
            }
        }
        this.poll_linger(cx)
    }
}

#[async_trait]
impl Shutdown for ClientStream {
    async fn shutdown(&mut self) {
        // It ends either way.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for ClientStream {
    fn id(&self) -> UniqueIDType {
        self.io.below().id()
    }
}

// What Pingora would tell of TLS nobody asks for here.
impl Ssl for ClientStream {}

impl GetTimingDigest for ClientStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        // Nobody asks for it on this side, and Pingora would allocate it for each request.
        Vec::new()
    }
}

impl GetProxyDigest for ClientStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for ClientStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

impl Peek for ClientStream {}

impl fmt::Debug for ClientStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientStream")
            .field("id", &self.id())
            .field("buffered", &self.buffer.len())
            .finish_non_exhaustive()
    }
}
