//! What is in force: read without a lock, replaced whole.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

/// Milliseconds after which nothing is being decided any more by what was in force before.
const LONGEST_LOOK: u32 = 100;

/// Something that every request goes by, and that may be large.
#[derive(Debug, Default)]
pub struct InForce<T> {
    now: ArcSwap<T>,
    turn: Mutex<()>,
}

impl<T> InForce<T> {
    /// This one, in force.
    pub fn of(first: T) -> Self {
        InForce {
            now: ArcSwap::from_pointee(first),
            turn: Mutex::new(()),
        }
    }

    /// The one in force, for a look at it.
    pub fn load(&self) -> Guard<Arc<T>> {
        self.now.load()
    }

    /// Puts the one that `latest` gives in force. One at a time, so that no older one replaces a newer
    /// one. The one before ends here and not in a request that goes by it: to free a large one takes a
    /// moment, for which the caller has to have time.
    pub fn replace(&self, latest: impl FnOnce() -> T) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.now.swap(Arc::new(latest()));
        for _ in 0..LONGEST_LOOK {
            if Arc::strong_count(&before) == 1 {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Tells which thread it ends in.
    struct Told(mpsc::Sender<thread::ThreadId>);

    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().id());
        }
    }

    /// Whether something ends in the thread that replaces it, while another one looks at it.
    fn ends_where_it_is_replaced() -> bool {
        let (ended, told) = mpsc::channel();
        let both = Arc::new(InForce::of(Told(ended.clone())));
        let looking = both.load();
        let replacing = {
            let both = both.clone();
            thread::spawn(move || both.replace(|| Told(ended)))
        };
        while std::ptr::eq(&**both.load(), &**looking) {
            thread::yield_now();
        }
        drop(looking);
        let replacer = replacing.thread().id();
        replacing.join().unwrap();
        told.recv().unwrap() == replacer
    }

    #[test]
    fn what_was_in_force_ends_with_who_replaces_it_and_not_with_who_looks() {
        // Who looks may be held up for so long that nobody waits for it.
        let ended = (0..20).any(|_| ends_where_it_is_replaced());
        assert!(ended, "freed by who looks, 20 times");
    }
}
