//! The PROXY protocol, versions 1 and 2 (haproxy's doc/proxy-protocol.txt, 2020/03/05): a header in
//! front of a connection, in which a load balancer names the client.
//!
//! Exactly the header is read, so that what follows is there for TLS or HTTP.

use std::net::IpAddr;

use arrayvec::ArrayVec;
use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt};

/// What every header of version 2 begins with (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What every header of version 1 begins with (section 2.1).
const VERSION_1: &[u8] = b"PROXY ";
/// Bytes of the longest header of version 1, its CRLF included (section 2.1).
const LONGEST_1: usize = 107;
/// The signature, the command, the family and the length.
const FIXED_2: usize = 16;
/// Bytes of a header of version 2 that are read: the addresses, and what load balancers add to them
/// in practice. The format allows 64 KiB.
const LONGEST_2: usize = 2048;
/// Version and command of a connection that is the load balancer's own, and of another's.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// Families and protocols that have a client here: none named, TCP over IPv4, TCP over IPv6.
const FAMILIES: [u8; 3] = [0x00, 0x11, 0x21];

/// Why a connection has no usable header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// What came is not a header, is too long, or names no address of the internet.
    Malformed,
    /// The connection ended, or broke, before its header did.
    Gone,
}

/// Reads the header and gives the client's address; `None` when the header says that the connection
/// is the load balancer's own (`LOCAL`, `UNKNOWN`, `UNSPEC`), as for its health checks.
///
/// It waits for as long as the other end takes: the caller has the deadline.
///
/// # Errors
/// See [`HeaderError`].
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<IpAddr>, HeaderError> {
    let mut header = ArrayVec::<u8, LONGEST_2>::new();
    // Both versions are longer than this, and no byte behind the header must be taken.
    take(stream, &mut header, 8).await?;
    if header.starts_with(VERSION_1) {
        read_line(stream, &mut header).await?;
    } else if SIGNATURE.starts_with(&header) {
        let command = read_rest(stream, &mut header).await?;
        if command == LOCAL {
            // Whatever else it says does not count.
            return Ok(None);
        }
    } else {
        return Err(HeaderError::Malformed);
    }
    address(&header)
}

/// Version 1 ends with its line.
async fn read_line<S: AsyncRead + Unpin>(
    stream: &mut S,
    header: &mut ArrayVec<u8, LONGEST_2>,
) -> Result<(), HeaderError> {
    while !header.ends_with(b"\r\n") {
        if header.len() == LONGEST_1 {
            return Err(HeaderError::Malformed);
        }
        // A byte at a time, as the line may end with any.
        let byte = stream.read_u8().await.map_err(|_| HeaderError::Gone)?;
        header.try_push(byte).map_err(|_| HeaderError::Malformed)?;
    }
    Ok(())
}

/// Version 2 says how long it is; gives its command.
async fn read_rest<S: AsyncRead + Unpin>(
    stream: &mut S,
    header: &mut ArrayVec<u8, LONGEST_2>,
) -> Result<u8, HeaderError> {
    take(stream, header, FIXED_2 - header.len()).await?;
    let Some((fixed, _)) = header.split_first_chunk::<FIXED_2>() else {
        return Err(HeaderError::Malformed);
    };
    let [signature @ .., command, family, high, low] = *fixed;
    let told = command == LOCAL || command == PROXY && FAMILIES.contains(&family);
    if signature != *SIGNATURE || !told {
        return Err(HeaderError::Malformed);
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_2 - FIXED_2 {
        return Err(HeaderError::Malformed);
    }
    take(stream, header, length).await?;
    Ok(command)
}

async fn take<S: AsyncRead + Unpin>(
    stream: &mut S,
    header: &mut ArrayVec<u8, LONGEST_2>,
    length: usize,
) -> Result<(), HeaderError> {
    let mut space = [0; LONGEST_2];
    let space = space.get_mut(..length).ok_or(HeaderError::Malformed)?;
    let read = stream.read_exact(space).await;
    read.map_err(|_| HeaderError::Gone)?;
    header
        .try_extend_from_slice(space)
        .map_err(|_| HeaderError::Malformed)
}

fn address(header: &[u8]) -> Result<Option<IpAddr>, HeaderError> {
    let rules = ParseConfig {
        include_tlvs: false,
        ..ParseConfig::default()
    };
    match ProxyHeader::parse(header, rules) {
        Ok((parsed, length)) if length == header.len() => {
            let named = parsed.proxied_address();
            Ok(named.map(|named| named.source.ip().to_canonical()))
        }
        _ => Err(HeaderError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    /// What is made of these bytes, and how many of them were taken.
    fn read_from(mut bytes: &[u8]) -> (Result<Option<IpAddr>, HeaderError>, usize) {
        let length = bytes.len();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let announced = runtime.unwrap().block_on(read(&mut bytes));
        (announced, length - bytes.len())
    }

    fn version_1(client: IpAddr, ports: (u16, u16)) -> Vec<u8> {
        let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
        format!(
            "PROXY {family} {client} {client} {} {}\r\n",
            ports.0, ports.1
        )
        .into_bytes()
    }

    fn version_2(client: IpAddr, ports: (u16, u16), extra: &[u8]) -> Vec<u8> {
        let (family, octets) = match client {
            IpAddr::V4(address) => (0x11, address.octets().to_vec()),
            IpAddr::V6(address) => (0x21, address.octets().to_vec()),
        };
        // One extra field of the kind that means nothing (PP2_TYPE_NOOP).
        let extra_length = u16::try_from(extra.len()).unwrap().to_be_bytes();
        let ports = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
        let rest = [&octets[..], &octets, &ports, &[4], &extra_length, extra].concat();
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[PROXY, family][..], &length, &rest].concat()
    }

    fn clients() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits))),
            any::<u128>().prop_map(|bits| IpAddr::from(Ipv6Addr::from_bits(bits))),
        ]
    }

    proptest! {
        #[test]
        fn exactly_the_header_is_taken_and_names_the_client(
            client in clients(),
            ports in any::<(u16, u16)>(),
            extra in prop::collection::vec(any::<u8>(), 0..1900),
            behind in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            for header in [version_1(client, ports), version_2(client, ports, &extra)] {
                let (announced, taken) = read_from(&[&header[..], &behind].concat());
                prop_assert_eq!(announced, Ok(Some(client.to_canonical())));
                prop_assert_eq!(taken, header.len());
            }
        }

        #[test]
        fn a_header_that_ends_early_names_nobody(
            client in clients(),
            ports in any::<(u16, u16)>(),
            cut in any::<prop::sample::Index>(),
        ) {
            for header in [version_1(client, ports), version_2(client, ports, b"extra")] {
                let cut = cut.index(header.len());
                prop_assert_eq!(read_from(&header[..cut]).0, Err(HeaderError::Gone));
            }
        }

        #[test]
        fn a_damaged_header_is_an_error_or_another_header_and_never_more(
            client in clients(),
            ports in any::<(u16, u16)>(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            behind in prop::collection::vec(any::<u8>(), 0..3000),
        ) {
            for mut header in [version_1(client, ports), version_2(client, ports, b"extra")] {
                for (at, byte) in &damage {
                    let at = at.index(header.len());
                    header[at] = *byte;
                }
                let (_, taken) = read_from(&[&header[..], &behind].concat());
                prop_assert!(taken <= LONGEST_2);
                prop_assert!(!header.starts_with(VERSION_1) || taken <= LONGEST_1);
            }
        }

        #[test]
        fn whatever_comes_is_bounded(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
            for begin in [&b""[..], VERSION_1, SIGNATURE] {
                let (announced, taken) = read_from(&[begin, &bytes].concat());
                prop_assert!(taken <= LONGEST_2);
                prop_assert!(announced.is_err() || !begin.is_empty());
            }
        }
    }
}
