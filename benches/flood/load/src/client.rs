//! A connection from an address of one's own, and one request after the other over it.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// How a request ended.
#[derive(Clone, Copy, PartialEq)]
pub enum Answer {
    Status(u16),
    /// Closed or reset without an answer.
    Closed,
}

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

struct Head {
    status: u16,
    /// Of head and body together; none when the body ends with the connection.
    length: Option<usize>,
    closes: bool,
}

impl Connection {
    pub async fn open(from: Ipv4Addr, to: SocketAddrV4) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_nodelay(true)?;
        // The system's own choice of an address needs no call to bind, which has a cost.
        if from != Ipv4Addr::LOCALHOST {
            socket.bind(SocketAddrV4::new(from, 0).into())?;
        }
        let stream = socket.connect(to.into()).await?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(2048),
        })
    }

    /// Sends a request and reads the whole answer; the connection comes back when it may be used again.
    pub async fn ask(mut self, request: &[u8]) -> (Answer, Option<Self>) {
        if self.stream.write_all(request).await.is_err() {
            return (Answer::Closed, None);
        }
        match self.answer().await {
            Ok(Some(head)) => (Answer::Status(head.status), (!head.closes).then_some(self)),
            Ok(None) | Err(_) => (Answer::Closed, None),
        }
    }

    async fn answer(&mut self) -> io::Result<Option<Head>> {
        self.buffer.clear();
        let head = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break head(&self.buffer[..end], end + 4);
            }
        };
        while head.length.is_none_or(|length| self.buffer.len() < length) {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(head.length.is_none().then_some(head));
            }
        }
        Ok(Some(head))
    }
}

fn head(bytes: &[u8], body_at: usize) -> Head {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let status = text
        .get(9..12)
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0);
    let length = text
        .split("\r\ncontent-length:")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    let length = length
        .and_then(|digits| digits.trim().parse::<usize>().ok())
        .map(|body| body_at + body);
    let closes = length.is_none() || text.contains("\r\nconnection: close");
    Head {
        status,
        length,
        closes,
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_its_status_and_where_its_body_ends() {
        let found = head(
            b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 17\r\nServer: x",
            70,
        );
        assert_eq!(
            (found.status, found.length, found.closes),
            (429, Some(87), false)
        );
    }

    #[test]
    fn a_body_without_a_length_ends_with_its_connection() {
        let found = head(b"HTTP/1.1 200 OK\r\nServer: x", 30);
        assert_eq!(
            (found.status, found.length, found.closes),
            (200, None, true)
        );
        assert!(
            head(
                b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: close",
                60
            )
            .closes
        );
    }
}
