//! The other end of the admin socket, for the verbs of the command line.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::Problem;

/// How long an answer may take; a reload looks names up, which has its own deadline.
const DEADLINE: Duration = Duration::from_secs(30);
/// Bytes of a URI: more does not fit into one, as the `http` crate has them.
const LONGEST: usize = 65_534;

/// Speaks to one gate.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens at the socket.
    #[error(
        "no gate answers at {socket} ({problem}); start one with `tidegate run`, or name its socket with --admin"
    )]
    Absent {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        problem: io::Error,
    },
    /// The socket is somebody else's.
    #[error("{socket}: permission denied; run this as the user that runs the gate, or as root")]
    Denied {
        /// The socket.
        socket: PathBuf,
    },
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
    #[error("the gate at {socket} did not answer: {problem}")]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// What went wrong.
        problem: String,
    },
}

impl Client {
    /// A client of the gate with this admin socket.
    pub fn new(socket: &Path) -> Self {
        Client {
            socket: socket.to_owned(),
        }
    }

    /// Asks for something.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.request(Method::GET, path, Bytes::new(), DEADLINE)
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
        self.request(method, path, body.into(), deadline)
    }

    fn broken(&self, problem: impl ToString) -> ClientError {
        ClientError::Broken {
            socket: self.socket.clone(),
            problem: problem.to_string(),
        }
    }

    fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        deadline: Duration,
    ) -> Result<T, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| self.broken(error))?;
        let answer = async {
            tokio::time::timeout(deadline, self.exchange(method, path, body))
                .await
                .map_err(|_| self.broken(format!("nothing within {} s", deadline.as_secs())))?
        };
        let (status, bytes) = runtime.block_on(answer)?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| self.broken(error));
        }
        match serde_json::from_slice(&bytes) {
            Ok(problem) => Err(ClientError::Refused(problem)),
            Err(_) => Err(self.broken(status)),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let stream =
            UnixStream::connect(&self.socket)
                .await
                .map_err(|problem| match problem.kind() {
                    io::ErrorKind::PermissionDenied => ClientError::Denied {
                        socket: self.socket.clone(),
                    },
                    _ => ClientError::Absent {
                        socket: self.socket.clone(),
                        problem,
                    },
                })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(error))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "admin")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| self.broken(error))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| self.broken(error))?;
        let status = response.status();
        let body = response.into_body().collect().await;
        Ok((status, body.map_err(|error| self.broken(error))?.to_bytes()))
    }
}
