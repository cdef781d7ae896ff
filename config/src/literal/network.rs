//! Addresses, networks and host names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};

use super::{Literal, whole_number};
use crate::checked::Server;

impl Literal for SocketAddr {
    const EXAMPLES: &'static [&'static str] = &["127.0.0.1:8080", "0.0.0.0:8080", "[::]:8080"];

    fn read(text: &str) -> Result<SocketAddr, String> {
        let address: SocketAddr = text.parse().map_err(|_| {
            "an address is an IP address and a port, such as \"127.0.0.1:8080\", \
             \"0.0.0.0:8080\" or \"[::]:8080\""
                .to_owned()
        })?;
        refuse_mapped(address.ip(), |ip| format!("{ip}:{}", address.port()))?;
        Ok(address)
    }
}

/// A listener that can be switched off.
impl Literal for Option<SocketAddr> {
    const EXAMPLES: &'static [&'static str] = &["127.0.0.1:9902", "off"];

    fn read(text: &str) -> Result<Option<SocketAddr>, String> {
        if text == "off" {
            return Ok(None);
        }
        SocketAddr::read(text)
            .map(Some)
            .map_err(|right| format!("{right}, or \"off\" for no such listener"))
    }
}

/// `::ffff:10.0.0.5` and `10.0.0.5` are one address in two forms. Only one of
/// them is allowed, so that what is compared is what was written.
fn refuse_mapped(address: IpAddr, write: impl Fn(Ipv4Addr) -> String) -> Result<(), String> {
    match address {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => Err(format!(
                "an IPv4 address is written as such: \"{}\"",
                write(v4)
            )),
            None => Ok(()),
        },
        IpAddr::V4(_) => Ok(()),
    }
}

impl Literal for IpNet {
    const EXAMPLES: &'static [&'static str] = &["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"];

    fn read(text: &str) -> Result<IpNet, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            refuse_mapped(address, |v4| v4.to_string())?;
            return Ok(IpNet::from(address));
        }
        let form = || {
            "a network is an address and the length of its prefix, such as \"10.0.0.0/8\" or \
             \"2001:db8::/32\""
                .to_owned()
        };
        // ipnet's own parser takes more: a sign, and 010.0.0.0, which is 8.0.0.0 to some.
        let (address, length) = text.split_once('/').ok_or_else(form)?;
        let address: IpAddr = address.parse().map_err(|_| form())?;
        let length = whole_number(length).and_then(|length| u8::try_from(length).ok());
        let network = length
            .and_then(|length| IpNet::new(address, length).ok())
            .ok_or_else(form)?;
        refuse_mapped_network(network)?;
        refuse_host_bits(network)?;
        Ok(network)
    }
}

fn refuse_mapped_network(network: IpNet) -> Result<(), String> {
    let IpNet::V6(v6) = network else {
        return Ok(());
    };
    let Some(v4) = v6.addr().to_ipv4_mapped() else {
        return Ok(());
    };
    let form = v6
        .prefix_len()
        .checked_sub(96)
        .and_then(|length| Ipv4Net::new(v4, length).ok());
    match form {
        Some(v4) => Err(format!(
            "an IPv4 network is written as such: \"{}\"",
            v4.trunc()
        )),
        None => Err(format!("an IPv4 address is written as such: \"{v4}\"")),
    }
}

fn refuse_host_bits(network: IpNet) -> Result<(), String> {
    if network.addr() == network.network() {
        return Ok(());
    }
    let (whole, one) = (network.trunc(), IpNet::from(network.addr()));
    Err(format!(
        "the network is \"{whole}\", and this one address is \"{one}\": write one of them"
    ))
}

impl Literal for Server {
    const EXAMPLES: &'static [&'static str] =
        &["127.0.0.1:3000", "app.internal:3000", "[::1]:3000"];

    fn read(text: &str) -> Result<Server, String> {
        server(text)
    }
}

const SERVERS: &str = r#"such as "127.0.0.1:3000", "app.internal:3000" or "[::1]:3000""#;

/// Reads the text form of a [`Server`].
pub(crate) fn server(text: &str) -> Result<Server, String> {
    if text.contains("://") {
        return Err(format!("a server is written without a scheme, {SERVERS}"));
    }
    let form = || format!("a server is a host and a port, {SERVERS}");
    let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
    let port = whole_number(port)
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("a server's port is a number from 1 to 65535, {SERVERS}"))?;
    let host = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(v6) => {
            let v6: Ipv6Addr = v6.parse().map_err(|_| form())?;
            refuse_mapped(v6.into(), |v4| format!("{v4}:{port}"))?;
            v6.to_string()
        }
        None if host.parse::<Ipv4Addr>().is_ok() || is_dns_name(host) => host.to_ascii_lowercase(),
        None => return Err(form()),
    };
    Ok(Server { host, port })
}

/// Whether a resolver could be asked for it: up to 253 bytes of labels of up
/// to 63 letters, digits, `-` and `_`. The last label is no number, so that a
/// mistyped IPv4 address is not taken for a name.
fn is_dns_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253 && text.split('.').all(is_label) && whole_number(last).is_none()
}

/// The host of a request: lower case, no port, no final dot; an IPv6 address
/// in brackets, as in a `Host` header.
#[derive(Debug, PartialEq)]
pub(crate) struct HostName(pub(crate) String);

impl Literal for HostName {
    const EXAMPLES: &'static [&'static str] = &["shop.example.com"];

    fn read(text: &str) -> Result<HostName, String> {
        let v6 = text
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        if let Some(v6) = v6.and_then(|host| host.parse::<Ipv6Addr>().ok()) {
            return Ok(HostName(format!("[{v6}]")));
        }
        if text.parse::<Ipv4Addr>().is_ok() || is_dns_name(text) {
            let host = text.strip_suffix('.').unwrap_or(text);
            return Ok(HostName(host.to_ascii_lowercase()));
        }
        Err(
            "a host is one whole name without scheme, port, path or \"*\", such as \
             \"shop.example.com\""
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_comes_back_as_it_was_written() {
        for text in [
            "127.0.0.1:3000",
            "[::1]:80",
            "app.internal:3000",
            "app:1",
            "a_b-c.d:65535",
        ] {
            assert_eq!(
                server(text).map(|server| server.to_string()),
                Ok(text.to_owned())
            );
        }
        assert_eq!(server("App.Internal:80").unwrap().host, "app.internal");
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for text in [
            "",
            ":80",
            "app",
            "app:",
            "app:0",
            "app:65536",
            "app:http",
            "http://app:80",
            "::1:80",
            "[::1]",
            "[::1:80",
            "[app]:80",
            "300.1.1.1:80",
            "a..b:80",
            "-a:80",
            "a b:80",
            "a/b:80",
            "user@app:80",
            "[::ffff:10.0.0.5]:80",
            "app:+80",
            "ä:80",
        ] {
            assert!(server(text).is_err(), "{text}");
        }
        assert!(server(&format!("{}:80", "a".repeat(64))).is_err());
        assert!(server(&format!("{}b:80", "a.".repeat(127))).is_err());
    }

    #[test]
    fn a_bare_address_is_a_network_of_one() {
        assert_eq!(
            IpNet::read("192.0.2.7"),
            Ok("192.0.2.7/32".parse().unwrap())
        );
        assert_eq!(
            IpNet::read("2001:db8::7"),
            Ok("2001:db8::7/128".parse().unwrap())
        );
        assert_eq!(IpNet::read("0.0.0.0/0"), Ok("0.0.0.0/0".parse().unwrap()));
    }

    #[test]
    fn a_network_has_one_way_to_be_written() {
        for (text, right) in [
            (
                "10.0.0.5/8",
                "the network is \"10.0.0.0/8\", and this one address is \"10.0.0.5/32\": write one of them",
            ),
            (
                "2001:db8::1/32",
                "the network is \"2001:db8::/32\", and this one address is \"2001:db8::1/128\": write one of them",
            ),
            (
                "::ffff:10.0.0.5",
                "an IPv4 address is written as such: \"10.0.0.5\"",
            ),
            (
                "::ffff:10.0.0.0/104",
                "an IPv4 network is written as such: \"10.0.0.0/8\"",
            ),
            (
                "::ffff:10.0.0.0/64",
                "an IPv4 address is written as such: \"10.0.0.0\"",
            ),
        ] {
            assert_eq!(IpNet::read(text), Err(right.to_owned()));
        }
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "010.0.0.0/8",
            "localhost",
            "10.0.0.0/+8",
        ] {
            assert!(
                IpNet::read(text).unwrap_err().starts_with("a network is"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_host_is_compared_in_one_form() {
        for (text, host) in [
            ("Shop.Example.COM", "shop.example.com"),
            ("shop.example.com.", "shop.example.com"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(HostName::read(text), Ok(HostName(host.to_owned())));
        }
        for text in [
            "",
            "*.example.com",
            "shop:80",
            "http://shop",
            "shop/a",
            "2001:db8::1",
            "1.2.3",
        ] {
            assert!(HostName::read(text).is_err(), "{text}");
        }
    }
}
