//! A service manager, as far as it listens: the other end of `NOTIFY_SOCKET`.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Folder, PATIENCE};

/// Hears what a gate tells.
pub struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    pub const WATCHDOG: Duration = Duration::from_millis(300);

    pub fn in_folder(folder: &Folder) -> Manager {
        let path = folder.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Manager { socket, path }
    }

    /// Lets a program tell it, also that it is well: within [`Manager::WATCHDOG`].
    pub fn told_by<'command>(&self, command: &'command mut Command) -> &'command mut Command {
        let watchdog = Self::WATCHDOG.as_micros().to_string();
        command.env("NOTIFY_SOCKET", &self.path);
        command.env("WATCHDOG_USEC", watchdog)
    }

    fn hear(&self, within: Duration) -> Option<String> {
        let within = within.max(Duration::from_millis(1));
        self.socket.set_read_timeout(Some(within)).unwrap();
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).ok()?;
        Some(String::from_utf8_lossy(&message[..length]).into_owned())
    }

    /// The next message that begins like this.
    #[track_caller]
    pub fn next(&self, beginning: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.hear(left) {
                Some(message) if message.starts_with(beginning) => return message,
                Some(message) => others.push(message),
                None => panic!("never told {beginning}, but {others:?}"),
            }
        }
    }

    /// What it was told and has not looked at.
    pub fn all(&self) -> Vec<String> {
        std::iter::from_fn(|| self.hear(Duration::ZERO)).collect()
    }
}
