//! A moment that a test decides.

use std::sync::{Arc, Condvar, Mutex};

use super::PATIENCE;

/// Whoever waits at it goes on once it is open, and it stays open.
#[derive(Clone, Debug, Default)]
pub struct Latch(Arc<(Mutex<bool>, Condvar)>);

impl Latch {
    pub fn new() -> Latch {
        Latch::default()
    }

    pub fn open(&self) {
        let (open, opened) = &*self.0;
        *open.lock().unwrap() = true;
        opened.notify_all();
    }

    /// Waits for it, but not for ever: the thread of an app must end with its test.
    ///
    /// # Panics
    /// When it is not opened in time.
    pub fn wait(&self) {
        let (open, opened) = &*self.0;
        let open = open.lock().unwrap();
        let waited = opened.wait_timeout_while(open, PATIENCE, |open| !*open);
        let (open, _) = waited.unwrap();
        assert!(*open, "gave up waiting for a latch to be opened");
    }
}
