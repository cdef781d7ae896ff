//! What is told of a run.

use std::time::Duration;

/// Milliseconds that so many thousandths of the durations were within.
pub fn within(sorted: &[Duration], thousandths: usize) -> f64 {
    let place = (sorted.len() * thousandths)
        .div_ceil(1000)
        .saturating_sub(1);
    sorted
        .get(place)
        .map_or(0.0, |duration| duration.as_secs_f64() * 1e3)
}

/// The most usual percentiles, as members of an object of JSON whose names end in this.
pub fn percentiles(mut durations: Vec<Duration>, suffix: &str) -> String {
    durations.sort_unstable();
    let [half, most, nearly_all] = [500, 990, 999].map(|share| within(&durations, share));
    format!(r#""p50{suffix}":{half:.3},"p99{suffix}":{most:.3},"p999{suffix}":{nearly_all:.3}"#)
}
