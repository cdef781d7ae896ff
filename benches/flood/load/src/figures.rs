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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_duration_that_so_many_were_within() {
        let durations: Vec<_> = (1..=1000).map(Duration::from_millis).collect();
        assert_eq!(
            [500, 990, 999].map(|share| within(&durations, share)),
            [500.0, 990.0, 999.0]
        );
        assert_eq!(within(&durations[..1], 500), 1.0, "the only one there is");
        assert_eq!(within(&[], 500), 0.0, "nothing was measured");
    }
}
