//! A client that sends exactly the bytes it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use socket2::{Domain, Socket, Type};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::PATIENCE;

/// One connection to the gate.
pub struct Connection {
    reader: BufReader<Wire>,
}

/// What a connection runs over.
enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    fn socket(&self) -> &TcpStream {
        match self {
            Wire::Plain(socket) => socket,
            Wire::Tls(tls) => &tls.sock,
        }
    }
}

impl Read for Wire {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Wire::Plain(socket) => socket.read(out),
            Wire::Tls(tls) => tls.read(out),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Wire::Plain(socket) => socket.write(bytes),
            Wire::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Wire::Plain(socket) => socket.flush(),
            Wire::Tls(tls) => tls.flush(),
        }
    }
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

    /// The body of a refusal or failure, as programs read it.
    pub fn problem(&self) -> serde_json::Value {
        assert_eq!(
            self.field("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        serde_json::from_slice(&self.body).expect("a problem is JSON")
    }

    /// The `reason` that a refusal or failure names.
    pub fn reason(&self) -> String {
        self.problem()["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Whether the connection ends behind it.
    pub fn closes(&self) -> bool {
        self.field("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

impl Connection {
    pub fn open(address: SocketAddr) -> Connection {
        Connection::try_open(address).expect("the gate takes the connection")
    }

    /// A connection from another of this machine's addresses: all of 127.0.0.0/8 is.
    pub fn open_from(source: &str, address: SocketAddr) -> Connection {
        Connection::try_open_from(source, address).expect("the gate takes the connection")
    }

    pub fn try_open_from(source: &str, address: SocketAddr) -> std::io::Result<Connection> {
        let source: IpAddr = source.parse().expect("the source is an address");
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.connect_timeout(&address.into(), PATIENCE)?;
        Connection::over(socket.into())
    }

    pub fn try_open(address: SocketAddr) -> std::io::Result<Connection> {
        Connection::over(TcpStream::connect_timeout(&address, PATIENCE)?)
    }

    fn over(stream: TcpStream) -> std::io::Result<Connection> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            reader: BufReader::new(Wire::Plain(stream)),
        })
    }

    /// Goes on over TLS, once the handshake with the server of this name is done; a name that is an
    /// address is not sent.
    pub fn try_encrypt(self, config: ClientConfig, name: &str) -> std::io::Result<Connection> {
        let Wire::Plain(mut socket) = self.reader.into_inner() else {
            panic!("this connection is encrypted");
        };
        let name = ServerName::try_from(name.to_owned()).expect("a name of a server");
        let session = ClientConnection::new(Arc::new(config), name);
        let mut session = session.expect("a configuration of TLS");
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        let tls = Box::new(StreamOwned::new(session, socket));
        Ok(Connection {
            reader: BufReader::new(Wire::Tls(tls)),
        })
    }

    /// What TLS agreed on, of a connection that runs over it.
    pub fn session(&self) -> &ClientConnection {
        match self.reader.get_ref() {
            Wire::Tls(tls) => &tls.conn,
            Wire::Plain(_) => panic!("this connection is not encrypted"),
        }
    }

    /// The certificate that the gate showed.
    pub fn certificate(&self) -> CertificateDer<'static> {
        let chain = self.session().peer_certificates();
        chain.expect("the gate has a certificate")[0]
            .clone()
            .into_owned()
    }

    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref().socket()
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

    /// A request with a body whose length is named.
    pub fn post(&mut self, path: &str, body: impl AsRef<[u8]>) -> Response {
        let body = body.as_ref();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.send([head.as_bytes(), body].concat());
        self.response()
    }

    /// A GET with more fields: whole lines without their ends.
    pub fn get_with(&mut self, path: &str, fields: &[&str]) -> Response {
        let host = match fields.iter().any(|field| field.starts_with("Host:")) {
            true => "",
            false => "Host: test\r\n",
        };
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        self.send(format!("GET {path} HTTP/1.1\r\n{host}{fields}\r\n"));
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

    /// The next head alone, be it final or not.
    pub fn read_head(&mut self) -> Option<Response> {
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

    /// Everything up to the end of the connection.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.reader
            .read_to_end(&mut bytes)
            .expect("the gate closes in order");
        bytes
    }

    /// Reads one byte, or says why there is none.
    pub fn try_read(&mut self) -> std::io::Result<u8> {
        let mut byte = [0];
        self.reader.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    /// Reads bytes as they come, for what is no longer HTTP.
    pub fn read_exact(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes).expect("the gate sends");
        bytes
    }

    /// Two ends of the same connection, which is not encrypted, to send and to read at once.
    pub fn split(self) -> (Connection, Connection) {
        assert!(
            matches!(self.reader.get_ref(), Wire::Plain(_)),
            "one session has one end"
        );
        let other = self.stream().try_clone().expect("a socket can be cloned");
        let other = BufReader::new(Wire::Plain(other));
        (self, Connection { reader: other })
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
