//! A real gate, a real app and a real client in a few lines:
//!
//! ```ignore
//! let app = App::answering(|request| Reply::text(&request.path));
//! let gate = Gate::before(&app, "[client]\nlimit = { rate = \"5/s\", burst = 10 }");
//! assert_eq!(gate.get("/hello").status, 200);
//! ```

mod app;
mod certificates;
mod client;
mod crowd;
mod databases;
mod exposition;
pub mod frames;
mod gate;
mod latch;
mod load;
mod manager;
mod multiplexed;
mod names;
mod promql;
mod schema;
mod terminal;
mod tool;

pub use app::{App, Reply, Request, read_head, unused_address};
pub use certificates::{Authority, Issued, Trust, http2_listener, tls_listener};
pub use client::{Connection, Response};
pub use crowd::{PROXIED, client, get_as};
pub use databases::{database, database_of};
pub use exposition::{Exposition, Family};
pub use gate::{Folder, Gate, Output, tidegate, with_upstream};
pub use latch::Latch;
pub use load::Load;
pub use manager::Manager;
pub use multiplexed::{Answer, Http2, Pending, request};
pub use names::Names;
pub use promql::selectors;
pub use schema::Schemas;
pub use terminal::Terminal;
pub use tool::{Process, tool};

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Configuration of a gate that refuses nobody, for tests that are not about limits.
pub const ROOMY: &str = "[client]\nlimit = { rate = \"1000000/s\", burst = 1000000 }\nconnections = 1000\n\
     requests_per_connection = 1_000_000_000\n";

/// Bytes that do not repeat themselves at any power of two, so that what is lost, doubled or moved
/// shows.
pub fn pattern(length: usize) -> Vec<u8> {
    const PRIME: usize = 65_521;
    let block: Vec<u8> = (0..PRIME).map(|at| (at * at % 251) as u8).collect();
    let mut bytes = block.repeat(length.div_ceil(PRIME));
    bytes.truncate(length);
    bytes
}

/// Waits until `condition` holds, and says what was waited for when it does not.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "gave up waiting for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
