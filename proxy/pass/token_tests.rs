use super::*;

const NOW: u64 = 1_800_000_000;

fn pass() -> Pass {
    Pass::issue(None, NOW, 1000).unwrap()
}

#[test]
fn what_was_signed_is_believed_with_the_current_key_and_with_the_one_before() {
    let pass = pass();
    let text = pass.seal(&Keys::numbered(&[1]), 7);
    assert_eq!(text.len(), 76);
    for keys in [&[1][..], &[1, 2], &[2, 1]] {
        assert_eq!(Pass::open(&text, &Keys::numbered(keys), 7), Some(pass));
    }
    for keys in [&[2][..], &[2, 3]] {
        assert_eq!(Pass::open(&text, &Keys::numbered(keys), 7), None);
    }
    assert_eq!(
        Pass::open(&text, &Keys::numbered(&[1]), 8),
        None,
        "another epoch"
    );
}

#[test]
fn no_character_can_be_another_and_none_can_be_missing() {
    let keys = Keys::numbered(&[1]);
    let text = pass().seal(&keys, 0);
    for at in 0..text.len() {
        assert_eq!(Pass::open(&text[..at], &keys, 0), None, "cut at {at}");
        for other in ["A", "B", "_", "+", "=", "\u{7f}"] {
            let mut forged = text.to_string();
            forged.replace_range(at..=at, other);
            let opened = Pass::open(&forged, &keys, 0);
            assert_eq!(opened.is_some(), forged == *text, "{other} at {at}");
        }
    }
    assert_eq!(Pass::open(&format!("{text}A"), &keys, 0), None);
    assert_eq!(Pass::open(&"é".repeat(38), &keys, 0), None);
}

#[test]
fn a_pass_is_renewed_under_its_number() {
    let first = pass();
    assert!(first.is_fresh(NOW + 499) && !first.is_fresh(NOW + 500));
    let second = Pass::issue(Some(first), NOW + 600, 1000).unwrap();
    assert_eq!((second.id, second.expires), (first.id, NOW + 1600));
    assert_ne!(pass().id, first.id);
    assert!(!first.is_fresh(u64::MAX));
}

#[test]
fn a_number_comes_back_from_its_digits() {
    let id = pass().id;
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(id.to_string().len(), 24);
    for text in [
        "",
        "all",
        "1",
        "+00000000000000000000001",
        &"g".repeat(24),
        &"0".repeat(25),
    ] {
        assert!(text.parse::<Id>().is_err(), "{text}");
    }
}
