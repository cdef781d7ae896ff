//! Prefixes as operators write them.

use std::net::IpAddr;

use ipnet::IpNet;

/// `ADDRESS/LENGTH`, by the standard library's strict reading of addresses: ipnet's own takes
/// `010.0.0.0/8` for `10.0.0.0/8`.
fn network(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    let length = Some(length).filter(|length| length.bytes().all(|byte| byte.is_ascii_digit()))?;
    IpNet::new(address.parse().ok()?, length.parse().ok()?).ok()
}

/// Reads an address or a prefix; the error says what would be right.
pub fn parse_prefix(text: &str) -> Result<IpNet, String> {
    const EXAMPLE: &str =
        "write one address or prefix, such as 192.0.2.7, 198.51.100.0/24 or 2001:db8::/48";
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let net = network(text).ok_or(EXAMPLE)?;
    if net.addr() != net.network() {
        return Err(format!(
            "an address with a prefix length has no bits behind it: write {} for the network, or {} for the one address",
            net.trunc(),
            net.addr()
        ));
    }
    match net {
        IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some() => {
            Err("write IPv4 addresses in their own form, such as 192.0.2.0/24".to_owned())
        }
        _ => Ok(net),
    }
}
