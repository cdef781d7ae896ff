//! File descriptors: as many as the connections need, asked for at start.

use std::num::NonZeroU32;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors beside those of connections: listeners, the admin side, files, the runtime.
const RESERVE: u64 = 256;

/// Raises the limit of this process to what `connections` need, each with one towards its upstream,
/// as far as the system allows, and says so when that is too little.
pub fn raise(connections: NonZeroU32) {
    let wanted = u64::from(connections.get()) * 2 + RESERVE;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    let granted = wanted.min(hard).max(soft);
    if granted > soft && setrlimit(Resource::RLIMIT_NOFILE, granted, hard).is_err() {
        tracing::warn!("the limit of open files stays at {soft}");
    }
    if granted < wanted {
        tracing::warn!(
            "this process may open {granted} files, and connections.total = {connections} needs up to {wanted}: raise LimitNOFILE (systemd) or `ulimit -Hn`, or lower connections.total"
        );
    }
}
