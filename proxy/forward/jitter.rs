//! Times that differ a little, so that what begins together does not go on together.

use std::time::Duration;

/// How much a time may be shorter or longer.
const JITTER: f64 = 0.1;

/// About this long.
pub(super) fn jittered(exact: Duration) -> Duration {
    exact.mul_f64(1.0 + JITTER * (2.0 * fastrand::f64() - 1.0))
}
