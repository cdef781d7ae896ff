//! A client that sends exactly the bytes it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::PATIENCE;

/// One connection to the gate.
pub struct Connection {
    reader: BufReader<TcpStream>,
}

/// A response, whole.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Connection {
    pub fn open(address: SocketAddr) -> Connection {
        Connection::try_open(address).expect("the gate takes the connection")
    }

    pub fn try_open(address: SocketAddr) -> std::io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            reader: BufReader::new(stream),
        })
    }

    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// Sends bytes; an error means that the gate has closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.reader.get_mut().write_all(bytes.as_ref())
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the gate reads");
    }

    /// Tells the gate that nothing more is coming.
    pub fn finish(&self) {
        let _ = self.stream().shutdown(Shutdown::Write);
    }

    /// A GET on this connection.
    pub fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.response()
    }

    pub fn response(&mut self) -> Response {
        self.try_response().expect("the gate answers")
    }

    /// The next final response; `None` when the gate closes before one is whole.
    pub fn try_response(&mut self) -> Option<Response> {
        self.read_response(false)
    }

    /// The response to a HEAD, which has a length and no body.
    pub fn response_to_head(&mut self) -> Response {
        self.read_response(true).expect("the gate answers")
    }

    fn read_response(&mut self, head: bool) -> Option<Response> {
        loop {
            let mut response = self.read_head()?;
            if (100..200).contains(&response.status) && response.status != 101 {
                continue;
            }
            if !head && response.status != 101 {
                response.body = self.read_body(&response)?;
            }
            return Some(response);
        }
    }

    fn read_line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.reader
            .read_line(&mut line)
            .ok()
            .filter(|read| *read > 0)?;
        Some(line.trim_end().to_owned())
    }

    fn read_head(&mut self) -> Option<Response> {
        let line = self.read_line()?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut fields = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':')?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Some(Response {
            status,
            fields,
            body: Vec::new(),
        })
    }

    fn read_body(&mut self, response: &Response) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        if matches!(response.status, 204 | 304) {
            return Some(body);
        }
        if let Some(length) = response.field("content-length") {
            body.resize(length.parse().ok()?, 0);
            self.reader.read_exact(&mut body).ok()?;
        } else if response.field("transfer-encoding").is_some() {
            loop {
                let size = usize::from_str_radix(&self.read_line()?, 16).ok()?;
                let from = body.len();
                body.resize(from + size, 0);
                self.reader.read_exact(&mut body[from..]).ok()?;
                self.read_line()?;
                if size == 0 {
                    break;
                }
            }
        } else {
            self.reader.read_to_end(&mut body).ok()?;
        }
        Some(body)
    }

    /// Reads bytes as they come, for what is no longer HTTP.
    pub fn read_exact(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes).expect("the gate sends");
        bytes
    }

    /// Whether the gate closes without another byte; waits for it.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.reader.read(&mut byte) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}
