//! HTTP/2 from clients that mean harm: each is ended in time, under its counter, and others are served.

/// Floods of frames, each of which is allowed.
mod floods;
/// Requests that no HTTP/2 request may be.
mod malformed;
/// Silence, and what comes too slowly.
mod slow;

use std::time::{Duration, Instant};

use crate::harness::frames::{Frames, Outcome, SETTINGS};
use crate::harness::{App, Gate, Http2, ROOMY, Trust, eventually};
use crate::http2::serving;

/// A deadline, the moment in which a client may hear of it, and what a busy machine may add.
const IN_TIME: Duration = Duration::from_millis(300 + 500 + 1000);

/// Kilobytes that a flood on one connection may leave in use.
const FLOOD: u64 = 16 * 1024;

/// Short deadlines, and no limit that gets in the way.
const IMPATIENT: &str = r#"
[client]
limit = { rate = "100000/s", burst = 100000 }
connections = 1000
requests_per_connection = 1_000_000_000

[deadlines]
request_header = "300ms"
request_body_idle = "300ms"
request_body_rate = "1KiB/s"
response_body_idle = "300ms"
response_body_rate = "1KiB/s"
keepalive = "900ms"
"#;

/// A gate with one client that means well, beside whom another means harm.
struct Siege {
    app: App,
    gate: Gate,
    trust: Trust,
}

impl Siege {
    fn of(app: App) -> Siege {
        let (gate, trust) = serving(&app, IMPATIENT);
        Siege { app, gate, trust }
    }

    fn begin() -> Siege {
        Siege::of(App::echoing_paths())
    }

    /// With deadlines that nobody comes near.
    fn patient() -> Siege {
        let app = App::echoing_paths();
        let (gate, trust) = serving(&app, ROOMY);
        Siege { app, gate, trust }
    }

    /// A connection that has said hello and heard it.
    fn frames(&self) -> Frames {
        self.frames_with(&[])
    }

    fn frames_with(&self, settings: &[(u16, u32)]) -> Frames {
        let mut frames = Frames::open(&self.gate, &self.trust, settings);
        let hello = frames.next().expect("the gate says hello");
        assert_eq!(hello.kind, SETTINGS);
        frames
    }

    /// Others are served, on a connection of their own.
    #[track_caller]
    fn serves_others(&self) {
        let other = Http2::open(&self.gate, &self.trust);
        assert_eq!(other.get("/other").text(), "/other");
    }

    /// Others are served; so many connections ended for this reason, and none is left.
    #[track_caller]
    fn ends_as(&self, reason: &str, count: f64) {
        self.serves_others();
        eventually(&format!("{count} ended as {reason}"), || {
            self.gate.ended(reason) == count
        });
        eventually("no connection is left", || {
            self.gate.metric("tidegate_connections_open") == 0.0
        });
        let said = self.gate.messages();
        assert!(!self.gate.has_said("panicked"), "{said:#?}");
    }

    /// The connection ends within its deadline for this reason.
    #[track_caller]
    fn ends_in_time(&self, mut frames: Frames, since: Instant, reason: &str) {
        let ended = frames.outcome(u32::MAX);
        let taken = since.elapsed();
        assert!(matches!(ended, Outcome::Over(_)), "{ended:?}");
        assert!(taken < IN_TIME, "{reason} took {taken:?}");
        self.ends_as(reason, 1.0);
    }
}
