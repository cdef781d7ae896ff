use ipnet::{Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use super::*;

fn v4() -> impl Strategy<Value = IpNet> {
    // Few different bits, so that prefixes and addresses meet.
    (0..4_u32, 0..=32_u8).prop_map(|(bits, length)| {
        let address = std::net::Ipv4Addr::from_bits(bits.wrapping_mul(0x4000_0001));
        IpNet::V4(Ipv4Net::new(address, length).unwrap())
    })
}

fn v6() -> impl Strategy<Value = IpNet> {
    (0..4_u128, 0..=128_u8).prop_map(|(bits, length)| {
        let address = std::net::Ipv6Addr::from_bits(bits.wrapping_mul((1 << 126) | 1));
        IpNet::V6(Ipv6Net::new(address, length).unwrap())
    })
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        v4().prop_map(|net| net.addr()),
        v6().prop_map(|net| net.addr()),
        any::<u32>().prop_map(|bits| std::net::Ipv4Addr::from_bits(bits).into()),
        any::<u128>().prop_map(|bits| std::net::Ipv6Addr::from_bits(bits).into()),
    ]
}

proptest! {
    #[test]
    fn the_set_knows_whom_a_list_of_prefixes_knows(
        prefixes in prop::collection::vec(prop_oneof![v4(), v6()], 0..12),
        addresses in prop::collection::vec(address(), 1..20),
        nets in prop::collection::vec(prop_oneof![v4(), v6()], 0..12),
    ) {
        let set: PrefixSet = prefixes.iter().copied().collect();
        let different: std::collections::BTreeSet<IpNet> = prefixes.iter().map(IpNet::trunc).collect();
        prop_assert_eq!(set.len(), different.len());
        prop_assert_eq!(set.is_empty(), prefixes.is_empty());
        for address in addresses {
            let expected = prefixes.iter().any(|prefix| prefix.contains(&address));
            prop_assert_eq!(set.contains(address), expected, "{} in {:?}", address, &prefixes);
        }
        for net in nets {
            let expected = prefixes.iter().any(|prefix| prefix.contains(&net) || net.contains(prefix));
            prop_assert_eq!(set.overlaps(net.trunc()), expected, "{} and {:?}", net, &prefixes);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,60}") {
        let _ = parse_prefix(&text);
    }
}

#[test]
fn the_widest_and_the_narrowest_prefixes_hold_what_they_say() {
    let of =
        |prefix: &str| -> PrefixSet { [prefix.parse::<IpNet>().unwrap()].into_iter().collect() };
    let knows = |prefix: &str, address: &str| of(prefix).contains(address.parse().unwrap());
    assert!(knows("0.0.0.0/0", "0.0.0.0") && knows("0.0.0.0/0", "255.255.255.255"));
    assert!(!knows("0.0.0.0/0", "::1"), "all of IPv4 is nothing of IPv6");
    assert!(knows("::/0", "::") && knows("::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
    assert!(
        !knows("::/0", "192.0.2.1"),
        "all of IPv6 is nothing of IPv4"
    );
    assert!(knows("2001:db8::1/128", "2001:db8::1") && !knows("2001:db8::1/128", "2001:db8::2"));
    assert!(knows("192.0.2.1/32", "192.0.2.1") && !knows("192.0.2.1/32", "192.0.2.0"));
}

#[test]
fn prefixes_are_read_in_their_usual_forms_alone() {
    for (text, read) in [
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("::/0", "::/0"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
    ] {
        assert_eq!(parse_prefix(text).unwrap().to_string(), read, "{text}");
    }
    for text in [
        "",
        " ",
        "example.com",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.01",
        "192.0.2.0/33",
        "192.0.2.0/-1",
        "192.0.2.0/+8",
        "192.0.2.0/",
        "/24",
        "192.0.2.0/24/24",
        "192.0.2.0/255.255.255.0",
        "192.0.2.0-9",
        "192.0.2.*",
        "2001:db8::/129",
        "[2001:db8::1]",
        "2001:db8::1%eth0",
        "::1::",
        "192.0.2.1 192.0.2.2",
        "192.0.2.1:80",
        "0x7f000001",
        "2130706433",
        "\u{661}.0.0.1",
    ] {
        let problem = parse_prefix(text).expect_err(text);
        assert!(problem.contains("such as 192.0.2.7"), "{text}: {problem}");
    }
    let problem = parse_prefix("10.0.0.1/8").unwrap_err();
    assert!(
        problem.contains("10.0.0.0/8") && problem.contains("10.0.0.1 "),
        "{problem}"
    );
    let problem = parse_prefix("::ffff:192.0.2.0/120").unwrap_err();
    assert!(problem.contains("own form"), "{problem}");
}
