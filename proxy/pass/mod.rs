//! Passes: signed cookies by which known people come in from new addresses in `known-only`.
//!
//! A pass is given with a response that confirms a customer ([`crate::learn`]), and names nobody: it
//! has a number, the time it was issued, and its end. It is bound to nothing that changes when somebody
//! roams, so whoever has a copy is let in, too: it has a limit of its own, and can be revoked.

mod cookie;
mod keys;
mod revoked;
mod rules;
mod token;

pub use cookie::take_out;
pub use keys::{KeyError, Keys};
pub use revoked::{Revocations, RevokeError, Revoked, RevokedList};
pub use rules::{Held, Presented, Rules};
pub use token::{Id, Pass};

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::in_force::InForce;

/// What the way of a request needs of the passes beside the rules, and what it counts.
#[derive(Debug, Default)]
pub struct Passes {
    /// Which are not believed any more.
    pub revoked: InForce<Revoked>,
    issued: AtomicU64,
    let_in: AtomicU64,
    invalid: AtomicU64,
}

impl Passes {
    /// Counts one that was given to a client.
    pub fn count_issued(&self) {
        self.issued.fetch_add(1, Relaxed);
    }

    /// Counts a request that only its pass lets in.
    pub fn count_let_in(&self) {
        self.let_in.fetch_add(1, Relaxed);
    }

    /// Counts a request with something in the place of a pass that is none.
    pub fn count_invalid(&self) {
        self.invalid.fetch_add(1, Relaxed);
    }

    /// So far: issued, let in, invalid.
    pub fn counts(&self) -> [u64; 3] {
        [&self.issued, &self.let_in, &self.invalid].map(|counter| counter.load(Relaxed))
    }
}
