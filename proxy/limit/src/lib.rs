//! Tidegate's limiter: how often, and how many at once.
//!
//! - [`Limiter`] decides how often a key may pass: one [`Quota`] (a rate and a
//!   burst) over a shared [`Table`] of token buckets.
//! - [`Occupancy`] counts how many of something a key has in use now: the open
//!   connections of a client, the requests in flight of a tenant.
//! - [`Gauge`] counts one total: all open connections.
//! - [`KeyHasher`] makes the [`Key`] that the others count by.
//!
//! Nothing here takes a lock, allocates after its construction, does I/O or
//! reads a clock: the caller reads the time once a request and passes it in as
//! [`Now`].
//!
//! Reading order: `key`, `time`, `quota`; then `ring` (what one entry looks
//! like in a word), `bucket` (eight of them in a cache line), `table` (the
//! rules by which threads share them, with `memory`, `tally` and `image` beside it) and
//! `limiter` (where governor's arithmetic meets the table). `occupancy` and
//! `gauge` stand alone.
//!
//! # Example
//! ```
//! use std::{num::NonZeroU32, sync::Arc, time::Duration};
//! use tidegate_limit::{Decision, Domain, KeyHasher, Limiter, Now, Quota, Table};
//!
//! let one = NonZeroU32::MIN;
//! let quota = Quota::new(one, Duration::from_secs(1), one)?;
//! let limiter = Limiter::new(quota, &Arc::new(Table::new(1_000)?));
//! let client = KeyHasher::new().key(Domain::Client, &[192, 0, 2, 1]);
//!
//! let now = Now::from_nanos(0);
//! assert_eq!(limiter.take(client, one, now), Decision::Allowed { remaining: 0 });
//! let wait = Duration::from_secs(1);
//! assert_eq!(limiter.take(client, one, now), Decision::Refused { wait });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Sources
//! - GCRA, the generic cell rate algorithm: ITU-T I.371; a leaky bucket that
//!   stores one time instead of a level.
//! - [governor](https://docs.rs/governor), whose implementation of GCRA this is.
//! - J.-P. Aumasson, D. J. Bernstein: SipHash, a fast short-input PRF
//!   (INDOCRYPT 2012); here with one compression and three finalisation rounds.

#![deny(unsafe_code)]
#![warn(missing_docs, missing_debug_implementations)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod atomic;
mod bucket;
mod error;
mod gauge;
mod image;
mod key;
mod limiter;
// The only unsafe code: advice about memory to the system and to the processor, measured in
// benches/limiter. Neither has a safe interface.
#[allow(unsafe_code)]
mod memory;
mod occupancy;
mod quota;
#[cfg(all(test, loom))]
mod races;
mod ring;
mod table;
mod tally;
mod time;

pub use error::{QuotaError, TableError};
pub use gauge::{Gauge, GaugePermit};
pub use image::ImagePart;
pub use key::{Domain, Key, KeyHasher};
pub use limiter::{Decision, Limiter};
pub use memory::prefetch;
pub use occupancy::{Occupancy, Permit};
pub use quota::Quota;
pub use table::Table;
pub use time::Now;
