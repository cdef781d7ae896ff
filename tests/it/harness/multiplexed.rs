//! A client that speaks HTTP/2 as it should, over TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::{HeaderMap, Request};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{Gate, PATIENCE, Trust};

/// A response over HTTP/2, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The `reason` that a refusal or failure names.
    pub fn reason(&self) -> String {
        let problem: serde_json::Value =
            serde_json::from_slice(&self.body).expect("a problem is JSON");
        problem["reason"].as_str().unwrap_or_default().to_owned()
    }
}

/// A request that waits for its answer.
pub struct Pending(JoinHandle<Result<Answer, h2::Error>>);

/// One connection over HTTP/2.
pub struct Http2 {
    /// Drives the connection beside the test.
    runtime: Runtime,
    sender: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// A request without a body yet.
pub fn request(method: &str, path: &str) -> Request<()> {
    let uri = format!("https://one.example{path}");
    Request::builder().method(method).uri(uri).body(()).unwrap()
}

impl Http2 {
    pub fn open(gate: &Gate, trust: &Trust) -> Http2 {
        Http2::try_open_at(gate.address, trust).expect("the gate speaks HTTP/2")
    }

    pub fn try_open_at(address: SocketAddr, trust: &Trust) -> std::io::Result<Http2> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let config = Arc::new(trust.clone().speaking(&["h2"]).config());
        let greeting = async {
            let socket = tokio::net::TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            let name = ServerName::try_from("one.example").unwrap();
            let tls = TlsConnector::from(config).connect(name, socket).await?;
            let greeted = Builder::new()
                .initial_window_size(1 << 20)
                .initial_connection_window_size(16 << 20)
                .handshake(tls)
                .await;
            greeted.map_err(std::io::Error::other)
        };
        let (sender, connection) = runtime.block_on(async {
            let greeted = timeout(PATIENCE, greeting).await;
            greeted.expect("the gate greets in time")
        })?;
        Ok(Http2 {
            connection: runtime.spawn(connection),
            runtime,
            sender,
        })
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask(request("GET", path), &[])
            .expect("the gate answers")
    }

    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        let answer = self.ask(request("POST", path), body);
        answer.expect("the gate answers")
    }

    /// The answer to a request, or how its stream ended.
    pub fn ask(&self, request: Request<()>, body: &[u8]) -> Result<Answer, h2::Error> {
        self.wait(self.begin(request, body))
    }

    /// Sends a request with this body; without one it ends with its head.
    pub fn begin(&self, request: Request<()>, body: &[u8]) -> Pending {
        let (sender, body) = (self.sender.clone(), Bytes::copy_from_slice(body));
        Pending(self.runtime.spawn(async move {
            let mut sender = sender.ready().await?;
            let (answer, stream) = sender.send_request(request, body.is_empty())?;
            if !body.is_empty() {
                // Beside the answer, which may come first.
                tokio::spawn(upload(stream, body));
            }
            whole(answer).await
        }))
    }

    pub fn wait(&self, pending: Pending) -> Result<Answer, h2::Error> {
        self.runtime.block_on(async {
            let answer = timeout(PATIENCE, pending.0).await;
            answer.expect("an answer in time").unwrap()
        })
    }

    /// The status of the answer to a GET; `None` when the gate did not take the request up, so that
    /// it may be sent again (RFC 9113 section 6.8).
    pub fn attempt(&self, path: &str) -> Option<u16> {
        let asked = request("GET", path);
        match self.ask(asked, &[]) {
            Ok(answer) => Some(answer.status),
            Err(error) if error.reason() == Some(h2::Reason::NO_ERROR) => None,
            Err(error) => panic!("a request failed: {error:?}"),
        }
    }

    /// Gives a request up: its stream is reset.
    pub fn cancel(&self, pending: Pending) {
        pending.0.abort();
    }

    /// Something of the test's own with the crate's interface.
    pub fn run<F: Future>(&self, then: impl FnOnce(SendRequest<Bytes>) -> F) -> F::Output {
        let sender = self.sender.clone();
        self.runtime.block_on(async {
            let done = timeout(PATIENCE, async {
                then(sender.ready().await.expect("the connection is open")).await
            });
            done.await.expect("done in time")
        })
    }

    /// Waits for the end of the connection; `None` when it is in order, else what was wrong.
    pub fn ended(self) -> Option<String> {
        let Http2 {
            runtime,
            sender,
            connection,
        } = self;
        let ended = runtime.block_on(async { timeout(PATIENCE, connection).await });
        drop(sender);
        let ended = ended.expect("the gate ends the connection").unwrap();
        // Both sides hang up at once, and this one's last word may find nobody.
        let missed = |error: &h2::Error| {
            let io = error.get_io().map(std::io::Error::kind);
            io == Some(std::io::ErrorKind::BrokenPipe)
        };
        let error = ended.err().filter(|error| !missed(error));
        error.map(|error| error.to_string())
    }
}

async fn upload(mut stream: h2::SendStream<Bytes>, mut body: Bytes) -> Option<()> {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let capacity = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await?;
        let part = body.split_to(capacity.ok()?.min(body.len()));
        stream.send_data(part, body.is_empty()).ok()?;
    }
    Some(())
}

async fn whole(answer: ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut body) = answer.await?.into_parts();
    let bytes = read(&mut body).await?;
    Ok(Answer {
        status: head.status.as_u16(),
        fields: head.headers,
        body: bytes,
        trailers: body.trailers().await?,
    })
}

async fn read(body: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut bytes = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}
