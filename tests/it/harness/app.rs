//! An app to put the gate before: a thread a connection, the answer up to the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

use super::Latch;

/// A request as the app got it.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in lower case, in the order in which they came.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// All values of a field, joined by a comma and a space.
    pub fn field(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .fields
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

/// What the app answers.
pub enum Reply {
    /// A response with a length; the fields are whole lines without their ends.
    Full(u16, Vec<String>, Vec<u8>),
    /// These very bytes, and then the connection is closed.
    Raw(Vec<u8>),
    /// The app's side of the connection is the test's own from here on.
    Takeover(Box<dyn FnOnce(TcpStream) + Send>),
}

impl Reply {
    pub fn text(text: &str) -> Reply {
        Reply::Full(200, Vec::new(), text.as_bytes().to_vec())
    }

    pub fn status(status: u16) -> Reply {
        Reply::Full(status, Vec::new(), Vec::new())
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// A running app. It ends with the test's process.
pub struct App {
    pub address: SocketAddr,
    /// Requests that it got.
    pub requests: Arc<AtomicU64>,
    /// Connections that it got.
    pub connections: Arc<AtomicU64>,
    /// The last request that it got.
    pub last: Arc<Mutex<Option<Request>>>,
}

impl App {
    /// An app that answers every request with its path.
    pub fn echoing_paths() -> App {
        App::answering(|request| Reply::text(&request.path))
    }

    /// An app that answers every request with its path, and `/slow` when the latch opens.
    pub fn waiting_at_slow() -> (App, Latch) {
        let latch = Latch::new();
        let waiting = latch.clone();
        let app = App::answering(move |request| {
            if request.path == "/slow" {
                waiting.wait();
            }
            Reply::text(&request.path)
        });
        (app, latch)
    }

    pub fn answering(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> App {
        App::on("127.0.0.1:0", handler)
    }

    /// An app at an address, for one that comes up late.
    pub fn on(address: &str, handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> App {
        let listener = TcpListener::bind(address).expect("the app's address is free");
        let app = App::at(listener.local_addr().unwrap());
        let handler: Arc<Handler> = Arc::new(handler);
        let (requests, connections) = (app.requests.clone(), app.connections.clone());
        let last = app.last.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connections.fetch_add(1, SeqCst);
                let (handler, requests, last) = (handler.clone(), requests.clone(), last.clone());
                thread::spawn(move || serve(stream, &*handler, &requests, &last));
            }
        });
        app
    }

    /// An app that is nothing but a socket: each of its connections is the test's own.
    pub fn accepting(then: impl Fn(TcpStream) + Send + Sync + 'static) -> App {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let app = App::at(listener.local_addr().unwrap());
        let connections = app.connections.clone();
        let then = Arc::new(then);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connections.fetch_add(1, SeqCst);
                let then = then.clone();
                thread::spawn(move || then(stream));
            }
        });
        app
    }

    fn at(address: SocketAddr) -> App {
        App {
            address,
            requests: Arc::default(),
            connections: Arc::default(),
            last: Arc::default(),
        }
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(SeqCst)
    }

    pub fn connections(&self) -> u64 {
        self.connections.load(SeqCst)
    }

    /// The last request that it got.
    pub fn last(&self) -> Request {
        let last = self.last.lock().unwrap();
        last.clone().expect("the app got a request")
    }
}

fn serve(
    stream: TcpStream,
    handler: &Handler,
    requests: &AtomicU64,
    last: &Mutex<Option<Request>>,
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    writer.set_nodelay(true).ok()?;
    loop {
        let request = read_request(&mut reader)?;
        requests.fetch_add(1, SeqCst);
        *last.lock().unwrap() = Some(request.clone());
        match handler(&request) {
            Reply::Full(status, fields, body) => {
                let mut head = format!("HTTP/1.1 {status} Something\r\n");
                for field in fields {
                    head.push_str(&field);
                    head.push_str("\r\n");
                }
                let lengthless = matches!(status, 204 | 304);
                if !lengthless && !head.to_ascii_lowercase().contains("\r\ncontent-length:") {
                    head.push_str(&format!("content-length: {}\r\n", body.len()));
                }
                head.push_str("\r\n");
                writer.write_all(head.as_bytes()).ok()?;
                if request.method != "HEAD" {
                    writer.write_all(&body).ok()?;
                }
            }
            Reply::Raw(bytes) => {
                writer.write_all(&bytes).ok()?;
                return None;
            }
            Reply::Takeover(then) => {
                then(writer);
                return None;
            }
        }
    }
}

/// A port at which nothing listens. Somebody else may take it in theory; the system hands ports out
/// in turn, so that it is long before it comes back to this one.
pub fn unused_address() -> SocketAddr {
    // An address of its own: on a shared one the next test's app could get the port.
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let [high, low] = TAKEN.fetch_add(1, Relaxed).to_be_bytes();
    let listener = TcpListener::bind((Ipv4Addr::new(127, 77, high, low), 0));
    listener.expect("a port is free").local_addr().unwrap()
}

/// Reads from a connection up to the empty line, byte by byte so that nothing of the body is lost.
pub fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.extend_from_slice(&byte);
    }
    String::from_utf8_lossy(&head).into_owned()
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut request = Request {
        method,
        path,
        fields: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        request
            .fields
            .push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    request.body = read_body(reader, &request)?;
    Some(request)
}

fn read_body(reader: &mut BufReader<TcpStream>, request: &Request) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    if let Some(length) = request.field("content-length") {
        body.resize(length.parse().ok()?, 0);
        reader.read_exact(&mut body).ok()?;
    } else if request.field("transfer-encoding").is_some() {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            if size == 0 {
                break;
            }
            let from = body.len();
            body.resize(from + size + 2, 0);
            reader.read_exact(&mut body[from..]).ok()?;
            body.truncate(from + size);
        }
        // Trailers are passed over.
        let mut line = String::new();
        while reader.read_line(&mut line).ok()? > 0 && line != "\r\n" {
            line.clear();
        }
    }
    Some(body)
}
