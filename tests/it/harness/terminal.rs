//! A terminal, and a verb on it.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::pty::{Winsize, openpty};

use super::gate::end_within_patience;
use super::{Gate, eventually};

const ROWS: NonZero<u16> = NonZero::new(40).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(120).unwrap();

/// What a verb shows on a terminal, and the keys for it.
pub struct Terminal {
    child: Child,
    keys: File,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    /// Runs a verb against a gate.
    pub fn of(gate: &Gate, arguments: &[&str]) -> Terminal {
        let size = Winsize {
            ws_row: ROWS.get(),
            ws_col: COLUMNS.get(),
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(Some(&size), None).expect("a terminal");
        let end = |end: &OwnedFd| end.try_clone().expect("a descriptor");
        let child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .arg("--admin")
            .arg(gate.folder.path("admin.sock"))
            .args(arguments)
            .env("TERM", "xterm-256color")
            .stdin(Stdio::from(end(&pair.slave)))
            .stdout(Stdio::from(end(&pair.slave)))
            .stderr(Stdio::from(end(&pair.slave)))
            .spawn()
            .expect("the binary runs");
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let (shown, mut written) = (screen.clone(), File::from(end(&pair.master)));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The terminal's end of life is an error, too.
            while let Ok(count @ 1..) = written.read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..count]);
            }
        });
        Terminal {
            child,
            keys: File::from(pair.master),
            screen,
        }
    }

    /// What is on it.
    pub fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Waits until it shows this.
    pub fn shows(&self, text: &str) {
        eventually(&format!("the screen to show {text:?}"), || {
            self.text().contains(text)
        });
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("a terminal");
    }

    /// The exit code, once the verb has ended and the terminal is as it was.
    pub fn end(mut self) -> Option<i32> {
        let status = end_within_patience(&mut self.child);
        eventually("the terminal to be as it was", || {
            let screen = self.screen.lock().unwrap();
            !screen.screen().alternate_screen() && !screen.screen().hide_cursor()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
