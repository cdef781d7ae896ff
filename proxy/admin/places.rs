//! The places of a listener of the admin side. Connections share the descriptors with the traffic, so
//! there are few of them at a time; when more come, those go first that have kept the gate waiting
//! longest, so that a crowd of slow or silent clients never keeps out one who asks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// Connections of one listener at a time; beyond one that waits for its place, more wait in the
/// kernel's queue.
const CONNECTIONS: u32 = 64;

/// For which a connection is left alone, however many come: whoever wants to ask has asked by then.
const MOMENT: Duration = Duration::from_millis(250);

/// Places, and who waits for its client.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    /// Connections whose client has to do something, in the order in which that began.
    waiting: Mutex<BTreeMap<u64, Waiting>>,
    turns: AtomicU64,
    /// One more waits for its client.
    began: Notify,
    /// Connections that were ended because others needed their places.
    ended: AtomicU64,
}

/// A connection whose client has to do something.
#[derive(Debug)]
struct Waiting {
    /// When its place may be given to another one.
    due: Instant,
    end: Arc<Notify>,
}

/// A connection's place. It waits for its client unless it is at work.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    turn: AtomicU64,
    end: Arc<Notify>,
    _free: Option<OwnedSemaphorePermit>,
}

/// For as long as it lives, the gate is at work for a connection, which keeps its place.
#[derive(Debug)]
pub(super) struct Work(Arc<Place>);

impl Default for Places {
    fn default() -> Self {
        Places {
            free: Arc::new(Semaphore::new(CONNECTIONS as usize)),
            waiting: Mutex::default(),
            turns: AtomicU64::new(0),
            began: Notify::new(),
            ended: AtomicU64::new(0),
        }
    }
}

impl Places {
    /// A place for one more connection: a free one, or that of the one which has kept the gate waiting
    /// longest. While the gate is at work for all of them, it comes when one is done.
    pub(super) async fn take(self: &Arc<Self>) -> Arc<Place> {
        let free = self.free().await;
        let place = Arc::new(Place {
            places: self.clone(),
            turn: AtomicU64::new(0),
            end: Arc::default(),
            _free: free,
        });
        place.wait();
        place
    }

    async fn free(&self) -> Option<OwnedSemaphorePermit> {
        // Nobody closes the semaphore, so there is a place in the end.
        let free = async { self.free.clone().acquire_owned().await.ok() };
        tokio::pin!(free);
        let ended = async { while !self.end_longest().await {} };
        tokio::select! {
            biased;
            free = &mut free => return free,
            // It goes when its task has its turn.
            () = ended => {}
        }
        free.await
    }

    /// Ends the connection that has kept the gate waiting longest, once it has had its moment; whether
    /// there was one.
    async fn end_longest(&self) -> bool {
        let due = self.waiting().first_key_value().map(|(_, one)| one.due);
        match due {
            Some(due) => sleep_until(due).await,
            None => self.began.notified().await,
        }
        let mut waiting = self.waiting();
        let longest = waiting.first_entry();
        let longest = longest.filter(|one| one.get().due <= Instant::now());
        longest.is_some_and(|longest| {
            self.ended.fetch_add(1, Relaxed);
            longest.remove().end.notify_one();
            true
        })
    }

    /// Ends once all are free.
    pub(super) async fn all_free(&self) {
        drop(self.free.acquire_many(CONNECTIONS).await);
    }

    /// How many connections were ended because others needed their places.
    pub(super) fn ended(&self) -> u64 {
        self.ended.load(Relaxed)
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The client is to be answered now.
    pub(super) fn work(self: &Arc<Self>) -> Work {
        self.places.waiting().remove(&self.turn.load(Relaxed));
        Work(self.clone())
    }

    /// Ends when the place is needed for another connection.
    pub(super) async fn needed(&self) {
        self.end.notified().await;
    }

    fn wait(&self) {
        let turn = self.places.turns.fetch_add(1, Relaxed);
        self.turn.store(turn, Relaxed);
        let waiting = Waiting {
            due: Instant::now() + MOMENT,
            end: self.end.clone(),
        };
        self.places.waiting().insert(turn, waiting);
        self.places.began.notify_waiters();
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.wait();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.waiting().remove(&self.turn.load(Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    async fn is_needed(place: &Place) -> bool {
        timeout(2 * MOMENT, place.needed()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_kept_the_gate_waiting_longest_goes_and_who_is_answered_stays() {
        let places = Arc::new(Places::default());
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            held.push(places.take().await);
        }
        assert!(!is_needed(&held[0]).await, "nobody needs it yet");
        let answered = held[0].work();
        let more = tokio::spawn({
            let places = places.clone();
            async move { places.take().await }
        });
        assert!(is_needed(&held[1]).await, "the longest that waits");
        assert!(!is_needed(&held[0]).await, "it is being answered");
        assert!(!is_needed(&held[2]).await, "one too many");
        assert!(!more.is_finished(), "the place is not free yet");
        held.remove(1);
        let _more = timeout(MOMENT, more).await.expect("a place is free");
        drop(answered);
        assert_eq!(places.ended(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn while_all_are_answered_one_more_waits_until_one_is_done() {
        let places = Arc::new(Places::default());
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            let place = places.take().await;
            held.push((place.work(), place));
        }
        let more = tokio::spawn({
            let places = places.clone();
            async move { places.take().await }
        });
        assert!(!is_needed(&held[7].1).await);
        let (work, place) = held.remove(7);
        drop(work);
        assert!(is_needed(&place).await, "it is done, and waits again");
        drop(place);
        let _more = timeout(MOMENT, more).await.expect("a place is free");
        assert!(timeout(MOMENT, places.all_free()).await.is_err());
    }
}
