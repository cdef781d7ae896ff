//! How the gate itself is run: time, logs, and its own doors.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::share::Share;

/// What `known-only` does when it is switched on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownOnly {
    /// How long it lasts when nothing else is said: more than 0, at most 30 days.
    pub duration: Duration,
    /// Paths that stay open to everybody, with those below them; each starts with `/`.
    pub exempt_paths: Vec<String>,
    /// Known prefixes without which it is not switched to.
    pub minimum: NonZeroU32,
    /// More than which share of the requests of confirmed customers it may not shut out.
    pub customers_refused: Share,
    /// What tells that an attack is still on while it is opened again.
    pub reopen: Reopen,
}

/// More than which shares tell that an attack is still on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reopen {
    /// Of the requests that are let in: those that a limit refuses.
    pub refused: Share,
    /// Of the requests that are let in: those that an upstream does not answer.
    pub failed: Share,
    /// Of the requests that are answered: those that took longer than `slower_than`.
    pub slow: Share,
    /// More than 0, at most one day.
    pub slower_than: Duration,
    /// Of the connections that anybody may have: those that are open.
    pub connections: Share,
}

impl Default for Reopen {
    fn default() -> Reopen {
        Reopen {
            refused: Share::of_parts(2000),
            failed: Share::of_parts(500),
            slow: Share::of_parts(2000),
            slower_than: Duration::from_secs(5),
            connections: Share::of_parts(8000),
        }
    }
}

impl Default for KnownOnly {
    fn default() -> KnownOnly {
        KnownOnly {
            duration: Duration::from_secs(30 * 60),
            exempt_paths: Vec::new(),
            minimum: NonZeroU32::MIN,
            customers_refused: Share::of_parts(500),
            reopen: Reopen::default(),
        }
    }
}

/// How long each step may take: each more than 0 and at most one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// To receive the header of the PROXY protocol.
    pub proxy_header: Duration,
    /// To finish a TLS handshake.
    pub tls_handshake: Duration,
    /// From the first byte of a request, or from the accept, to the end of its head.
    pub request_header: Duration,
    /// Between two parts of a request's body.
    pub request_body_idle: Duration,
    /// Bytes per second of a request's body that come at least, while the gate waits for them, in
    /// each `request_body_idle`; 0 for any. At most 1 GiB/s.
    pub request_body_rate: u64,
    /// Between two parts of a response that the client reads.
    pub response_body_idle: Duration,
    /// Bytes per second that a client reads at least, while the gate waits for it, in each
    /// `response_body_idle`; 0 for any. At most 1 GiB/s.
    pub response_body_rate: u64,
    /// How long a connection may stay open with no request.
    pub keepalive: Duration,
    /// How long a connection that was upgraded may be silent.
    pub upgraded_idle: Duration,
    /// To connect to a server of an upstream.
    pub upstream_connect: Duration,
    /// From the end of a request to the head of its response.
    pub upstream_response: Duration,
    /// How long requests under way may go on after the gate was told to stop.
    pub drain: Duration,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines {
            proxy_header: Duration::from_secs(3),
            tls_handshake: Duration::from_secs(5),
            request_header: Duration::from_secs(10),
            request_body_idle: Duration::from_secs(30),
            // What Apache's mod_reqtimeout asks for (Kestrel: 240 both ways). The slowest modem is
            // above it, and what a body costs is bounded by it.
            request_body_rate: 500,
            response_body_idle: Duration::from_secs(60),
            response_body_rate: 500,
            keepalive: Duration::from_secs(60),
            // A WebSocket is kept open by pings, which come every half minute or so.
            upgraded_idle: Duration::from_secs(600),
            upstream_connect: Duration::from_secs(2),
            upstream_response: Duration::from_secs(60),
            drain: Duration::from_secs(30),
        }
    }
}

/// The access log.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// Where it is written.
    pub file: LogFile,
    /// Which share of the requests gets a line.
    pub sample: Sample,
    /// The most that is written, messages of the gate included, in bytes per second.
    pub budget: u64,
    /// When a file is replaced by a new one, and how many are kept.
    pub rotate: Rotate,
    /// Whether lines have query strings, which may hold credentials.
    pub query: bool,
}

/// How a file of lines is kept within a total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotate {
    /// The most bytes that one file has.
    pub size: u64,
    /// How many earlier files are kept beside it.
    pub keep: u32,
}

impl Default for Rotate {
    fn default() -> Rotate {
        Rotate {
            size: 64 << 20,
            keep: 4,
        }
    }
}

impl Default for Log {
    fn default() -> Log {
        Log {
            file: LogFile::Stdout,
            sample: Sample::default(),
            budget: 64 * 1024,
            rotate: Rotate::default(),
            query: false,
        }
    }
}

/// Where the access log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFile {
    /// The standard output.
    Stdout,
    /// This file, absolute.
    Path(PathBuf),
}

/// Which share of the requests gets a line, by outcome: each 0.0 to 1.0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Of those that went to the upstream and came back.
    pub forwarded: f64,
    /// Of those that were refused.
    pub refused: f64,
    /// Of those that were forwarded and failed.
    pub failed: f64,
}

impl Default for Sample {
    fn default() -> Sample {
        Sample {
            forwarded: 0.01,
            refused: 0.001,
            failed: 1.0,
        }
    }
}

/// What a refusal tells the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whether a 429 carries `RateLimit` and `RateLimit-Policy`.
    pub ratelimit_fields: bool,
}

impl Default for Refusal {
    fn default() -> Refusal {
        Refusal {
            ratelimit_fields: true,
        }
    }
}

/// The administration API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The Unix socket it listens on: absolute, at most 107 bytes.
    pub socket: PathBuf,
    /// Whether the command line named it: then no file has a say in it.
    pub is_named: bool,
    /// How it is to be had over TCP.
    pub tcp: Option<AdminTcp>,
}

/// The administration API over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminTcp {
    /// Where it listens: a loopback address.
    pub address: SocketAddr,
    /// The file with the token, absolute.
    pub token_file: PathBuf,
}

impl Default for Admin {
    fn default() -> Admin {
        Admin {
            socket: default_admin_socket(),
            is_named: false,
            tcp: None,
        }
    }
}

/// The metrics listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Where it listens; `None` when it was switched off.
    pub address: Option<SocketAddr>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9902))),
        }
    }
}

/// Where run-time state is kept: the mode, learned clients, the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The folder, absolute. It need not exist yet.
    pub directory: PathBuf,
}

impl Default for State {
    fn default() -> State {
        State {
            directory: state_directory(rustix::process::geteuid().as_raw(), from_environment),
        }
    }
}

/// Where the administration socket is when nothing else is said:
/// `/run/tidegate/admin.sock` for root, else `tidegate/admin.sock` in
/// `$XDG_RUNTIME_DIR`, else `/tmp/tidegate-UID/admin.sock`.
#[must_use]
pub fn default_admin_socket() -> PathBuf {
    admin_socket(rustix::process::geteuid().as_raw(), from_environment)
}

fn from_environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn admin_socket(uid: u32, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    if uid == 0 {
        return PathBuf::from("/run/tidegate/admin.sock");
    }
    folder_named_by("XDG_RUNTIME_DIR", variable)
        .map(|folder| folder.join("tidegate"))
        .unwrap_or_else(|| temporary_folder(uid))
        .join("admin.sock")
}

fn state_directory(uid: u32, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    if uid == 0 {
        return PathBuf::from("/var/lib/tidegate");
    }
    folder_named_by("XDG_STATE_HOME", &variable)
        .or_else(|| folder_named_by("HOME", &variable).map(|home| home.join(".local/state")))
        .map(|folder| folder.join("tidegate"))
        .unwrap_or_else(|| temporary_folder(uid).join("state"))
}

fn temporary_folder(uid: u32) -> PathBuf {
    PathBuf::from(format!("/tmp/tidegate-{uid}"))
}

/// The XDG specification has relative paths ignored: they would mean another
/// folder for the gate than for the command that talks to it.
fn folder_named_by(name: &str, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    variable(name)
        .map(PathBuf::from)
        .filter(|folder| Path::is_absolute(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(set: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| {
            set.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.into())
        }
    }

    #[test]
    fn the_admin_socket_is_where_the_user_may_write() {
        let session = [("XDG_RUNTIME_DIR", "/run/user/7")];
        for (uid, set, socket) in [
            (0, &session[..], "/run/tidegate/admin.sock"),
            (7, &session[..], "/run/user/7/tidegate/admin.sock"),
            (
                7,
                &[("XDG_RUNTIME_DIR", "relative")],
                "/tmp/tidegate-7/admin.sock",
            ),
            (7, &[], "/tmp/tidegate-7/admin.sock"),
        ] {
            assert_eq!(admin_socket(uid, variables(set)), Path::new(socket));
        }
    }

    #[test]
    fn the_state_is_where_the_user_may_write() {
        let home = ("HOME", "/home/ann");
        for (uid, set, directory) in [
            (0, vec![home], "/var/lib/tidegate"),
            (7, vec![home, ("XDG_STATE_HOME", "/s")], "/s/tidegate"),
            (7, vec![home], "/home/ann/.local/state/tidegate"),
            (7, vec![], "/tmp/tidegate-7/state"),
        ] {
            assert_eq!(state_directory(uid, variables(&set)), Path::new(directory));
        }
    }
}
