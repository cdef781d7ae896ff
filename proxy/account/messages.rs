//! What the gate and its libraries say, on standard error.

use std::io;
use std::sync::Arc;

use super::allowance::Allowance;
use super::counts::Class;
use super::firsts::Firsts;
use super::queue::{self, Queue, Sink, WritingGuard};
use crate::clock;
use crate::cut::beginning;

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
        let (queue, guard) = queue::start("messages", sink, allowance.clone(), None)?;
        let said = Firsts::of_words(OF_THE_SAME, SECONDS);
        let messages = Messages {
            queue,
            allowance,
            said: Arc::new(said),
        };
        Ok((messages, guard))
    }

    fn message(&self, message: &[u8]) {
        if self.said.is_one(words(message), clock::unix_seconds()) {
            let message = cut(message, self.allowance.longest_message());
            self.queue.line(Class::Message, message);
        } else {
            self.allowance.counts.of(Class::Message).sampled_out();
        }
    }
}

/// As much of a message as may be written, and its end. The whole of a long one would never be.
fn cut(message: &[u8], longest: usize) -> Vec<u8> {
    const CUT: &str = " [cut]\n";
    if message.len() <= longest {
        return message.to_vec();
    }
    let text = String::from_utf8_lossy(message);
    let room = longest.saturating_sub(CUT.len());
    [beginning(&text, room), CUT].concat().into()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_and_still_a_line() {
        let long = format!("{}\n", "\u{e9}".repeat(50));
        assert_eq!(cut(long.as_bytes(), 101), long.as_bytes(), "it fits");
        assert_eq!(
            cut(long.as_bytes(), 18),
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9} [cut]\n".as_bytes()
        );
    }

    #[test]
    fn a_long_message_passes_the_smallest_budget() {
        let allowance = Allowance::new(1024);
        let long = b"x".repeat(100_000);
        for _ in 0..2 {
            let message = cut(&long, allowance.longest_message());
            assert!(message.len() > 1000);
            assert!(allowance.take(Class::Message, message.len()));
        }
    }
}
