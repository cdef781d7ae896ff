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
    tell(&format!("STATUS={}", line(status)));
}

/// The gate is told to end, and finishes its requests.
pub fn stopping() {
    tell("STOPPING=1");
}

/// The end takes no longer than this, unless it is said again.
pub fn extend(within: Duration) {
    tell(&format!("EXTEND_TIMEOUT_USEC={}", within.as_micros()));
}

/// Another process is the service from here on.
pub fn main_process(pid: u32) {
    tell(&format!("MAINPID={pid}"));
}

/// All is well.
pub fn alive() {
    tell("WATCHDOG=1");
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

fn tell(state: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    if let Err(error) = send(&socket, state) {
        tracing::warn!("the service manager cannot be told {state}: {error}");
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        // Names that are in no file system.
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let from = UnixDatagram::unbound()?;
    // A manager that does not read must not keep the gate waiting.
    from.set_nonblocking(true)?;
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
            send(&address, "READY=1").unwrap();
            let mut message = [0; 64];
            let length = socket.recv(&mut message).unwrap();
            assert_eq!(&message[..length], b"READY=1");
        }
        assert!(send(OsStr::new("/nonexistent/notify"), "READY=1").is_err());
    }
}
