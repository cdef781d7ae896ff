//! A client's connection whose end is certain: a client that does not read, or reads too slowly,
//! holds it no longer than its deadline.
//!
//! It knows nothing of HTTP, so that every protocol can run over it: HTTP/1.1 through
//! [`ClientStream`](super::stream::ClientStream), others straight. Whether bytes are due from the
//! client is for the protocol to say: only [`PacedStream::poll_due`] waits with a limit.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pingora_core::protocols::l4::ext::get_tcp_info;
use pingora_core::protocols::{Stream, UniqueIDType};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pace::{Fault, Limits, Pace};
use super::reset;

/// What is asked of a client until the configuration is read.
const UNTIL_SET: Limits = Limits {
    idle: Duration::from_secs(60),
    rate: 0,
};

/// The client kept the gate waiting for too long. It is the cause of a
/// [`TimedOut`](io::ErrorKind::TimedOut).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overdue {
    /// What is due from the client does not come.
    #[error("the client does not send")]
    Receiving,
    /// What is due from it comes below the minimum rate.
    #[error("the client sends too slowly")]
    ReceivingSlowly,
    /// It does not read.
    #[error("the client does not read")]
    Sending,
    /// It reads below the minimum rate.
    #[error("the client reads too slowly")]
    SendingSlowly,
}

impl Overdue {
    /// A fault of a client that is to send.
    pub fn receiving(fault: Fault) -> Self {
        match fault {
            Fault::Idle => Overdue::Receiving,
            Fault::Slow => Overdue::ReceivingSlowly,
        }
    }

    /// A fault of a client that is to read.
    pub fn sending(fault: Fault) -> Self {
        match fault {
            Fault::Idle => Overdue::Sending,
            Fault::Slow => Overdue::SendingSlowly,
        }
    }

    /// Why an error came, if it was this.
    pub fn of(error: &io::Error) -> Option<Overdue> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// An accepted connection with deadlines.
pub struct PacedStream {
    io: Stream,
    receiving: Pace,
    sending: Pace,
    /// Bytes that were read while they were due.
    received: u64,
    /// Bytes that were written.
    written: u64,
}

impl PacedStream {
    /// Wraps an accepted connection.
    pub fn new(io: Stream) -> Self {
        PacedStream {
            io,
            receiving: Pace::new(UNTIL_SET),
            sending: Pace::new(UNTIL_SET),
            received: 0,
            written: 0,
        }
    }

    /// What is below.
    pub fn below(&self) -> &Stream {
        &self.io
    }

    /// Sets what is asked of the client in each direction, and forgets how it kept to it so far.
    pub fn begin(&mut self, receiving: Limits, sending: Limits) {
        self.receiving.begin(receiving);
        self.sending.begin(sending);
    }

    /// Reads bytes that are due from the client. Plain reads wait without a limit of their own.
    pub fn poll_due(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, out);
        if read.is_ready() {
            self.received += (out.filled().len() - before) as u64;
            self.receiving.progress();
            return read;
        }
        let received = self.received;
        let fault = std::task::ready!(self.receiving.poll_fault(cx, || received));
        Poll::Ready(Err(Overdue::receiving(fault).into()))
    }

    /// Turns a write that waits too long for the client into an error.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.sending.progress();
            return written;
        }
        let (socket, written) = (self.io.id(), self.written);
        let fault = self.sending.poll_fault(cx, || taken(socket, written));
        let overdue = Overdue::sending(std::task::ready!(fault));
        reset::at_close(&self.io);
        Poll::Ready(Err(overdue.into()))
    }

    fn count(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(written)) = written {
            self.written += *written as u64;
        }
    }
}

/// Bytes that the client has taken. The system lets a write go on when a third of its buffer is
/// free, which can take a client minutes that reads all the time: what it has acknowledged tells
/// more. `written`: what to go by where the system does not say.
fn taken(socket: UniqueIDType, written: u64) -> u64 {
    get_tcp_info(socket).map_or(written, |info| info.tcpi_bytes_acked)
}

impl From<Overdue> for io::Error {
    fn from(overdue: Overdue) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, overdue)
    }
}

impl AsyncRead for PacedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, out)
    }
}

impl AsyncWrite for PacedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.count(&written);
        this.watch(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        this.count(&written);
        this.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        this.watch(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let ended = Pin::new(&mut this.io).poll_shutdown(cx);
        this.watch(cx, ended)
    }
}

impl fmt::Debug for PacedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacedStream")
            .field("id", &self.io.id())
            .field("receiving", &self.receiving)
            .field("sending", &self.sending)
            .finish_non_exhaustive()
    }
}
