//! Which requests are looked at: all, or so many that it costs little.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// How many a second are looked at, about.
const A_SECOND: f64 = 10_000.0;
/// One in a million is the least: more than a machine can be asked.
const MOST_HALVED: u32 = 20;

/// Draws one in 2^`halved`.
#[derive(Debug, Default)]
pub struct Sampler {
    halved: AtomicU32,
}

impl Sampler {
    /// For how many this one stands; 0 when it is left out.
    pub fn draw(&self) -> u32 {
        let one_in = self.one_in();
        match one_in == 1 || fastrand::u32(..).is_multiple_of(one_in) {
            true => one_in,
            false => 0,
        }
    }

    /// For how many each of those that are drawn stands.
    pub fn one_in(&self) -> u32 {
        1 << self.halved.load(Relaxed).min(MOST_HALVED)
    }

    /// Goes by how many were drawn in some time. It follows a flood at once, and the end of one in
    /// steps, as the next wave may be near.
    pub fn adapt(&self, drawn: u64, time: Duration) {
        let too_many = drawn as f64 / time.as_secs_f64().max(0.001) / A_SECOND;
        let halved = self.halved.load(Relaxed);
        let halved = match too_many {
            many if many > 1.0 => halved + many.log2().ceil() as u32,
            few if few < 0.25 => halved.saturating_sub(1),
            _ => halved,
        };
        self.halved.store(halved.min(MOST_HALVED), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENTH: Duration = Duration::from_millis(100);

    /// How many of so many are drawn in a tenth of a second, and for how many they stand together.
    fn drawn(sampler: &Sampler, of: u32) -> (u64, u64) {
        let drawn = (0..of).map(|_| u64::from(sampler.draw()));
        drawn.fold((0, 0), |(count, sum), one| {
            (count + u64::from(one > 0), sum + one)
        })
    }

    #[test]
    fn it_draws_all_until_they_are_too_many_and_all_again_afterwards() {
        let sampler = Sampler::default();
        assert_eq!(drawn(&sampler, 1000), (1000, 1000));
        sampler.adapt(1000, TENTH);
        assert_eq!(sampler.one_in(), 1, "just as many as may be");
        sampler.adapt(16_000, TENTH);
        assert_eq!(sampler.one_in(), 16);
        for _ in 0..4 {
            sampler.adapt(0, TENTH);
        }
        assert_eq!(sampler.one_in(), 1);
        sampler.adapt(u64::MAX, Duration::ZERO);
        assert_eq!(sampler.one_in(), 1 << MOST_HALVED);
    }

    #[test]
    fn those_that_are_drawn_stand_for_all() {
        fastrand::seed(7);
        let sampler = Sampler::default();
        let (mut all, mut stood_for) = (0, 0);
        for _ in 0..200 {
            let (count, sum) = drawn(&sampler, 20_000);
            sampler.adapt(count, TENTH);
            all += 20_000;
            stood_for += sum;
            assert!(count <= 1_500 || all == 20_000, "{count} were drawn");
        }
        let off = (stood_for as f64 / f64::from(all) - 1.0).abs();
        assert!(off < 0.02, "{stood_for} of {all}");
    }
}
