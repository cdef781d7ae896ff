use std::sync::Arc;

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

/// A network of few different bits near both ends, so that networks lie in, beside and far from each
/// other.
fn network(bits: u128, length: u8, v4: bool) -> IpNet {
    let bits = bits & 0xc003_0000_0000_0000_0000_0000_0000_000f | bits & 0x1ff << 60;
    let net = match v4 {
        true => IpNet::new(
            std::net::Ipv4Addr::from_bits((bits >> 96 | bits >> 60 & 0x1ff) as u32).into(),
            length.min(32),
        ),
        false => IpNet::new(std::net::Ipv6Addr::from_bits(bits).into(), length),
    };
    net.unwrap().trunc()
}

/// The address behind the last of a network, or the first of all.
fn next_to(net: IpNet) -> IpAddr {
    match net.broadcast() {
        IpAddr::V4(last) => std::net::Ipv4Addr::from_bits(last.to_bits().wrapping_add(1)).into(),
        IpAddr::V6(last) => std::net::Ipv6Addr::from_bits(last.to_bits().wrapping_add(1)).into(),
    }
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
    fn many_networks_of_several_lengths_are_what_a_list_of_them_is(
        lengths in prop::collection::vec(0..=128_u8, 1..9),
        bits in prop::collection::vec(any::<(u128, bool)>(), 300..900),
        nets in prop::collection::vec((any::<u128>(), 0..=128_u8, any::<bool>()), 1..20),
    ) {
        let of = |(bits, v4): (u128, bool), length: u8| network(bits, length, v4);
        let prefixes: Vec<IpNet> = bits
            .iter()
            .zip(lengths.iter().cycle())
            .map(|(bits, length)| of(*bits, *length))
            .collect();
        let set: PrefixSet = prefixes.iter().copied().collect();
        let different: std::collections::BTreeSet<&IpNet> = prefixes.iter().collect();
        prop_assert_eq!(set.len(), different.len());
        let behind = |net: IpNet| [net.network(), net.broadcast(), next_to(net)];
        for address in prefixes.iter().copied().flat_map(behind).chain(nets.iter().map(|(bits, _, v4)| of((*bits, *v4), 128).addr())) {
            let expected = prefixes.iter().any(|prefix| prefix.contains(&address));
            prop_assert_eq!(set.contains(address), expected, "{}", address);
        }
        for (bits, length, v4) in nets {
            let net = network(bits, length, v4);
            let expected = prefixes.iter().any(|prefix| prefix.contains(&net) || net.contains(prefix));
            prop_assert_eq!(set.overlaps(net), expected, "{}", net);
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

#[test]
fn a_prefix_takes_32_bytes_at_most_and_more_lengths_than_tables_change_nothing() {
    let all =
        |count: u32, prefix: fn(u32) -> IpNet| -> PrefixSet { (0..count).map(prefix).collect() };
    // An odd factor spreads the numbers over all bits without a repetition.
    let v4 = all(50_000, |number| {
        network_of(number.wrapping_mul(0x9e37_79b1).into(), 32, 32)
    });
    let half = all(50_000, |number| {
        network_of(u128::from(number.wrapping_mul(0x9e37_79b1)) << 80, 64, 128)
    });
    let long = all(50_000, |number| {
        network_of(u128::from(number.wrapping_mul(0x9e37_79b1)) << 60, 128, 128)
    });
    let mixed = all(60_000, |number| {
        network_of(u128::from(number) << 68, 60 + (number % 60) as u8, 128)
    });
    for set in [v4, half, long, mixed] {
        assert!(set.len() >= 50_000, "{} are left", set.len());
        let each = set.memory() as f64 / set.len() as f64;
        assert!(each <= 32.0, "{each} bytes a prefix");
    }
}

fn network_of(bits: u128, length: u8, width: u8) -> IpNet {
    let net = match width {
        32 => IpNet::new(std::net::Ipv4Addr::from_bits(bits as u32).into(), length),
        _ => IpNet::new(std::net::Ipv6Addr::from_bits(bits).into(), length),
    };
    net.unwrap().trunc()
}

#[test]
fn layers_are_looked_up_as_one() {
    let set = |prefixes: &[&str]| -> Arc<PrefixSet> {
        Arc::new(
            prefixes
                .iter()
                .map(|text| parse_prefix(text).unwrap())
                .collect(),
        )
    };
    let layers = [
        set(&["192.0.2.0/24"]),
        set(&[]),
        set(&["2001:db8::/32", "192.0.2.0/24"]),
    ];
    let published = Published::of(PrefixSet::default());
    assert!(published.is_empty());
    published.replace_all(|| layers.into_iter().collect());
    assert_eq!(published.len(), 3, "each of each layer");
    for known in ["192.0.2.7", "2001:db8::7"] {
        assert!(published.contains(known.parse().unwrap()), "{known}");
    }
    assert!(!published.contains("192.0.3.1".parse().unwrap()));
    assert!(published.overlaps("2001:db8:1::/48".parse().unwrap()));
    assert!(!published.overlaps("192.0.3.0/24".parse().unwrap()));
}
