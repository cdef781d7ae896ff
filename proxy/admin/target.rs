//! Where a gate's admin API is, for the command line.

use std::io;
use std::path::{Path, PathBuf};

use axum::http::uri::Authority;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::ClientError;
use super::token;

/// Where a gate answers operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A socket.
    Socket(PathBuf),
    /// A loopback address.
    Tcp {
        /// The address and the port, as they are named.
        authority: String,
        /// The file with the token.
        token_file: Option<PathBuf>,
    },
}

/// A connection to it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<Io: AsyncRead + AsyncWrite + Unpin + Send> Stream for Io {}

impl Target {
    /// What `--admin` names: a socket, or the URL of a loopback address.
    ///
    /// # Errors
    /// What would be right.
    pub fn named(name: &Path, token_file: Option<&Path>) -> Result<Self, String> {
        let Some((scheme, rest)) = name.to_str().and_then(|text| text.split_once("://")) else {
            return Ok(Target::Socket(name.to_owned()));
        };
        let authority: Option<Authority> = rest.trim_end_matches('/').parse().ok();
        let named = authority
            .filter(|authority| authority.port_u16().is_some() && !rest.contains('@'))
            .filter(|_| scheme.eq_ignore_ascii_case("http"));
        let Some(authority) = named else {
            return Err(format!(
                "{}: name a socket, or an address such as http://127.0.0.1:9903",
                name.display()
            ));
        };
        // The token would go over the network for everybody to read.
        if !super::over_tcp::is_loopback(authority.host()) {
            return Err(format!(
                "{authority} is not this machine, and nothing is encrypted: take `ssh -L 9903:127.0.0.1:9903`, and http://127.0.0.1:9903"
            ));
        }
        Ok(Target::Tcp {
            authority: authority.to_string(),
            token_file: token_file.map(Path::to_owned),
        })
    }

    /// How people call it.
    pub(super) fn shown(&self) -> String {
        match self {
            Target::Socket(socket) => socket.display().to_string(),
            Target::Tcp { authority, .. } => format!("http://{authority}"),
        }
    }

    /// What a request names as its host.
    pub(super) fn host(&self) -> &str {
        match self {
            Target::Socket(_) => "admin",
            Target::Tcp { authority, .. } => authority,
        }
    }

    /// What a request shows to be let in.
    pub(super) fn authorization(&self) -> Result<Option<String>, ClientError> {
        let Target::Tcp { token_file, .. } = self else {
            return Ok(None);
        };
        let token = token_file.as_deref().map(token::read_text).transpose()?;
        Ok(token.map(|token| format!("Bearer {token}")))
    }

    pub(super) async fn connect(&self) -> Result<Box<dyn Stream>, ClientError> {
        let stream: io::Result<Box<dyn Stream>> = match self {
            Target::Socket(socket) => match UnixStream::connect(socket).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(problem) => Err(problem),
            },
            Target::Tcp { authority, .. } => match TcpStream::connect(authority).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(problem) => Err(problem),
            },
        };
        stream.map_err(|problem| match problem.kind() {
            io::ErrorKind::PermissionDenied => ClientError::Denied { gate: self.shown() },
            _ => ClientError::Absent {
                gate: self.shown(),
                problem,
            },
        })
    }
}
