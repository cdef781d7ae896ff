//! How much clients took within ten seconds each: from this it is told what another limit would have
//! refused.

/// Values below it have a bucket each, and the others so many for each doubling.
const FINE: u64 = 16;
const BUCKETS: usize = 16 + 8 * 28;

/// A histogram: how many times a client took about so many tokens within ten seconds, and how many those
/// were together. A bucket is at most an eighth wide.
#[derive(Clone, Debug)]
pub struct Bursts {
    /// Times, and tokens.
    buckets: Vec<(u64, u64)>,
}

impl Default for Bursts {
    fn default() -> Self {
        Bursts {
            buckets: vec![(0, 0); BUCKETS],
        }
    }
}

/// Which bucket a value belongs to.
fn bucket(tokens: u64) -> usize {
    if tokens < FINE {
        return tokens as usize;
    }
    let doublings = tokens.ilog2() - FINE.ilog2();
    let eighth = (tokens >> (doublings + 1)) - FINE / 2;
    (FINE as usize + 8 * doublings as usize + eighth as usize).min(BUCKETS - 1)
}

impl Bursts {
    /// A client took so many within ten seconds.
    pub fn add(&mut self, tokens: u64) {
        if let Some((times, sum)) = self.buckets.get_mut(bucket(tokens)) {
            *times += 1;
            *sum += tokens;
        }
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        for (here, there) in self.buckets.iter_mut().zip(&other.buckets) {
            here.0 += there.0;
            here.1 += there.1;
        }
    }

    /// All tokens.
    pub fn tokens(&self) -> u64 {
        self.buckets.iter().map(|(_, sum)| sum).sum()
    }

    /// The tokens that were more than `most` within ten seconds, at least: of the one bucket that `most`
    /// lies in, as if all in it were the same.
    pub fn beyond(&self, most: u64) -> u64 {
        let each = self.buckets.iter();
        each.map(|(times, sum)| sum.saturating_sub(times.saturating_mul(most)))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_bucket_at_most_an_eighth_wide() {
        let mut last = 0;
        for tokens in 0..100_000_u64 {
            let at = bucket(tokens);
            assert!(
                at == last || at == last + 1,
                "{tokens} is in bucket {at}, after {last}"
            );
            last = at;
        }
        for tokens in [100_u64, 1000, 1_000_000, 1 << 30] {
            assert_ne!(bucket(tokens), bucket(tokens + tokens / 8 + 1), "{tokens}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn what_is_beyond_a_limit_is_told_exactly_but_for_one_bucket() {
        let mut bursts = Bursts::default();
        for tokens in [5, 10, 200, 1000] {
            bursts.add(tokens);
        }
        assert_eq!(bursts.tokens(), 1215);
        assert_eq!(bursts.beyond(0), 1215);
        assert_eq!(bursts.beyond(8), 2 + 192 + 992);
        assert_eq!(bursts.beyond(500), 500);
        assert_eq!(bursts.beyond(5000), 0);
    }
}
