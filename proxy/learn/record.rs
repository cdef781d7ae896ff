//! What one entry of the store looks like: 64 bytes, the last four of them a checksum of the others.
//!
//! All of one size, so that behind a damaged one the next is found. Numbers are little-endian.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Bytes of an entry.
pub const SIZE: usize = 64;

const CONFIRMED: u8 = 1;
const FORGOTTEN: u8 = 2;
const CLOCK: u8 = 3;

/// When a prefix was confirmed, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Confirmed {
    /// The first time, in seconds since the epoch.
    pub first: u64,
    /// The last time.
    pub last: u64,
    /// The last time on the age clock, which alone decides when it ends.
    #[serde(skip)]
    pub seen: u64,
    /// How often.
    pub times: u32,
}

impl Confirmed {
    /// Confirmed once more.
    pub fn again(&mut self, wall: u64, seen: u64) {
        self.last = wall;
        self.seen = seen;
        self.times = self.times.saturating_add(1);
    }
}

/// One entry of the store; later ones replace earlier ones of the same prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// A prefix as it was last confirmed.
    Confirmed(IpNet, Confirmed),
    /// A prefix that left.
    Forgotten(IpNet),
    /// What the wall clock and the age clock showed at one instant.
    Clock {
        /// Seconds since the epoch.
        wall: u64,
        /// Seconds of the age clock.
        age: u64,
    },
}

impl Record {
    /// Its bytes.
    pub fn encode(&self) -> [u8; SIZE] {
        let mut fields = Fields::default();
        match self {
            Record::Confirmed(prefix, confirmed) => {
                fields.byte(CONFIRMED);
                fields.prefix(*prefix);
                fields.put(&confirmed.first.to_le_bytes());
                fields.put(&confirmed.last.to_le_bytes());
                fields.put(&confirmed.seen.to_le_bytes());
                fields.put(&confirmed.times.to_le_bytes());
            }
            Record::Forgotten(prefix) => {
                fields.byte(FORGOTTEN);
                fields.prefix(*prefix);
            }
            Record::Clock { wall, age } => {
                fields.byte(CLOCK);
                fields.put(&wall.to_le_bytes());
                fields.put(&age.to_le_bytes());
            }
        }
        fields.sealed()
    }

    /// The entry that these bytes are; `None` when they are none.
    pub fn decode(bytes: &[u8; SIZE]) -> Option<Record> {
        let (content, sum) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(content) != u32::from_le_bytes(*sum) {
            return None;
        }
        let mut rest = Rest(content);
        let [kind] = rest.take()?;
        match kind {
            CONFIRMED => Some(Record::Confirmed(
                rest.prefix()?,
                Confirmed {
                    first: u64::from_le_bytes(rest.take()?),
                    last: u64::from_le_bytes(rest.take()?),
                    seen: u64::from_le_bytes(rest.take()?),
                    times: u32::from_le_bytes(rest.take()?),
                },
            )),
            FORGOTTEN => Some(Record::Forgotten(rest.prefix()?)),
            CLOCK => Some(Record::Clock {
                wall: u64::from_le_bytes(rest.take()?),
                age: u64::from_le_bytes(rest.take()?),
            }),
            _ => None,
        }
    }
}

/// Bytes that are being written one behind the other; the unused ones are zero.
struct Fields {
    bytes: [u8; SIZE],
    used: usize,
}

impl Default for Fields {
    fn default() -> Self {
        Fields {
            bytes: [0; SIZE],
            used: 0,
        }
    }
}

impl Fields {
    fn put(&mut self, field: &[u8]) {
        let end = self.used + field.len();
        // There is room for every kind: a test encodes the longest.
        if let Some(place) = self.bytes.get_mut(self.used..end) {
            place.copy_from_slice(field);
        }
        self.used = end;
    }

    fn byte(&mut self, byte: u8) {
        self.put(&[byte]);
    }

    /// The family, the length, and the address in 16 bytes.
    fn prefix(&mut self, prefix: IpNet) {
        let mut address = [0; 16];
        let (family, octets): (u8, &[u8]) = match prefix {
            IpNet::V4(net) => (4, &net.network().octets()),
            IpNet::V6(net) => (6, &net.network().octets()),
        };
        let place = address.get_mut(..octets.len()).unwrap_or_default();
        place.copy_from_slice(octets);
        self.byte(family);
        self.byte(prefix.prefix_len());
        self.put(&address);
    }

    fn sealed(mut self) -> [u8; SIZE] {
        if let Some((content, sum)) = self.bytes.split_last_chunk_mut::<4>() {
            *sum = crc32fast::hash(content).to_le_bytes();
        }
        self.bytes
    }
}

/// Bytes that are being read one behind the other.
struct Rest<'record>(&'record [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn prefix(&mut self) -> Option<IpNet> {
        let [family, length] = self.take()?;
        let octets: [u8; 16] = self.take()?;
        let address: IpAddr = match family {
            4 => Ipv4Addr::from(*octets.first_chunk::<4>()?).into(),
            6 => Ipv6Addr::from(octets).into(),
            _ => return None,
        };
        let prefix = IpNet::new(address, length).ok()?;
        (prefix.trunc() == prefix).then_some(prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [Record; 4] {
        let confirmed = Confirmed {
            first: 1,
            last: u64::MAX,
            seen: 1 << 40,
            times: u32::MAX,
        };
        [
            Record::Confirmed("192.0.2.0/24".parse().unwrap(), confirmed),
            Record::Confirmed("2001:db8:1:2::/64".parse().unwrap(), confirmed),
            Record::Forgotten("::ffff:0:0/96".parse().unwrap()),
            Record::Clock { wall: 7, age: 9 },
        ]
    }

    #[test]
    fn every_kind_comes_back_as_it_was_written() {
        for record in all() {
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
    }

    #[test]
    fn one_bit_that_is_another_makes_it_none() {
        for record in all() {
            for bit in 0..SIZE * 8 {
                let mut bytes = record.encode();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Record::decode(&bytes), None, "bit {bit} of {record:?}");
            }
        }
        assert_eq!(Record::decode(&[0; SIZE]), None);
    }
}
