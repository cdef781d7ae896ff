//! The first few of each client: what an operator wants to read of many that are all alike.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Clients that are told apart in a minute; of others who meet one of them here, only the sample is
/// written.
const SLOTS: usize = 4096;
/// What of a client is written in a minute, whatever the sample.
const OF_A_CLIENT: u64 = 3;
/// What of all clients is written in a second, whatever the sample: each line costs memory and time,
/// and a flood from many addresses is all firsts.
const IN_A_SECOND: u64 = 100;

/// Counts what was first. Fixed memory, no lock; every count is one word: the time, whose it is, and
/// how many there were. Relaxed: a count that two threads race for is given to one of them.
#[derive(Debug)]
pub struct Firsts {
    slots: Vec<AtomicU64>,
    second: AtomicU64,
    /// With a secret, so that nobody can choose addresses that meet a certain client.
    hasher: RandomState,
}

impl Firsts {
    /// Nobody was there yet.
    pub fn new() -> Self {
        Firsts {
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            second: AtomicU64::new(0),
            hasher: RandomState::new(),
        }
    }

    /// Whether this is one of the client's first few in this minute. `now`: seconds since the epoch.
    pub fn is_one(&self, client: IpAddr, now: u64) -> bool {
        let hash = self.hasher.hash_one(whole_client(client));
        let place = usize::try_from(hash % SLOTS as u64).unwrap_or(0);
        let Some(slot) = self.slots.get(place) else {
            return false;
        };
        let word = Word {
            when: now / 60,
            whose: hash >> 40,
        };
        word.take(slot, OF_A_CLIENT, false)
            && Word::of_all(now).take(&self.second, IN_A_SECOND, true)
    }
}

impl Default for Firsts {
    fn default() -> Self {
        Self::new()
    }
}

/// All of what one client is usually given: an IPv6 client has a /64.
fn whole_client(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

/// What a count is of: 32 bits of time, 24 of whose it is; the other 8 are the count.
#[derive(Clone, Copy)]
struct Word {
    when: u64,
    whose: u64,
}

impl Word {
    fn of_all(second: u64) -> Self {
        Word {
            when: second,
            whose: 0,
        }
    }

    /// Takes one of so many; none when the slot is somebody else's for this time, or another thread
    /// was faster.
    fn take(self, slot: &AtomicU64, most: u64, mut again: bool) -> bool {
        let when = self.when & 0xffff_ffff;
        let mine = when << 32 | (self.whose & 0xff_ffff) << 8;
        loop {
            let seen = slot.load(Relaxed);
            let next = match seen & !0xff == mine {
                true if seen & 0xff >= most => return false,
                true => seen + 1,
                false if seen >> 32 == when => return false,
                false => mine | 1,
            };
            let taken = slot.compare_exchange(seen, next, Relaxed, Relaxed);
            if taken.is_ok() || !again {
                return taken.is_ok();
            }
            again = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn address(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn a_client_has_three_in_a_minute() {
        let firsts = Firsts::new();
        let told = |now| (0..5).filter(|_| firsts.is_one(address(1), now)).count();
        assert_eq!([told(NOW), told(NOW + 59), told(NOW + 60)], [3, 0, 3]);
    }

    #[test]
    fn a_64_is_one_client() {
        let firsts = Firsts::new();
        let in_it = |host: u128| IpAddr::from(Ipv6Addr::from_bits(0x2001_0db8 << 96 | host));
        let told = (0..10).filter(|host| firsts.is_one(in_it(*host), NOW));
        assert_eq!(told.count(), 3);
    }

    #[test]
    fn all_together_have_a_hundred_in_a_second() {
        let firsts = Firsts::new();
        let told = |from: u32, now| {
            let clients = (from..from + 1000).filter(|number| firsts.is_one(address(*number), now));
            clients.count()
        };
        assert_eq!(told(0, NOW), 100);
        assert_eq!(told(1000, NOW + 60), 100, "in another second");
    }

    #[test]
    fn threads_that_race_take_no_more_than_there_are() {
        let firsts = Firsts::new();
        let told = std::thread::scope(|scope| {
            let race = || (0..100).filter(|_| firsts.is_one(address(1), NOW)).count();
            let racers: Vec<_> = (0..4).map(|_| scope.spawn(race)).collect();
            let told = racers.into_iter().map(|racer| racer.join().unwrap());
            told.sum::<usize>()
        });
        assert_eq!(told, 3);
    }
}
