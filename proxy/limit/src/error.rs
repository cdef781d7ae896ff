//! Why something cannot be built.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a [`Quota`](crate::Quota) cannot be built. Each says the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotaError {
    /// The rate is above `most` a second.
    TooFast {
        /// The highest rate, a second.
        most: u32,
    },
    /// The burst is above `most`.
    BurstTooLarge {
        /// The largest burst.
        most: u32,
    },
    /// The whole burst and one more token take longer than `most` to refill.
    WindowTooLong {
        /// The longest time for burst and one token.
        most: Duration,
    },
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFast { most } => write!(f, "the rate is above {most} a second"),
            Self::BurstTooLarge { most } => write!(f, "the burst is above {most}"),
            Self::WindowTooLong { most } => write!(
                f,
                "the burst and one more token take longer than {} hours to refill: \
                 use a smaller burst or a higher rate",
                most.as_secs() / 3600
            ),
        }
    }
}

impl Error for QuotaError {}

/// Why a [`Table`](crate::Table) or an [`Occupancy`](crate::Occupancy) cannot be
/// built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableError {
    /// The hash has too few bits to tell so many apart.
    TooLarge {
        /// The largest size that can be asked for.
        most: u64,
    },
    /// The operating system does not give the memory.
    OutOfMemory {
        /// How much was asked for, in bytes.
        bytes: u64,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { most } => write!(f, "the size is above {most}"),
            Self::OutOfMemory { bytes } => write!(f, "cannot allocate {bytes} bytes"),
        }
    }
}

impl Error for TableError {}
