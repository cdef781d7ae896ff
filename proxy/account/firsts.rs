//! The first few of each client, or of the same words: what an operator wants to read of many that are
//! all alike.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Clients, or words, that are told apart at a time.
const SLOTS: usize = 4096;
/// What of a client is written in a minute, whatever the sample.
const OF_A_CLIENT: u64 = 3;
/// What of all clients is written in a second, whatever the sample: each line costs memory and time,
/// and a flood from many addresses is all firsts.
const IN_A_SECOND: u64 = 100;

/// Counts what was first of each. Fixed memory, no lock; every count is one word: the time, whose it is, and
/// how many there were. Relaxed: a count that two threads race for is given to one of them.
#[derive(Debug)]
pub struct Firsts {
    slots: Vec<AtomicU64>,
    second: AtomicU64,
    /// How many of each are among the first, in so many seconds.
    most: u64,
    seconds: u64,
    /// Whether those count as the first whose slot is somebody else's at the time.
    crowded: bool,
    /// With a secret, so that nobody can choose addresses that meet a certain client.
    hasher: RandomState,
}

impl Firsts {
    /// Of clients, none of whom was there yet. Of those who meet another one here only the sample is
    /// written.
    pub fn of_clients() -> Self {
        Self::of(OF_A_CLIENT, 60, false)
    }

    /// Of words, none of which was there yet.
    pub fn of_words(most: u64, seconds: u64) -> Self {
        Self::of(most, seconds, true)
    }

    fn of(most: u64, seconds: u64, crowded: bool) -> Self {
        Firsts {
            most,
            seconds,
            crowded,
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            second: AtomicU64::new(0),
            hasher: RandomState::new(),
        }
    }

    /// As [`Self::is_one`], of all of what one client is usually given, and of all clients no more than
    /// so many a second.
    pub fn is_of_client(&self, client: IpAddr, now: u64) -> bool {
        let of_all = || Word::of_all(now).take(&self.second, IN_A_SECOND, true);
        self.is_one(whole_client(client), now) && of_all() == Taken::One
    }

    /// Whether this is one of the first few at this time. `now`: seconds since the epoch.
    pub fn is_one(&self, whose: impl Hash, now: u64) -> bool {
        let hash = self.hasher.hash_one(whose);
        let place = usize::try_from(hash % SLOTS as u64).unwrap_or(0);
        let Some(slot) = self.slots.get(place) else {
            return false;
        };
        let word = Word {
            when: now / self.seconds,
            whose: hash >> 40,
        };
        match word.take(slot, self.most, false) {
            Taken::One => true,
            Taken::None => false,
            Taken::Crowded => self.crowded,
        }
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    One,
    /// There was no more, or another thread was faster.
    None,
    /// The slot is somebody else's at this time.
    Crowded,
}

impl Word {
    fn of_all(second: u64) -> Self {
        Word {
            when: second,
            whose: 0,
        }
    }

    /// Takes one of so many.
    fn take(self, slot: &AtomicU64, most: u64, mut again: bool) -> Taken {
        let when = self.when & 0xffff_ffff;
        let mine = when << 32 | (self.whose & 0xff_ffff) << 8;
        loop {
            let seen = slot.load(Relaxed);
            let next = match seen & !0xff == mine {
                true if seen & 0xff >= most => return Taken::None,
                true => seen + 1,
                false if seen >> 32 == when => return Taken::Crowded,
                false => mine | 1,
            };
            let taken = slot.compare_exchange(seen, next, Relaxed, Relaxed);
            if taken.is_ok() {
                return Taken::One;
            }
            if !again {
                return Taken::None;
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
        let firsts = Firsts::of_clients();
        let told = |now| {
            (0..5)
                .filter(|_| firsts.is_of_client(address(1), now))
                .count()
        };
        assert_eq!([told(NOW), told(NOW + 59), told(NOW + 60)], [3, 0, 3]);
    }

    #[test]
    fn a_64_is_one_client() {
        let firsts = Firsts::of_clients();
        let in_it = |host: u128| IpAddr::from(Ipv6Addr::from_bits(0x2001_0db8 << 96 | host));
        let told = (0..10).filter(|host| firsts.is_of_client(in_it(*host), NOW));
        assert_eq!(told.count(), 3);
    }

    #[test]
    fn all_together_have_a_hundred_in_a_second() {
        let firsts = Firsts::of_clients();
        let told = |from: u32, now| {
            let clients =
                (from..from + 1000).filter(|number| firsts.is_of_client(address(*number), now));
            clients.count()
        };
        assert_eq!(told(0, NOW), 100);
        assert_eq!(told(1000, NOW + 60), 100, "in another second");
    }

    #[test]
    fn other_words_are_not_held_back_by_the_same_ones() {
        let firsts = Firsts::of_words(5, 10);
        let said = (0..90).filter(|_| firsts.is_one("the same", NOW)).count();
        assert_eq!(said, 5);
        let others = (0..900).filter(|number| firsts.is_one(number, NOW));
        assert_eq!(others.count(), 900, "though some share a slot");
    }

    #[test]
    fn threads_that_race_take_no_more_than_there_are() {
        let firsts = Firsts::of_clients();
        let told = std::thread::scope(|scope| {
            let race = || {
                (0..100)
                    .filter(|_| firsts.is_of_client(address(1), NOW))
                    .count()
            };
            let racers: Vec<_> = (0..4).map(|_| scope.spawn(race)).collect();
            let told = racers.into_iter().map(|racer| racer.join().unwrap());
            told.sum::<usize>()
        });
        assert_eq!(told, 3);
    }
}
