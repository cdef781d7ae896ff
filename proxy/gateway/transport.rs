//! A client's connection in the form that Pingora's sessions take: as the system gives it, or behind TLS.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Bytes that are read ahead where something small is read first: a PROXY protocol header.
const READ_AHEAD: usize = 4096;
/// As good as nothing, which cannot be asked for: a read that has room for more goes past it.
const NOT_AHEAD: usize = 1;
/// Bytes that are gathered before they are sent: the head of a response and the first of its body leave
/// together.
const GATHERED: usize = 1460;

/// A connection.
///
/// Pingora's own stream costs each connection two more calls of the system, for options that a listener
/// hands down, and a buffer that is not read from here.
pub struct Transport<Io: AsyncWrite + Unpin> {
    io: Io,
    /// The number of its socket.
    id: UniqueIDType,
}

impl Transport<BufStream<TcpStream>> {
    /// An accepted socket, which must not block, in this runtime's care.
    ///
    /// # Errors
    /// When the system does not watch it.
    pub fn plain(socket: OwnedFd, reads_ahead: bool) -> io::Result<Self> {
        let id = socket.as_raw_fd();
        let stream = TcpStream::from_std(socket.into())?;
        let ahead = if reads_ahead { READ_AHEAD } else { NOT_AHEAD };
        let io = BufStream::with_capacity(ahead, GATHERED, stream);
        Ok(Transport { io, id })
    }
}

impl Transport<TlsStream<Stream>> {
    /// One whose handshake is done.
    pub fn encrypted(io: TlsStream<Stream>) -> Self {
        let id = io.get_ref().0.id();
        Transport { io, id }
    }
}

impl<Io: AsyncWrite + Unpin> Drop for Transport<Io> {
    /// What was gathered leaves, as far as the system takes it at once: TLS's word for why a handshake
    /// failed, say, behind which nobody flushes.
    fn drop(&mut self) {
        let mut nobody = Context::from_waker(Waker::noop());
        let _ = Pin::new(&mut self.io).poll_flush(&mut nobody);
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncRead for Transport<Io> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, out)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Transport<Io> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, slices)
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

#[async_trait]
impl<Io: AsyncWrite + Unpin + Send> Shutdown for Transport<Io> {
    async fn shutdown(&mut self) {
        // It ends either way.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl<Io: AsyncWrite + Unpin> UniqueID for Transport<Io> {
    fn id(&self) -> UniqueIDType {
        self.id
    }
}

// What Pingora would tell of a client's connection nobody asks for here.
impl<Io: AsyncWrite + Unpin> Ssl for Transport<Io> {}

impl<Io: AsyncWrite + Unpin> GetTimingDigest for Transport<Io> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl<Io: AsyncWrite + Unpin> GetProxyDigest for Transport<Io> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl<Io: AsyncWrite + Unpin> GetSocketDigest for Transport<Io> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

impl<Io: AsyncWrite + Unpin> Peek for Transport<Io> {}

impl<Io: AsyncWrite + Unpin> fmt::Debug for Transport<Io> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
