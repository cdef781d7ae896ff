//! The fields that the upstream and the client see: who the client is, and nothing of what belongs
//! to one hop alone (RFC 9110 section 7.6).

use std::io::Write;
use std::net::IpAddr;

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
    if !hop.trusted {
        for claim in &CLAIMS {
            request.remove_header(claim);
        }
    }
    remove_disguises(request, named);
    let chain = join(request, X_FORWARDED_FOR, hop.trusted, hop.peer)?;
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

/// Removes what reads as another field, whoever sent it: no proxy writes it so. The header in which
/// the app confirms goes in every spelling.
fn remove_disguises(request: &mut RequestHeader, named: &Named) {
    let is_one = |name: &&HeaderName| {
        let name = name.as_str();
        is_odd(name) && is_claim(name)
            || (named.tenant).is_some_and(|tenant| name != tenant && is_read_as(name, tenant))
            || (named.confirming).is_some_and(|confirming| is_read_as(name, confirming))
    };
    // Almost always none, which takes no memory.
    let disguises: Vec<HeaderName> = request.headers.keys().filter(is_one).cloned().collect();
    for disguise in &disguises {
        request.remove_header(disguise);
    }
}

/// Whether an app may read a field of this name as a claim about the client.
fn is_claim(name: &str) -> bool {
    begins_as(name, FAMILY) || CLAIMS.iter().any(|claim| is_read_as(name, claim.as_str()))
}

/// A list field's values as one, byte for byte, with one more at the end.
fn join(
    request: &RequestHeader,
    name: &str,
    keep: bool,
    last: impl std::fmt::Display,
) -> Result<HeaderValue> {
    let mut list = Vec::with_capacity(64);
    if keep {
        for value in request.headers.get_all(name) {
            list.extend_from_slice(value.as_bytes());
            list.extend_from_slice(b", ");
        }
    }
    // Writing into memory does not fail.
    let _ = write!(list, "{last}");
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
    if let Some(nominated) = nominated(response) {
        for name in nominated {
            response.remove_header(&name);
        }
    }
    for name in ["keep-alive", "proxy-connection"] {
        response.remove_header(name);
    }
    response.remove_header(&PROXY_AUTHENTICATE);
    response.remove_header(&UPGRADE);
}

/// The fields that `Connection` names; most responses name none.
fn nominated(response: &ResponseHeader) -> Option<Vec<HeaderName>> {
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
    (!names.is_empty()).then_some(names)
}
