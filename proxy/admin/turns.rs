//! Questions that cost something, one at a time: whoever asks all the time gets a share of a core, and
//! the traffic the rest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::sleep;

/// How many times as long as one takes until the next: a quarter of a core.
const REST: u32 = 3;
/// And at most, as a disk may take its time.
const LONGEST: Duration = Duration::from_secs(1);

/// Turns to answer questions of one kind.
#[derive(Debug, Default)]
pub struct Turns(Arc<Mutex<()>>);

/// The turn of one who asks. Once it is over, nobody has one for a while.
#[derive(Debug)]
pub(super) struct Turn {
    one: Option<OwnedMutexGuard<()>>,
    began: Instant,
}

impl Turns {
    /// The next turn, in the order in which it is asked for.
    pub(super) async fn next(&self) -> Turn {
        let one = self.0.clone().lock_owned().await;
        Turn {
            one: Some(one),
            began: Instant::now(),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (one, rest) = (self.one.take(), self.began.elapsed() * REST);
        tokio::spawn(async move {
            sleep(rest.min(LONGEST)).await;
            drop(one);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_is_followed_by_a_rest_as_long_as_it_was_expensive() {
        let turns = Turns::default();
        let begun = tokio::time::Instant::now();
        drop(turns.next().await);
        let cheap = begun.elapsed();
        assert!(cheap < Duration::from_millis(10), "{cheap:?}");
        let mut expensive = turns.next().await;
        expensive.began -= Duration::from_millis(100);
        let begun = tokio::time::Instant::now();
        drop(expensive);
        let _next = turns.next().await;
        let rest = begun.elapsed();
        assert!(rest >= Duration::from_millis(300), "{rest:?}");
        assert!(rest < Duration::from_secs(1), "{rest:?}");
    }
}
