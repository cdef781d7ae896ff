//! The other end of the admin API, for the verbs of the command line.

use std::error::Error;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::{Problem, Target, TokenError};

/// How long an answer may take; a reload looks names up, which has its own deadline.
const DEADLINE: Duration = Duration::from_secs(30);
/// The same for a question that costs nothing: who asks it wants to know whether the gate is well.
const AT_ONCE: Duration = Duration::from_secs(5);
/// How long a body may take to be sent and answered: no connection to the gate lasts much longer.
const LONGEST_STREAM: Duration = Duration::from_secs(55);
/// Bytes of a piece of such a body, and pieces that are read ahead.
const PIECE: usize = 64 << 10;
const AHEAD: usize = 4;
/// Bytes of a URI: more does not fit into one, as the `http` crate has them.
const LONGEST: usize = 65_534;

/// Speaks to one gate.
#[derive(Clone, Debug)]
pub struct Client {
    target: Target,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens there.
    #[error(
        "no gate answers at {gate} ({problem}); start one with `tidegate run`, or name its socket with --admin"
    )]
    Absent {
        /// Where it should be.
        gate: String,
        /// What the system said.
        problem: io::Error,
    },
    /// The socket is somebody else's.
    #[error("{gate}: permission denied; run this as the user that runs the gate, or as root")]
    Denied {
        /// Where it should be.
        gate: String,
    },
    /// There is no token to show.
    #[error("the token")]
    Token(#[from] TokenError),
    /// No URI has room for what is asked.
    #[error("this is too long to be asked about: {length} bytes, and {LONGEST} can be")]
    TooLong {
        /// Of the URI.
        length: usize,
    },
    /// The gate said no, and why.
    #[error("{}", .0.detail)]
    Refused(Problem),
    /// The gate did not answer in time, or not in a way that can be understood.
    #[error("the gate at {gate} did not answer: {problem}")]
    Broken {
        /// Where it should be.
        gate: String,
        /// What went wrong.
        problem: String,
    },
}

impl Client {
    /// A client of the gate that answers there.
    pub fn new(target: Target) -> Self {
        Client { target }
    }

    /// Asks for something.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.request(Method::GET, path, Full::default(), DEADLINE)
    }

    /// Asks for what a gate that is well says at once.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn get_at_once<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.request(Method::GET, path, Full::default(), AT_ONCE)
    }

    /// Asks for something in particular.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
    ) -> Result<T, ClientError> {
        let query = serde_urlencoded::to_string(query).map_err(|error| self.broken(error))?;
        let uri = format!("{path}?{query}");
        match uri.len() {
            length if length > LONGEST => Err(ClientError::TooLong { length }),
            _ => self.get(&uri),
        }
    }

    /// Changes something.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.send_within(DEADLINE, method, path, body)
    }

    /// Changes something that takes longer than most.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn send_within<T: DeserializeOwned>(
        &self,
        deadline: Duration,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| self.broken(error))?;
        self.request(method, path, Full::new(Bytes::from(body)), deadline)
    }

    /// Sends what `from` has, piece by piece as it is read, and waits for the answer.
    ///
    /// # Errors
    /// See [`ClientError`]; when `from` cannot be read, nothing is changed.
    pub fn stream<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
        from: impl Read + Send + 'static,
    ) -> Result<T, ClientError> {
        let query = serde_urlencoded::to_string(query).map_err(|error| self.broken(error))?;
        let uri = format!("{path}?{query}");
        if uri.len() > LONGEST {
            return Err(ClientError::TooLong { length: uri.len() });
        }
        self.request(Method::POST, &uri, Pieces::read(from), LONGEST_STREAM)
    }

    /// Reads an answer of lines that goes on until the gate ends it.
    ///
    /// # Errors
    /// See [`ClientError`]; or what `each` says.
    pub fn follow(
        &self,
        path: &str,
        query: &impl Serialize,
        each: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let query = serde_urlencoded::to_string(query)?;
        let uri = format!("{path}?{query}");
        let lines = self.lines(&uri, each);
        runtime()
            .map_err(|error| self.broken(error))?
            .block_on(lines)
    }

    fn broken(&self, problem: impl ToString) -> ClientError {
        ClientError::Broken {
            gate: self.target.shown(),
            problem: problem.to_string(),
        }
    }

    fn request<T, B>(
        &self,
        method: Method,
        path: &str,
        body: B,
        deadline: Duration,
    ) -> Result<T, ClientError>
    where
        T: DeserializeOwned,
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let runtime = runtime().map_err(|error| self.broken(error))?;
        let answer = async {
            tokio::time::timeout(deadline, self.exchange(method, path, body))
                .await
                .map_err(|_| self.broken(format!("nothing within {} s", deadline.as_secs())))?
        };
        let (status, bytes) = runtime.block_on(answer)?;
        match status.is_success() {
            true => serde_json::from_slice(&bytes).map_err(|error| self.broken(error)),
            false => Err(self.refused(status, &bytes)),
        }
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> ClientError {
        let problem = serde_json::from_slice(body);
        problem.map_or_else(|_| self.broken(status), ClientError::Refused)
    }

    async fn lines(
        &self,
        uri: &str,
        mut each: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let response = self.response(Method::GET, uri, Full::default()).await?;
        let (status, mut body) = (response.status(), response.into_body());
        if !status.is_success() {
            let problem = body.collect().await.map_err(|error| self.broken(error))?;
            return Err(self.refused(status, &problem.to_bytes()).into());
        }
        let mut text = Vec::new();
        while let Some(part) = body.frame().await {
            let part = part.map_err(|error| self.broken(error))?;
            text.extend(part.into_data().unwrap_or_default());
            let whole = memchr::memrchr(b'\n', &text).map_or(0, |end| end + 1);
            let rest = text.split_off(whole);
            for line in text.split_inclusive(|byte| *byte == b'\n') {
                each(line)?;
            }
            text = rest;
        }
        Ok(())
    }

    async fn exchange<B>(
        &self,
        method: Method,
        path: &str,
        body: B,
    ) -> Result<(StatusCode, Bytes), ClientError>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let response = self.response(method, path, body).await?;
        let status = response.status();
        let body = response.into_body().collect().await;
        Ok((status, body.map_err(|error| self.broken(error))?.to_bytes()))
    }

    /// The beginning of an answer.
    async fn response<B>(
        &self,
        method: Method,
        path: &str,
        body: B,
    ) -> Result<Response<Incoming>, ClientError>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let stream = self.target.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(error))?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.target.host())
            .header("content-type", "application/json");
        if let Some(authorization) = self.target.authorization()? {
            request = request.header("authorization", authorization);
        }
        let request = request.body(body).map_err(|error| self.broken(error))?;
        let response = sender.send_request(request).await;
        response.map_err(|error| self.broken(error))
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// A body that is read by another thread, so that one which is slow to come keeps nothing else from
/// being done.
struct Pieces(mpsc::Receiver<io::Result<Bytes>>);

impl Pieces {
    fn read(mut from: impl Read + Send + 'static) -> Self {
        let (pieces, received) = mpsc::channel(AHEAD);
        thread::spawn(move || {
            loop {
                let mut piece = Vec::with_capacity(PIECE);
                let read = (&mut from).take(PIECE as u64).read_to_end(&mut piece);
                let end = matches!(read, Ok(0));
                // Nobody listens any more when the gate has answered already.
                if end || pieces.blocking_send(read.map(|_| piece.into())).is_err() {
                    break;
                }
            }
        });
        Pieces(received)
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = self.0.poll_recv(cx);
        piece.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
