//! What a service manager is told: sd_notify(3), in the few words that the gate needs.
//!
//! Without `NOTIFY_SOCKET` in the environment nobody wants to know.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::Duration;

use crate::clock;

/// The variable that names the process whose watchdog it is.
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// Whether anybody wants to know.
pub fn is_asked_for() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some()
}

/// The gate serves.
pub fn ready() {
    tell("READY=1");
}

/// The configuration is read again, at this time: the manager waits for [`reloaded`].
pub fn reloading() {
    let micros = clock::monotonic() / 1000;
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
}

/// The gate serves by what it was told last, be that a new configuration or the one of before.
pub fn reloaded(status: &str) {
    tell(&format!("READY=1\nSTATUS={}", line(status)));
}

/// How it is, for people.
pub fn status(status: &str) {
    mention(&format!("STATUS={}", line(status)));
}

/// The gate is told to end, and finishes its requests.
pub fn stopping() {
    tell("STOPPING=1");
}

/// The end takes no longer than this, unless it is said again.
pub fn extend(within: Duration) {
    mention(&format!("EXTEND_TIMEOUT_USEC={}", within.as_micros()));
}

/// Another process is the service from here on.
pub fn main_process(pid: u32) {
    tell(&format!("MAINPID={pid}"));
}

/// All is well.
pub fn alive() {
    mention("WATCHDOG=1");
}

/// How long the manager waits for [`alive`] before it takes this process for hung, if it does.
pub fn watchdog() -> Option<Duration> {
    let asked = env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    (is_own_watchdog() && asked > 0 && is_asked_for()).then(|| Duration::from_micros(asked))
}

/// Lets the process that takes over from this one have its watchdog, too: it goes by the number of a
/// process, and nobody knows that one's before it starts.
pub fn hand_watchdog_to(command: &mut Command) {
    if is_own_watchdog() {
        command.env_remove(WATCHDOG_PID);
    }
}

fn is_own_watchdog() -> bool {
    let this = std::process::id().to_string();
    env::var_os(WATCHDOG_PID).is_none_or(|pid| pid == *this)
}

/// The first line, as the manager reads it by lines: the others show the place in a file.
fn line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// How long a manager may take to make room for a message that must not be lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// Waits a moment for a manager that is busy: who serves, it has to hear.
fn tell(state: &str) {
    say(state, Some(PATIENCE));
}

/// Does not wait: what is lost is said again.
fn mention(state: &str) {
    say(state, None);
}

fn say(state: &str, patience: Option<Duration>) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    if let Err(error) = send(&socket, state, patience) {
        tracing::warn!("the service manager cannot be told {state}: {error}");
    }
}

fn send(socket: &OsStr, state: &str, patience: Option<Duration>) -> io::Result<()> {
    let address = match socket.as_bytes() {
        // Names that are in no file system.
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let from = UnixDatagram::unbound()?;
    // A manager that does not read must not keep the gate waiting.
    match patience {
        Some(patience) => from.set_write_timeout(Some(patience))?,
        None => from.set_nonblocking(true)?,
    }
    from.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_by_a_path_and_by_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("tidegate-notify-{}", std::process::id());
        let of_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (socket, address) in [
            (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (
                UnixDatagram::bind_addr(&of_name).unwrap(),
                format!("@{name}").into(),
            ),
        ] {
            send(&address, "READY=1", None).unwrap();
            let mut message = [0; 64];
            let length = socket.recv(&mut message).unwrap();
            assert_eq!(&message[..length], b"READY=1");
        }
        assert!(send(OsStr::new("/nonexistent/notify"), "READY=1", None).is_err());
    }

    #[test]
    fn a_manager_that_is_busy_is_waited_for_where_the_message_must_not_be_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let full = loop {
            if let Err(error) = send(path.as_os_str(), "STATUS=", None) {
                break error.kind();
            }
        };
        assert_eq!(full, io::ErrorKind::WouldBlock);
        let long = Some(Duration::from_secs(20));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| send(path.as_os_str(), "MAINPID=1", long));
            let mut message = [0; 64];
            let mut heard = 0;
            while heard != "MAINPID=1".len() {
                heard = socket.recv(&mut message).unwrap();
            }
            waiting.join().unwrap().unwrap();
        });
    }
}
