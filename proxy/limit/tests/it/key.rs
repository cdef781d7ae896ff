use std::collections::HashSet;

use tidegate_limit::{Domain, KeyHasher};

#[test]
fn domains_are_apart() {
    let hasher = KeyHasher::new();
    let domains = [Domain::Client, Domain::Tenant, Domain::Route];
    let numbered = (0..=u16::MAX).map(Domain::Numbered);
    let all = domains.into_iter().chain(numbered);
    let keys: HashSet<_> = all.map(|domain| hasher.key(domain, b"same")).collect();
    assert_eq!(keys.len(), 3 + 65_536);
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
fn the_secret_is_not_shown() {
    let hasher = KeyHasher::from_secret(123_456_789, 987_654_321);
    assert_eq!(format!("{hasher:?}"), "KeyHasher { .. }");
}
