//! The fields that the upstream and the client see: who the client is, and nothing of what belongs
//! to one hop alone (RFC 9110 section 7.6).

use std::fmt::Write;
use std::net::IpAddr;

use arrayvec::ArrayString;
use http::Version;
use http::header::{
    CONNECTION, FORWARDED, HOST, HeaderName, HeaderValue, MAX_FORWARDS, PROXY_AUTHENTICATE,
    UPGRADE, VIA,
};
use pingora_error::{ErrorType, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};

use crate::head::{begins_as, is_odd, is_read_as};

const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// The field in which a proxy says how its client came.
pub const X_FORWARDED_PROTO: &str = "x-forwarded-proto";
const X_FORWARDED_HOST: &str = "x-forwarded-host";

/// Fields in which a client could claim to be somebody: only a trusted proxy may send them.
const CLAIMS: [HeaderName; 6] = [
    FORWARDED,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("x-cluster-client-ip"),
    HeaderName::from_static("x-forwarded-port"),
];

/// Bytes of the longest address in text.
const MAX_ADDRESS: usize = 46;

/// Fields of a response that go no further than one hop, beside those that Pingora writes itself.
const OF_HOPS: [HeaderName; 4] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    UPGRADE,
];

/// How the names of further claims begin, which proxies add to these.
const FAMILY: &str = "x-forwarded";

/// Where a request came from, one hop back.
#[derive(Clone, Copy, Debug)]
pub struct Hop {
    /// The other end of the connection.
    pub peer: IpAddr,
    /// Whether it is believed about the client.
    pub trusted: bool,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// The version it was sent in.
    pub version: Version,
}

impl Hop {
    /// How the gate stands in `Via` (RFC 9110 section 7.6.3).
    fn pseudonym(&self) -> &'static str {
        match self.version {
            Version::HTTP_2 => "2 tidegate",
            _ => "1.1 tidegate",
        }
    }
}

/// Fields that the operator has named to the gate, in lower case.
#[derive(Clone, Copy, Debug)]
pub struct Named<'policy> {
    /// In which a client says whose traffic it is.
    pub tenant: Option<&'policy str>,
    /// In which the app confirms a client.
    pub confirming: Option<&'policy str>,
}

/// Writes who the client is into a request on its way to the upstream.
///
/// A trusted peer's fields are continued, anybody else's are replaced. What an app could take for one
/// of them, or for the tenant's, is removed, and so is the app's own word.
///
/// # Errors
/// When a value that came with the request cannot be written back as a field value.
pub fn to_upstream(request: &mut RequestHeader, hop: &Hop, named: &Named) -> Result<()> {
    remove_claims(request, hop.trusted, named);
    let peer = text_of(hop.peer);
    let chain = join(request, X_FORWARDED_FOR, hop.trusted, &peer)?;
    request.insert_header(X_FORWARDED_FOR, chain)?;
    if !hop.trusted || !request.headers.contains_key(X_FORWARDED_PROTO) {
        request.insert_header(X_FORWARDED_PROTO, if hop.secure { "https" } else { "http" })?;
    }
    if !hop.trusted || !request.headers.contains_key(X_FORWARDED_HOST) {
        match request.headers.get(HOST).cloned() {
            Some(host) => request.insert_header(X_FORWARDED_HOST, host)?,
            None => drop(request.remove_header(X_FORWARDED_HOST)),
        }
    }
    let via = join(request, VIA.as_str(), true, hop.pseudonym())?;
    request.insert_header(VIA, via)?;
    if let Some(left) = max_forwards(request.headers.get(MAX_FORWARDS)) {
        request.insert_header(MAX_FORWARDS, left.saturating_sub(1).to_string())?;
    }
    Ok(())
}

/// Removes the claims of who is not trusted, and, whoever sent it, what reads as another field: no proxy
/// writes it so. The header in which the app confirms goes in every spelling.
fn remove_claims(request: &mut RequestHeader, trusted: bool, named: &Named) {
    let goes = |name: &&HeaderName| {
        if !trusted && CLAIMS.contains(name) {
            return true;
        }
        let name = name.as_str();
        is_odd(name) && is_claim(name)
            || (named.tenant).is_some_and(|tenant| name != tenant && is_read_as(name, tenant))
            || (named.confirming).is_some_and(|confirming| is_read_as(name, confirming))
    };
    // Almost always none, which takes no memory.
    let claims: Vec<HeaderName> = request.headers.keys().filter(goes).cloned().collect();
    for claim in &claims {
        request.remove_header(claim);
    }
}

/// An address in text. Of version 4, which is almost always, by the digits: it stands in each request.
fn text_of(address: IpAddr) -> ArrayString<MAX_ADDRESS> {
    let mut text = ArrayString::new();
    // There is room for the longest.
    let _ = match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            let mut digits = itoa::Buffer::new();
            text.push_str(digits.format(first));
            for octet in rest {
                text.push('.');
                text.push_str(digits.format(octet));
            }
            Ok(())
        }
        IpAddr::V6(address) => write!(text, "{address}"),
    };
    text
}

/// Whether an app may read a field of this name as a claim about the client.
fn is_claim(name: &str) -> bool {
    begins_as(name, FAMILY) || CLAIMS.iter().any(|claim| is_read_as(name, claim.as_str()))
}

/// A list field's values as one, byte for byte, with one more at the end.
fn join(request: &RequestHeader, name: &str, keep: bool, last: &str) -> Result<HeaderValue> {
    let mut list = Vec::with_capacity(64);
    if keep {
        for value in request.headers.get_all(name) {
            list.extend_from_slice(value.as_bytes());
            list.extend_from_slice(b", ");
        }
    }
    list.extend_from_slice(last.as_bytes());
    HeaderValue::try_from(list).or_err(ErrorType::InvalidHTTPHeader, "a list of field values")
}

/// How often a request may still be forwarded (RFC 9110 section 7.6.2).
pub fn max_forwards(value: Option<&HeaderValue>) -> Option<u32> {
    value?.to_str().ok()?.trim().parse().ok()
}

/// Removes from a response what was meant for the hop between the upstream and the gate. Pingora
/// writes `Connection` and the framing anew.
pub fn to_client(response: &mut ResponseHeader) {
    if response.status == http::StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    // Most have none of them, which takes no memory.
    let mut names = nominated(response);
    let names_of_hops = response
        .headers
        .keys()
        .filter(|name| OF_HOPS.contains(name));
    names.extend(names_of_hops.cloned());
    for name in names {
        response.remove_header(&name);
    }
}

/// The fields that `Connection` names.
fn nominated(response: &ResponseHeader) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for value in response.headers.get_all(CONNECTION) {
        let tokens = value.as_bytes().split(|byte| *byte == b',');
        names.extend(
            tokens
                .map(<[u8]>::trim_ascii)
                .filter(|token| {
                    !token.eq_ignore_ascii_case(b"close")
                        && !token.eq_ignore_ascii_case(b"keep-alive")
                })
                .filter_map(|token| HeaderName::from_bytes(token).ok())
                // Framing is Pingora's, and not a field that a hop may take away.
                .filter(|name| name != http::header::CONTENT_LENGTH)
                .filter(|name| name != http::header::TRANSFER_ENCODING),
        );
    }
    names
}
