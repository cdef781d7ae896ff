//! A real gate, a real app and a real client in a few lines:
//!
//! ```ignore
//! let app = App::answering(|request| Reply::text(&request.path));
//! let gate = Gate::before(&app, "[client]\nlimit = { rate = \"5/s\", burst = 10 }");
//! assert_eq!(gate.get("/hello").status, 200);
//! ```

mod app;
mod client;
mod gate;

pub use app::{App, Reply, Request};
pub use client::{Connection, Response};
pub use gate::{Folder, Gate, Output, tidegate};

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds, and says what was waited for when it does not.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "gave up waiting for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
