//! A service manager, as far as it listens: the other end of `NOTIFY_SOCKET`.

use std::net::Shutdown;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Folder, PATIENCE};

/// Hears what a gate tells.
pub struct Manager {
    path: PathBuf,
    socket: UnixDatagram,
    heard: Receiver<String>,
}

impl Manager {
    /// Listens all the time, as a socket takes only some ten messages that nobody reads.
    pub fn in_folder(folder: &Folder) -> Manager {
        let path = folder.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let listening = socket.try_clone().unwrap();
        let (hear, heard) = channel();
        thread::spawn(move || {
            let mut message = [0; 4096];
            while let Ok(length @ 1..) = listening.recv(&mut message) {
                let message = String::from_utf8_lossy(&message[..length]);
                let _ = hear.send(message.into_owned());
            }
        });
        Manager {
            path,
            socket,
            heard,
        }
    }

    /// Lets a program tell it, also that it is well: within this time.
    pub fn told_by<'command>(&self, command: &'command mut Command) -> &'command mut Command {
        let watchdog = Duration::from_millis(300).as_micros().to_string();
        command.env("NOTIFY_SOCKET", &self.path);
        command.env("WATCHDOG_USEC", watchdog)
    }

    /// The next message that begins like this.
    #[track_caller]
    pub fn next(&self, beginning: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.heard.recv_timeout(left) {
                Ok(message) if message.starts_with(beginning) => return message,
                Ok(message) => others.push(message),
                Err(_) => panic!("never told {beginning}, but {others:?}"),
            }
        }
    }

    /// What it was told and has not looked at.
    pub fn all(&self) -> Vec<String> {
        self.heard.try_iter().collect()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // The one who listens hears that nothing more comes.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}
