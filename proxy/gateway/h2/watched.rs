//! A client's connection with its frames watched: what is read is gone over before anything is made
//! of it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::super::paced::PacedStream;
use super::frames::{Abuse, Count, Known};

/// What the accept loop learns of the frames.
#[derive(Debug, Default)]
pub(super) struct Watch {
    abuse: OnceLock<Abuse>,
    sent: AtomicU64,
    requests: AtomicU64,
}

impl Watch {
    /// A request came of a stream.
    pub(super) fn surfaced(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// What the client did, if anything. Set while the connection is polled, and looked at behind it.
    pub(super) fn abuse(&self) -> Option<Abuse> {
        self.abuse.get().copied()
    }
}

/// A client's connection, with its frames watched.
pub(super) struct Watched {
    io: PacedStream,
    watch: Arc<Watch>,
    count: Count,
    /// How long a header block may take.
    block_within: Duration,
    /// The header block that is open, and its deadline.
    block: Option<(u64, Pin<Box<Sleep>>)>,
}

impl Watched {
    pub(super) fn new(io: PacedStream, watch: Arc<Watch>, block_within: Duration) -> Self {
        Watched {
            io,
            watch,
            count: Count::new(),
            block_within,
            block: None,
        }
    }

    /// Nothing more is read of it: the accept loop ends it.
    fn end(&self, abuse: Abuse) -> Poll<io::Result<()>> {
        self.watch.abuse.get_or_init(|| abuse);
        Poll::Pending
    }

    /// The deadline of the header block that is open, if one is.
    fn poll_block(&mut self, cx: &mut Context<'_>) -> Result<(), Abuse> {
        let Some(open) = self.count.open_block() else {
            self.block = None;
            return Ok(());
        };
        // One that follows another within one read has a deadline of its own.
        self.block = self.block.take().filter(|(number, _)| *number == open);
        let within = self.block_within;
        let begin = || (open, Box::pin(sleep(within)));
        let (_, block) = self.block.get_or_insert_with(begin);
        match block.as_mut().poll(cx) {
            Poll::Ready(()) => Err(Abuse::HeaderBlock),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.watch.abuse().is_some() {
            return Poll::Pending;
        }
        let before = out.filled().len();
        let read = Pin::new(&mut this.io).poll_read(cx, out);
        let fresh = out.filled().get(before..).unwrap_or_default();
        let known = Known {
            sent: this.watch.sent.load(Relaxed),
            requests: this.watch.requests.load(Relaxed),
        };
        let counted = this.count.read(fresh, known);
        if let Err(abuse) = counted.and_then(|()| this.poll_block(cx)) {
            return this.end(abuse);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.sent(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        this.sent(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

impl Watched {
    fn sent(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(length)) = written {
            self.watch.sent.fetch_add(*length as u64, Relaxed);
        }
    }
}
