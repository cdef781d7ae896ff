use std::collections::HashSet;

use tidegate_limit::{Domain, KeyHasher};

#[test]
fn domains_are_apart() {
    let hasher = KeyHasher::new();
    let domains = [
        Domain::Client,
        Domain::Tenant,
        Domain::Route,
        Domain::Network,
        Domain::Share,
    ];
    let numbered = (0..=u16::MAX).map(Domain::Numbered);
    let all = domains.into_iter().chain(numbered);
    let keys: HashSet<_> = all.map(|domain| hasher.key(domain, b"same")).collect();
    assert_eq!(keys.len(), 5 + 65_536);
}

#[test]
fn one_secret_one_key() {
    let key = |hasher: KeyHasher| hasher.key(Domain::Client, b"192.0.2.1");
    assert_eq!(
        key(KeyHasher::from_secret(1, 2)),
        key(KeyHasher::from_secret(1, 2))
    );
    assert_ne!(
        key(KeyHasher::from_secret(1, 2)),
        key(KeyHasher::from_secret(2, 1))
    );
    assert_ne!(key(KeyHasher::new()), key(KeyHasher::new()));
}

#[test]
fn a_share_of_all_keys_is_about_as_many_and_stays_as_it_grows() {
    let hasher = KeyHasher::from_secret(1, 2);
    let keys = (0..100_000_u32).map(|number| hasher.key(Domain::Share, &number.to_ne_bytes()));
    let parts: Vec<u32> = keys.map(|key| key.part(10_000)).collect();
    assert!(parts.iter().all(|part| *part < 10_000));
    for share in [50, 500, 5_000] {
        let among = parts.iter().filter(|part| **part < share).count() as f64;
        let due = f64::from(share) * 10.0;
        // Four standard deviations of a binomial.
        assert!((among - due).abs() < 4.0 * due.sqrt(), "{among} of {due}");
    }
    let key = hasher.key(Domain::Share, b"");
    assert_eq!([key.part(0), key.part(1)], [0, 0]);
}

#[test]
fn the_secret_is_not_shown() {
    let hasher = KeyHasher::from_secret(123_456_789, 987_654_321);
    assert_eq!(format!("{hasher:?}"), "KeyHasher { .. }");
}
