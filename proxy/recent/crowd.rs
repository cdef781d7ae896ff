//! Clients: how many there were, and what they asked together.

use tidegate_limit::Key;

use super::sample::Sample;
use super::slot::Client;
use crate::hashed::KeyHashing;
use crate::heavy::{Heavy, Tally};

/// Clients with what they asked: the heaviest one by one, the others by a fixed share of them. What is
/// summed over both is exact while there is room for all, and not at the mercy of one heavy client that
/// the share happens to hold, or not, when there is none.
#[derive(Clone, Debug)]
pub struct Crowd {
    sample: Sample<Client>,
    heavy: Heavy<Key, Client, KeyHashing>,
}

/// A sum over all clients.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    pub value: i64,
    /// By how much it may be off: two standard errors; 0 when it is exact.
    pub error: f64,
}

impl Crowd {
    /// Nobody yet, and room for so many.
    pub fn new(room: usize) -> Self {
        Crowd {
            sample: Sample::new(room),
            heavy: Heavy::new(room),
        }
    }

    /// Takes over what a client did.
    pub fn add(&mut self, key: Key, client: &Client) {
        self.sample.add(key, client);
        let more = |kept: &mut Client| kept.merge(client);
        self.heavy.count(key, more, || *client);
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.sample.merge(&other.sample);
        self.heavy.merge(&other.heavy);
    }

    /// Gives back memory that it does not need as it is.
    pub fn shrink(&mut self) {
        self.sample.shrink();
        self.heavy.shrink();
    }

    /// The heaviest.
    pub fn heaviest(&self) -> impl Iterator<Item = &Client> {
        self.heavy.iter().map(|(_, client)| client)
    }

    /// By how much what is told of one of the heaviest may be too low.
    pub fn error(&self) -> u64 {
        let [error] = self.heavy.error();
        error
    }

    /// How many clients there were, how many of them are of a kind, and by how much the share of those
    /// may be off.
    pub fn count(&self, is_of_it: impl Fn(&Client) -> bool) -> (u64, u64, f64) {
        let all = self.sample.iter().count() as u64;
        let of_it = self.sample.iter().filter(|(_, one)| is_of_it(one)).count() as u64;
        let each = self.sample.stands_for();
        (all * each, of_it * each, self.sample.error())
    }

    /// Something of each client, summed over all.
    pub fn sum(&self, of: impl Fn(&Client) -> i64) -> Sum {
        let heavy: i64 = self.heaviest().map(&of).sum();
        let each = self.sample.stands_for() as f64;
        let light = self.sample.iter();
        let light = light.filter(|(key, _)| self.heavy.get(key).is_none());
        let (mut rest, mut squares) = (0.0, 0.0);
        for (_, client) in light {
            let value = of(client) as f64;
            rest += value;
            squares += value * value;
        }
        // Each is kept with the probability 1 / each: Horvitz and Thompson (1952).
        Sum {
            value: heavy.saturating_add((rest * each) as i64),
            error: 2.0 * (squares * each * (each - 1.0)).sqrt(),
        }
    }
}
