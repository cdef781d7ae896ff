//! The admin side's listeners with a bound: its connections share the descriptors with the traffic,
//! so there are few of them at a time, and none stays.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections of one listener at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// How long a connection may be silent at its beginning: whoever connects has something to ask.
const SILENT: Duration = Duration::from_secs(3);
/// How long a connection may last, whatever it does: longer than the slowest answer.
const LIFETIME: Duration = Duration::from_secs(60);

/// A listener with so many places.
#[derive(Debug)]
pub(super) struct Bounded<L> {
    listener: L,
    places: Arc<Semaphore>,
}

impl<L> Bounded<L> {
    pub(super) fn new(listener: L) -> Self {
        Bounded {
            listener,
            places: Arc::new(Semaphore::new(CONNECTIONS)),
        }
    }
}

impl<L: Listener> Listener for Bounded<L> {
    type Io = Held<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // Nobody closes the semaphore, so there is a place in the end.
        let place = self.places.clone().acquire_owned().await.ok();
        let (io, address) = self.listener.accept().await;
        let held = Held {
            io,
            end: Box::pin(sleep(SILENT)),
            spoke: false,
            _place: place,
        };
        (held, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that has a place and an end.
#[derive(Debug)]
pub(super) struct Held<Io> {
    io: Io,
    end: Pin<Box<Sleep>>,
    /// Whether it has sent something.
    spoke: bool,
    _place: Option<OwnedSemaphorePermit>,
}

impl<Io> Held<Io> {
    /// The connection itself.
    pub(super) fn get_ref(&self) -> &Io {
        &self.io
    }

    /// What would wait is an error once the time is over.
    fn bounded<T>(
        &mut self,
        cx: &mut Context<'_>,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if done.is_pending() && self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        done
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Held<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, out);
        if !self.spoke && out.filled().len() > before {
            self.spoke = true;
            self.end.as_mut().reset(Instant::now() + LIFETIME);
        }
        self.bounded(cx, read)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Held<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.bounded(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.bounded(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.io).poll_shutdown(cx);
        self.bounded(cx, ended)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn there_are_so_many_connections_and_then_none_until_one_goes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut bounded = Bounded::new(listener);
        let mut clients = Vec::new();
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            clients.push(TcpStream::connect(address).await.unwrap());
            held.push(bounded.accept().await);
        }
        clients.push(TcpStream::connect(address).await.unwrap());
        let moment = Duration::from_millis(20);
        assert!(
            timeout(moment, bounded.accept()).await.is_err(),
            "one too many"
        );
        held.pop();
        let (mut io, _) = timeout(LIFETIME, bounded.accept())
            .await
            .expect("a place is free");
        clients.pop().unwrap().write_all(b"hello").await.unwrap();
        let mut bytes = [0; 5];
        io.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"hello");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_says_nothing_goes_soon_and_one_that_spoke_stays() {
        let (mut client, server) = tokio::io::duplex(16);
        let held = |io, spoke| Held {
            io,
            end: Box::pin(sleep(SILENT)),
            spoke,
            _place: None,
        };
        let mut spoke = held(server, false);
        client.write_all(b"x").await.unwrap();
        spoke.read_exact(&mut [0; 1]).await.unwrap();
        let more = timeout(SILENT * 2, spoke.read(&mut [0; 1])).await;
        assert!(more.is_err(), "it is waited for");
        let (_client, server) = tokio::io::duplex(16);
        let mut silent = held(server, false);
        let ended = timeout(SILENT * 2, silent.read(&mut [0; 1])).await;
        assert_eq!(ended.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_connection_ends_whatever_it_does() {
        let (client, server) = tokio::io::duplex(16);
        let mut held = Held {
            io: server,
            end: Box::pin(sleep(Duration::from_millis(20))),
            spoke: true,
            _place: None,
        };
        let started = Instant::now();
        let error = held.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = held.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(5));
        drop(client);
    }
}
