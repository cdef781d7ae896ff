//! Processes that this one starts for itself: waited for, and ended.

use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Between two looks at whether a process has ended.
pub const LOOK: Duration = Duration::from_millis(5);

/// Blocks until a process has ended, but no longer than until the deadline. Says whether it has.
pub fn ended_by(deadline: Instant, mut has_ended: impl FnMut() -> bool) -> bool {
    while !has_ended() {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(LOOK);
    }
    true
}

/// Ends a process, if it has not ended by itself.
pub fn end(child: &mut Child) {
    // Neither does anything to a process that has ended and was waited for.
    let _ = child.kill();
    let _ = child.wait();
}
