//! What is counted, as a keyed hash.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

use siphasher::sip::SipHasher13;

/// What is counted: a keyed hash of a client's prefix, a tenant's name, a route.
///
/// Two things with the same key share their counters. For 64 bits that happens
/// to one pair in 1.8e19; the table and the occupancy keep fewer bits and say so
/// themselves. Keys of different [`KeyHasher`]s have nothing to do with each
/// other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl Key {
    /// All 64 bits.
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// In which of `parts` equal parts of all keys it lies, counted from 0; 0 when there are none.
    ///
    /// So a share of all keys can be told apart, and a larger share holds the smaller one. The parts
    /// are equal to one key in 2^64 / `parts`.
    #[must_use]
    pub const fn part(self, parts: u32) -> u32 {
        // The upper half of the product is less than `parts`.
        (((self.0 as u128) * (parts as u128)) >> 64) as u32
    }
}

/// The space that a key belongs to: the same bytes in two domains are two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// Clients, by their prefix.
    Client,
    /// Tenants.
    Tenant,
    /// Routes, and clients or tenants on a route.
    Route,
    /// Networks of clients.
    Network,
    /// Clients, to tell a fixed share of them apart.
    Share,
    /// A further space that the caller numbers, such as a second limit on the
    /// same clients.
    Numbered(u16),
}

impl Domain {
    /// Different for every domain.
    const fn tag(self) -> u32 {
        match self {
            Self::Client => 0,
            Self::Tenant => 1,
            Self::Route => 2,
            Self::Network => 3,
            Self::Share => 4,
            Self::Numbered(number) => 1 << 16 | number as u32,
        }
    }
}

/// Makes [`Key`]s by SipHash-1-3 with a secret key.
///
/// The secret matters: who knows it can choose addresses that all fall into one
/// bucket of the [`Table`](crate::Table) and push its clients out. A faster hash
/// that is not a keyed pseudo-random function does not do, because evictions can
/// be observed from outside.
#[derive(Clone, Copy)]
pub struct KeyHasher {
    /// The secret, not a hasher that was made with it: of one that is made on the
    /// spot the compiler knows that it is empty, which saves a tenth of a
    /// decision's instructions.
    secret: (u64, u64),
}

impl KeyHasher {
    /// A hasher with a random key, from the randomness that the operating
    /// system gave the standard library.
    #[must_use]
    pub fn new() -> Self {
        let random = RandomState::new();
        Self::from_secret(random.hash_one(0_u64), random.hash_one(1_u64))
    }

    /// A hasher with the given key: that of the process whose counters this one
    /// takes over, or, in tests and benchmarks, one that is repeatable. Anything else
    /// that meets real traffic wants [`KeyHasher::new`].
    #[must_use]
    pub fn from_secret(first: u64, second: u64) -> Self {
        Self {
            secret: (first, second),
        }
    }

    /// The secret, for the process that goes on with the counters. Nobody else must
    /// get to see it.
    #[must_use]
    pub fn secret(&self) -> (u64, u64) {
        self.secret
    }

    /// The key of `bytes` in `domain`. Allocates nothing.
    #[must_use]
    #[inline]
    pub fn key(&self, domain: Domain, bytes: &[u8]) -> Key {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        hasher.write(bytes);
        // Behind the bytes, because there it is unambiguous (its length is
        // fixed) and leaves the bytes aligned to the hash's blocks.
        hasher.write_u32(domain.tag());
        Key(hasher.finish())
    }

    /// The key of two things together, such as a client on a route. Allocates
    /// nothing.
    #[must_use]
    pub fn pair(&self, domain: Domain, first: Key, second: Key) -> Key {
        let mut bytes = [0; 16];
        let (front, back) = bytes.split_at_mut(8);
        front.copy_from_slice(&first.0.to_le_bytes());
        back.copy_from_slice(&second.0.to_le_bytes());
        self.key(domain, &bytes)
    }
}

impl Default for KeyHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for KeyHasher {
    /// Does not show the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyHasher").finish_non_exhaustive()
    }
}
