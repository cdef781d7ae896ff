//! What the gate and its libraries say, on standard error.

use std::io;
use std::sync::Arc;

use super::allowance::{Allowance, Share};
use super::counts::Class;
use super::firsts::Firsts;
use super::writing::{self, Queue, Sink, WritingGuard};
use crate::clock;

/// How often the same words are written in ten seconds: what goes wrong for each connection, such as a
/// lack of descriptors, is said a few times and counted.
const OF_THE_SAME: u64 = 5;
const SECONDS: u64 = 10;

/// Writes messages within their share of the budget. Never blocks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Messages {
    queue: Queue,
    allowance: Arc<Allowance>,
    said: Arc<Firsts>,
}

impl Messages {
    /// Begins.
    ///
    /// # Errors
    /// When the thread, or a descriptor, cannot be had.
    pub fn start(allowance: Arc<Allowance>) -> io::Result<(Self, WritingGuard)> {
        let sink = Sink::stream(io::stderr())?;
        let (queue, guard) = writing::start("messages", sink, allowance.clone(), None)?;
        let said = Firsts::of_words(OF_THE_SAME, SECONDS);
        let messages = Messages {
            queue,
            allowance,
            said: Arc::new(said),
        };
        Ok((messages, guard))
    }

    fn message(&self, message: &[u8]) {
        let tally = self.allowance.counts.of(Class::Message);
        if !self.said.is_one(words(message), clock::unix_seconds()) {
            tally.sampled_out();
        } else if !self.allowance.take(Share::Messages, message.len()) {
            tally.over_budget(message.len());
        } else {
            self.queue.line(Class::Message, message.to_vec());
        }
    }
}

/// A message without its time, which is its first word.
fn words(message: &[u8]) -> &[u8] {
    let mut parts = message.splitn(2, |byte| *byte == b' ');
    parts.nth(1).unwrap_or(message)
}

impl io::Write for Messages {
    /// A whole message, as the subscriber writes them.
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        self.message(message);
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
