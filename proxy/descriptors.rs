//! File descriptors: as many as the connections need, and no more connections than there are
//! descriptors for.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use anyhow::bail;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tidegate_config::Config;

use crate::policy::Caps;

/// Descriptors beside those of connections, of listeners and of idle connections towards upstreams:
/// the admin side's connections, files, the runtime.
const RESERVE: u64 = 256;
/// Idle connections towards upstreams that a thread keeps for the next requests.
const IDLE_A_THREAD: u64 = 128;
/// The least of those that the gate can run with: its own files and runtime, and some connections of
/// the admin side.
const LEAST_RESERVE: u64 = 64;
/// Descriptors of a connection: its own, and one towards its upstream.
const EACH: u64 = 2;
/// Descriptors of a listener: its own, and the copy that an upgrade hands over.
const EACH_LISTENER: u64 = 2;

/// What this process has descriptors for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// The caps that are asked for, with the total lowered to what fits.
    pub caps: Caps,
    /// Idle connections towards upstreams that a thread may keep.
    pub idle_a_thread: usize,
}

/// What this process may open for `config`. Raises the limit of open files as far as the system
/// allows: an accept without a descriptor would stop all others for a second.
///
/// # Errors
/// When there is no room for a single connection.
pub fn fit(config: &Config) -> anyhow::Result<Room> {
    let caps = Caps::asked(config.connections);
    let listeners = config.listeners.len() as u64 * EACH_LISTENER;
    let threads = threads(config);
    let idle = threads.saturating_mul(IDLE_A_THREAD);
    let wanted = u64::from(caps.asked.get()) * EACH + RESERVE + listeners + idle;
    let granted = raise(wanted);
    if granted >= wanted {
        return Ok(Room {
            caps,
            idle_a_thread: IDLE_A_THREAD as usize,
        });
    }
    let Some(fitting) = fitting(granted, listeners) else {
        bail!(
            "this process may open {granted} files, and the gate needs {LEAST_RESERVE} for itself: raise LimitNOFILE (systemd) or `ulimit -Hn`"
        );
    };
    // Where descriptors are few, idle connections are kept out of the reserve.
    let idle = reserve(granted) / 2 / threads;
    Ok(Room {
        caps: caps.lowered_to(fitting),
        idle_a_thread: usize::try_from(idle).unwrap_or(1).max(1),
    })
}

/// Threads that serve traffic.
fn threads(config: &Config) -> u64 {
    let threads = config.threads.or_else(|| available_parallelism().ok());
    threads.map_or(1, NonZeroUsize::get) as u64
}

/// Raises the limit of open files towards `wanted`, and says what it is.
pub fn raise(wanted: u64) -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return wanted;
    };
    let granted = wanted.min(hard).max(soft);
    match granted > soft && setrlimit(Resource::RLIMIT_NOFILE, granted, hard).is_err() {
        true => soft,
        false => granted,
    }
}

/// How many connections so many descriptors are enough for; `None` when not for one. Where they are
/// few, half of them are the reserve.
fn fitting(granted: u64, listeners: u64) -> Option<std::num::NonZeroU32> {
    let left = granted.saturating_sub(reserve(granted) + listeners) / EACH;
    std::num::NonZeroU32::new(u32::try_from(left).unwrap_or(u32::MAX))
}

fn reserve(granted: u64) -> u64 {
    (granted / 2).clamp(LEAST_RESERVE, RESERVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_the_limit_is_for_connections() {
        for (granted, listeners, connections) in [
            (0, 1, None),
            (64, 1, None),
            (66, 1, None),
            (67, 1, Some(1)),
            (256, 1, Some(63)),
            (1024, 1, Some(383)),
            (1024, 1000, None),
            (20_256, 0, Some(10_000)),
            (u64::MAX, 1, Some(u32::MAX)),
        ] {
            let found = fitting(granted, listeners).map(std::num::NonZeroU32::get);
            assert_eq!(found, connections, "{granted} files, {listeners} listeners");
        }
    }
}
