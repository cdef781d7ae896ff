//! Hash maps by what is a hash already.

use std::hash::{BuildHasherDefault, Hasher};

/// A keyed hash, so it is not hashed again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hashed(u64);

/// For maps by [`tidegate_limit::Key`] or another keyed hash, and by nothing that somebody outside could
/// choose.
pub type KeyHashing = BuildHasherDefault<Hashed>;

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
