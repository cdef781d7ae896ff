//! The time, as callers pass it in.

/// A time: nanoseconds since a start that is constant while the process lives.
///
/// The start has to be one for all threads and all limiters, because a
/// [`Table`](crate::Table) keeps times in it across changes of quotas. Every
/// `u64` is a valid time. Times may stand still, and a thread may come with an
/// earlier time than another one has already used: [`Table`](crate::Table) says
/// what that costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now(u64);

impl Now {
    /// The time `nanos` nanoseconds after the start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
}
