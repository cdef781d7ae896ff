//! An accepted socket that the runtime watches only once it has to be waited for.
//!
//! When a flood is more than the gate accepts at once, what a connection asks is there by the time that it
//! is accepted, and refused at once. Entering its socket into epoll, waiting and taking it out again would
//! be a fifteenth of what that costs (benches/README.md). While the gate keeps up, the request is still on
//! its way, and a read in vain would cost as much as that saves.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// An accepted socket.
#[derive(Debug)]
pub struct Socket {
    number: RawFd,
    /// Until it is watched. It does not block.
    unwatched: Option<std::net::TcpStream>,
    /// From then on.
    watched: Option<TcpStream>,
    /// Whether the next read may go unwatched. One: the runtime lets others have their turn between the reads
    /// of those that it watches.
    asks: bool,
}

impl Socket {
    /// One that was just accepted, and must not block. `asks`: something to read is likely to be there.
    pub fn new(accepted: OwnedFd, asks: bool) -> Self {
        Socket {
            number: accepted.as_raw_fd(),
            unwatched: Some(accepted.into()),
            watched: None,
            asks,
        }
    }

    /// The number that the system knows it by.
    pub fn number(&self) -> RawFd {
        self.number
    }

    /// The socket in the runtime's care, from now on.
    fn watch(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        if let Some(socket) = self.unwatched.take() {
            self.watched = Some(TcpStream::from_std(socket)?);
        }
        let watched = self.watched.as_mut().map(Pin::new);
        watched.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// What the system says without being waited for, if it does and nobody watches yet.
    fn at_once<T>(
        &self,
        mut ask: impl FnMut(&std::net::TcpStream) -> io::Result<T>,
    ) -> Option<io::Result<T>> {
        let asked = ask(self.unwatched.as_ref()?);
        let waits = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            )
        };
        (!asked.as_ref().is_err_and(waits)).then_some(asked)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.asks) {
            let space = out.initialize_unfilled();
            if let Some(read) = this.at_once(|mut socket| socket.read(space)) {
                return Poll::Ready(read.map(|read| out.advance(read)));
            }
        }
        this.watch()?.poll_read(cx, out)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.at_once(|mut socket| socket.write(bytes)) {
            Some(written) => Poll::Ready(written),
            None => this.watch()?.poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.at_once(|mut socket| socket.write_vectored(slices)) {
            Some(written) => Poll::Ready(written),
            None => this.watch()?.poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is kept back here.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.at_once(|socket| socket.shutdown(Shutdown::Write)) {
            Some(ended) => Poll::Ready(ended),
            None => this.watch()?.poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// The two ends of a connection.
    fn connected() -> (std::net::TcpStream, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        accepted.set_nonblocking(true).unwrap();
        (client, Socket::new(accepted.into(), true))
    }

    #[tokio::test]
    async fn what_is_there_is_answered_without_being_watched() {
        let (mut client, mut socket) = connected();
        client.write_all(b"asked").unwrap();
        let mut space = [0; 16];
        assert_eq!(socket.read(&mut space).await.unwrap(), 5);
        socket.write_all(b"answered").await.unwrap();
        socket.shutdown().await.unwrap();
        assert!(socket.watched.is_none(), "{socket:?}");
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answered");
    }

    #[tokio::test]
    async fn what_is_still_to_come_is_waited_for() {
        let (mut client, mut socket) = connected();
        let mut space = [0; 16];
        let asking = std::thread::spawn(move || {
            client.write_all(b"one").unwrap();
            client
        });
        assert_eq!(socket.read(&mut space).await.unwrap(), 3);
        let mut client = asking.join().unwrap();
        client.write_all(b"two").unwrap();
        assert_eq!(socket.read(&mut space).await.unwrap(), 3);
        assert!(
            socket.watched.is_some(),
            "one read goes unwatched: {socket:?}"
        );
        drop(client);
        assert_eq!(socket.read(&mut space).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn more_than_the_system_takes_is_waited_with() {
        let (mut client, mut socket) = connected();
        const LENGTH: usize = 32 << 20;
        let reading = std::thread::spawn(move || {
            let mut read = Vec::new();
            client.read_to_end(&mut read).map(|_| read.len())
        });
        socket.write_all(&vec![7; LENGTH]).await.unwrap();
        assert!(socket.watched.is_some(), "{socket:?}");
        drop(socket);
        assert_eq!(reading.join().unwrap().unwrap(), LENGTH);
    }
}
