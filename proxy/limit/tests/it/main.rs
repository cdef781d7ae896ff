//! How the limiter behaves, seen from outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

/// The words the tests share: keys, quotas, an exact GCRA.
mod model;

/// Times that stand still, go back, or are enormous; entries that grow old.
mod clock;
/// More clients than the table holds.
mod crowded;
/// Random schedules decide as the model does, across the ring's wrap.
mod exact;
/// Chosen keys, floods, sizes beyond the machine.
mod hostile;
/// Contents on their way to another table.
mod image;
/// Domains and hashes.
mod key;
/// What is in use at once.
mod occupancy;
/// Quotas: bounds, rounding, the extremes of rate and burst.
mod quota;
/// A quota is replaced while its counters live.
mod quota_change;
/// Real threads.
mod threads;
