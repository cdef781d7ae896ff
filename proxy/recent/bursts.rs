//! How much clients took within ten seconds each: from this it is told what another limit would have
//! refused.

/// Values below it have a bucket each, and the others so many for each doubling.
const FINE: u64 = 16;
const BUCKETS: usize = 16 + 8 * 28;

/// What a client took within ten seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Burst {
    /// Tokens of its limit.
    pub tokens: u32,
    /// Requests that took them.
    pub requests: u32,
}

impl Burst {
    /// The requests that came beyond so many tokens, as if each took as much.
    pub fn beyond(self, most: u64) -> u64 {
        beyond(1, self.tokens.into(), self.requests.into(), most)
    }
}

/// A histogram: how many times a client took about so many tokens within ten seconds, and how many tokens
/// and requests those were together. A bucket is at most an eighth wide.
#[derive(Clone, Debug)]
pub struct Bursts {
    buckets: Vec<Bucket>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    times: u64,
    tokens: u64,
    requests: u64,
}

impl Default for Bursts {
    fn default() -> Self {
        Bursts {
            buckets: vec![Bucket::default(); BUCKETS],
        }
    }
}

/// Of so many requests, which took so many tokens in so many times ten seconds: those that came beyond
/// `most` tokens each time.
fn beyond(times: u64, tokens: u64, requests: u64, most: u64) -> u64 {
    let beyond = tokens.saturating_sub(times.saturating_mul(most));
    let share = u128::from(requests) * u128::from(beyond) / u128::from(tokens.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
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
    /// A client took this within ten seconds.
    pub fn add(&mut self, burst: Burst) {
        if let Some(bucket) = self.buckets.get_mut(bucket(burst.tokens.into())) {
            bucket.times += 1;
            bucket.tokens += u64::from(burst.tokens);
            bucket.requests += u64::from(burst.requests);
        }
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        for (here, there) in self.buckets.iter_mut().zip(&other.buckets) {
            here.times += there.times;
            here.tokens += there.tokens;
            here.requests += there.requests;
        }
    }

    /// The requests that came beyond `most` tokens within ten seconds, at least: of the one bucket that
    /// `most` lies in, as if all in it were the same.
    pub fn beyond(&self, most: u64) -> u64 {
        let each = self.buckets.iter();
        each.map(|bucket| beyond(bucket.times, bucket.tokens, bucket.requests, most))
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
            let requests = tokens;
            bursts.add(Burst { tokens, requests });
        }
        assert_eq!(bursts.beyond(0), 1215);
        assert_eq!(bursts.beyond(8), 2 + 192 + 992);
        assert_eq!(bursts.beyond(500), 500);
        assert_eq!(bursts.beyond(5000), 0);
    }

    #[test]
    fn requests_that_cost_more_are_no_more_requests() {
        let mut bursts = Bursts::default();
        let costly = Burst {
            tokens: 200,
            requests: 20,
        };
        bursts.add(costly);
        assert_eq!((bursts.beyond(100), costly.beyond(100)), (10, 10));
        let free = Burst {
            tokens: 0,
            requests: 0,
        };
        bursts.add(free);
        assert_eq!((bursts.beyond(0), free.beyond(0)), (20, 0));
    }
}
