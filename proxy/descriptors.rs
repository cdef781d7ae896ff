//! File descriptors: as many as the connections need, and no more connections than there are
//! descriptors for.

use anyhow::bail;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tidegate_config::Config;

use crate::policy::Caps;

/// Descriptors beside those of connections and of listeners: the admin side's connections, idle
/// ones towards upstreams, files, the runtime.
const RESERVE: u64 = 256;
/// The least of those that the gate can run with: its own files and runtime, and some connections of
/// the admin side.
const LEAST_RESERVE: u64 = 64;
/// Descriptors of a connection: its own, and one towards its upstream.
const EACH: u64 = 2;
/// Descriptors of a listener: its own, and the copy that an upgrade hands over.
const EACH_LISTENER: u64 = 2;

/// The caps that `config` asks for, with the total lowered to what this process may open. Raises the
/// limit of open files as far as the system allows: an accept without a descriptor would stop all
/// others for a second.
///
/// # Errors
/// When there is no room for a single connection.
pub fn fit(config: &Config) -> anyhow::Result<Caps> {
    let caps = Caps::asked(config.connections);
    let listeners = config.listeners.len() as u64 * EACH_LISTENER;
    let wanted = u64::from(caps.asked.get()) * EACH + RESERVE + listeners;
    let granted = raise(wanted);
    if granted >= wanted {
        return Ok(caps);
    }
    let Some(fitting) = fitting(granted, listeners) else {
        bail!(
            "this process may open {granted} files, and the gate needs {LEAST_RESERVE} for itself: raise LimitNOFILE (systemd) or `ulimit -Hn`"
        );
    };
    Ok(caps.lowered_to(fitting))
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
    let reserve = (granted / 2).clamp(LEAST_RESERVE, RESERVE);
    let left = granted.saturating_sub(reserve + listeners) / EACH;
    std::num::NonZeroU32::new(u32::try_from(left).unwrap_or(u32::MAX))
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
