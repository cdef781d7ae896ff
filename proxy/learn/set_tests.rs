use super::*;

const BOUNDS: Bounds = Bounds {
    max: 3,
    keep: 100,
    least: 1,
};

fn net(number: u8) -> IpNet {
    format!("192.0.2.{number}/32").parse().unwrap()
}

fn prefixes(set: &Set) -> Vec<IpNet> {
    set.iter().map(|(prefix, _)| prefix).collect()
}

fn passed(set: &mut Set, seconds: u64) {
    set.clock.base += seconds;
}

#[test]
fn the_least_recently_confirmed_leaves_first() {
    let mut set = Set::default();
    for number in [1, 2, 3] {
        set.confirm(net(number), 1000, BOUNDS);
    }
    passed(&mut set, AGAIN);
    set.confirm(net(1), 1000, BOUNDS);
    assert!(set.confirm(net(4), 1000, BOUNDS), "somebody left");
    assert_eq!(prefixes(&set), [net(4), net(1), net(3)]);
    assert_eq!(set.evicted, 1);
    assert!(!set.confirm(net(3), 1001, BOUNDS), "nobody new");
    assert_eq!(set.get(&net(1)).unwrap().times, 2);
    let fewer = Bounds { max: 1, ..BOUNDS };
    assert!(set.expire(fewer), "a smaller bound holds at once");
    assert_eq!(prefixes(&set), [net(3)]);
    let nobody = Bounds { max: 0, ..BOUNDS };
    assert!(!set.confirm(net(9), 1000, nobody) && set.expire(nobody));
    assert_eq!(set.len(), 0);
}

#[test]
fn they_end_by_the_time_that_has_passed_and_not_by_the_clock_on_the_wall() {
    let mut set = Set::default();
    set.confirm(net(1), 1_000_000_000, BOUNDS);
    passed(&mut set, 60);
    set.confirm(net(2), 9_000_000_000, BOUNDS);
    set.confirm(net(3), 5, BOUNDS);
    assert!(
        !set.expire(BOUNDS),
        "the wall clock jumped, and nobody left"
    );
    passed(&mut set, 40);
    assert!(set.expire(BOUNDS));
    assert_eq!(prefixes(&set), [net(3), net(2)]);
}

#[test]
fn as_many_confirmations_as_are_asked_for_make_one_known() {
    let mut set = Set::default();
    let twice = Bounds { least: 2, ..BOUNDS };
    assert!(!set.confirm(net(1), 7, twice));
    assert!(set.confirm(net(1), 9, twice));
    assert!(!set.confirm(net(1), 9, twice));
    let known = set.get(&net(1)).unwrap();
    assert_eq!((known.first, known.last, known.times), (7, 9, 3));
}

fn stored(records: Vec<Record>, wall: u64, now: u64) -> Set {
    let mut set = Set::default();
    let mut all = vec![Record::Clock { wall, age: 500 }];
    all.extend(records);
    set.merge(&all, now);
    set
}

#[test]
fn the_time_that_the_gate_was_down_counts_as_far_as_the_clock_can_be_right() {
    let seen = |number, seen| {
        let confirmed = Confirmed {
            first: 1,
            last: 2,
            seen,
            times: 3,
        };
        Record::Confirmed(net(number), confirmed)
    };
    let records = vec![seen(1, 450), seen(2, 490)];
    for (then, now, left) in [
        (1000, 1000, 2),
        (1000, 1060, 1),
        // A clock that stands at its beginning, and one that is years ahead.
        (1_700_000_000, 0, 2),
        (0, 1_700_000_000, 0),
    ] {
        let mut set = stored(records.clone(), then, now);
        set.expire(BOUNDS);
        assert_eq!(set.len(), left, "from {then} to {now}");
    }
    let month = Bounds {
        keep: 30 * 86_400,
        ..BOUNDS
    };
    let mut set = stored(records, 0, 1_700_000_000);
    set.expire(month);
    assert_eq!(set.len(), 2, "a jump of years forgot everybody");
}

#[test]
fn what_is_stored_and_what_was_learned_meanwhile_come_together() {
    let mut first = Set::default();
    for number in [1, 2, 3] {
        first.confirm(net(number), 10, BOUNDS);
    }
    first.forget(net(3), BOUNDS);
    let records = first.changes().unwrap();
    let mut second = Set::default();
    second.merge(&records, 10);
    assert_eq!(second.len(), 2);
    second.forget(net(1), BOUNDS);
    second.confirm(net(2), 20, BOUNDS);
    second.merge(&records, 20);
    let known = second.get(&net(2)).unwrap();
    assert_eq!((known.first, known.last, known.times), (10, 20, 2));
    assert_eq!(second.get(&net(1)), None, "forgotten, and back again");
    assert_eq!(second.len(), 1);
}

#[test]
fn what_is_unsaved_stays_bounded_while_nothing_can_be_written() {
    let mut set = Set::default();
    for number in 0..100_000_u32 {
        let prefix = IpNet::from(std::net::IpAddr::from(number.to_be_bytes()));
        set.confirm(prefix, 1, BOUNDS);
        assert!(set.unsaved.len() <= 1025);
    }
    assert_eq!(set.changes(), None, "better written anew");
    assert_eq!(set.everything().len(), 3);
    assert!(!set.is_unsaved());
}
