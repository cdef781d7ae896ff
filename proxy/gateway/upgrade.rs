//! The connection to an app for one request alone, which may become a tunnel.
//!
//! Pingora reads the response and passes the end of the request's body on at the same time, and takes
//! the latter for the end of the tunnel when it comes to it after the 101 (cloudflare/pingora#946): an
//! app that switches at once had up to 8 of 1,000 tunnels torn. Both are ready at the first look when
//! the app is fast, and which goes first is drawn by lot. So the response is held back for the first
//! looks; by the third the body's end has passed.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::connectors::L4Connect;
use pingora_core::protocols::l4::ext::connect;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora_error::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// Looks for which a response is held back. One would do, if tokio did not suspend a task that has
/// been busy for long.
const HELD_BACK: u8 = 3;

/// Connects for one request. Pingora never reuses such a connection, as it has no descriptor to show.
#[derive(Debug)]
pub struct Connector {
    /// How long the app may take to say anything. Pingora's own deadline is the idle one of tunnels,
    /// which is longer and holds from the start.
    pub answer: Duration,
}

#[async_trait]
impl L4Connect for Connector {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let Some(address) = address.as_inet() else {
            return Error::e_explain(ErrorType::ConnectNoRoute, "not an IP address");
        };
        let socket = Box::new(Socket {
            tcp: connect(address, None).await?,
            held_back: HELD_BACK,
            answer: Some(Box::pin(sleep(self.answer))),
        });
        Ok(VirtualSocketStream::new(socket).into())
    }
}

struct Socket {
    tcp: TcpStream,
    held_back: u8,
    /// The deadline for the first bytes, until they are there.
    answer: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(left) = self.held_back.checked_sub(1) {
            self.held_back = left;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let this = self.get_mut();
        let read = Pin::new(&mut this.tcp).poll_read(cx, out);
        if read.is_ready() {
            this.answer = None;
        } else if let Some(answer) = &mut this.answer
            && answer.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl VirtualSocket for Socket {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.tcp.set_nodelay(true),
            // Nobody asks for it: the tunnel's idle deadline does its work.
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("tcp", &self.tcp)
            .finish_non_exhaustive()
    }
}
