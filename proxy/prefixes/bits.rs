//! Addresses as numbers: IPv4, the first half of IPv6, and all of IPv6.

use std::fmt::Debug;
use std::ops::{BitAnd, BitOr, Not};

/// An address, or as much of it as prefixes of some lengths need.
pub(super) trait Bits:
    Copy + Ord + Debug + BitAnd<Output = Self> + BitOr<Output = Self> + Not<Output = Self>
{
    /// The first address.
    const ZERO: Self;
    /// How many bits it has.
    const WIDTH: u8;

    /// The part that a prefix of this length keeps.
    fn mask(length: u8) -> Self;

    /// The upper and the lower 64 bits.
    fn halves(self) -> (u64, u64);

    /// The next address; `None` after the last.
    fn next(self) -> Option<Self>;
}

macro_rules! bits {
    ($number:ty, $halves:expr) => {
        impl Bits for $number {
            const ZERO: Self = 0;
            const WIDTH: u8 = <$number>::BITS as u8;

            fn mask(length: u8) -> Self {
                let host = u32::from(Self::WIDTH.saturating_sub(length));
                <$number>::MAX.checked_shl(host).unwrap_or(0)
            }

            fn halves(self) -> (u64, u64) {
                $halves(self)
            }

            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
        }
    };
}

bits!(u32, |bits: u32| (0, u64::from(bits)));
bits!(u64, |bits: u64| (0, bits));
bits!(u128, |bits: u128| ((bits >> 64) as u64, bits as u64));
