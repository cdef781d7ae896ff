//! Who may ask over TCP, where everybody on this machine can connect: who has the token. And nobody's
//! browser by way of a page that it shows: a page may have the name of its site resolve to this machine
//! (DNS rebinding), which `Host` tells, and may send requests across origins, which `Origin` tells.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::serving::{Later, closing};
use super::{Admin, Problem};

/// How long who guesses waits for its answer.
const GUESS: Duration = Duration::from_secs(1);

/// Requests over TCP that were refused, by what was wrong with them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Refusals {
    /// Named another host.
    pub host: u64,
    /// Came from a page of another origin.
    pub origin: u64,
    /// Had no token, or a wrong one.
    pub token: u64,
}

/// Counts them.
#[derive(Debug, Default)]
pub struct Refused {
    host: AtomicU64,
    origin: AtomicU64,
    token: AtomicU64,
}

impl Refused {
    /// So far.
    pub(super) fn get(&self) -> Refusals {
        Refusals {
            host: self.host.load(Relaxed),
            origin: self.origin.load(Relaxed),
            token: self.token.load(Relaxed),
        }
    }
}

/// What the requests of one listener are held against.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) admin: Arc<Admin>,
    pub(super) port: u16,
}

/// Lets pass who may ask.
pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let refused = &guard.admin.refused;
    let authority = match named_host(&request, guard.port) {
        Ok(authority) => authority,
        Err(detail) => {
            refused.host.fetch_add(1, Relaxed);
            return closing(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
        }
    };
    if let Err(detail) = same_origin(request.headers(), &authority) {
        refused.origin.fetch_add(1, Relaxed);
        return closing(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    let token = guard.admin.reloader.token();
    let presented = bearer(request.headers());
    if !token
        .zip(presented)
        .is_some_and(|(token, presented)| token.is(presented))
    {
        refused.token.fetch_add(1, Relaxed);
        return without_token();
    }
    next.run(request).await
}

/// The only value of a field.
fn only<'fields>(fields: &'fields HeaderMap, name: &HeaderName) -> Option<&'fields HeaderValue> {
    let mut values = fields.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// The authority that a request names, if it is this listener.
fn named_host(request: &Request, port: u16) -> Result<Authority, String> {
    let host = only(request.headers(), &HOST);
    let parsed = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    // A target in absolute form stands above Host (RFC 9112 section 3.2.2).
    let target = request.uri().authority();
    parsed
        .filter(|host| is_here(host, port) && target.is_none_or(|target| target == host))
        .ok_or_else(|| {
            format!(
                "the Host {} is not this listener: it is asked for as 127.0.0.1:{port} or localhost:{port}",
                shown(host)
            )
        })
}

/// Whether this is this machine's loopback by its number or its own name, and this port.
fn is_here(authority: &Authority, port: u16) -> bool {
    // `host` and `port_u16` leave out a user before an @.
    is_loopback(authority.host())
        && authority.port_u16() == Some(port)
        && !authority.as_str().contains('@')
}

/// Whether this host, as it is written in a URL, is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let number = host.trim_start_matches('[').trim_end_matches(']');
    number.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        || host.eq_ignore_ascii_case("localhost")
}

/// Whether the request comes from no page, or from one of this very origin.
fn same_origin(fields: &HeaderMap, authority: &Authority) -> Result<(), String> {
    if !fields.contains_key(ORIGIN) {
        return Ok(());
    }
    let origin = only(fields, &ORIGIN);
    let own = origin
        .and_then(|origin| origin.as_bytes().strip_prefix(b"http://"))
        .and_then(|origin| Authority::try_from(origin).ok());
    match own.is_some_and(|own| own == *authority) {
        true => Ok(()),
        false => Err(format!(
            "the Origin {} is another one: pages of other sites do not administer the gate",
            shown(origin)
        )),
    }
}

/// The credentials of `Authorization: Bearer` (RFC 6750).
fn bearer(fields: &HeaderMap) -> Option<&[u8]> {
    let value = only(fields, &AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

fn without_token() -> Response {
    let detail = "over TCP this takes `Authorization: Bearer` with the token in the file that admin.token_file names: `tidegate --admin-token-file FILE`, or TIDEGATE_ADMIN_TOKEN_FILE";
    let mut response = closing(Problem::new(StatusCode::UNAUTHORIZED, detail));
    let scheme = HeaderValue::from_static("Bearer");
    response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    response.extensions_mut().insert(Later(GUESS));
    response
}

/// What somebody sent, to be told.
fn shown(value: Option<&HeaderValue>) -> String {
    let text = value.map(|value| String::from_utf8_lossy(value.as_bytes()));
    let short = text.map(|text| text.chars().take(100).collect::<String>());
    short.map_or_else(
        || "(none, or several)".to_owned(),
        |text| format!("{text:?}"),
    )
}

/// Seconds between two lines of the audit log about refusals.
const TOLD: u64 = 60;

/// What the audit log has of refusals.
#[derive(Debug, Default)]
pub(super) struct Told {
    at: u64,
    refusals: Refusals,
}

impl Told {
    /// What to write down now, if there is something new: at once, and then at most once a minute.
    pub(super) fn due(&mut self, refused: &Refused, now: u64) -> Option<String> {
        let all = refused.get();
        if all == self.refusals || now.saturating_sub(self.at) < TOLD {
            return None;
        }
        let before = self.refusals;
        *self = Told {
            at: now,
            refusals: all,
        };
        Some(format!(
            "refused over TCP: {} without the token, {} for another host, {} from another origin",
            all.token - before.token,
            all.host - before.host,
            all.origin - before.origin,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_by_number_or_name_and_port() {
        for (text, expected) in [
            ("127.0.0.1:9903", true),
            ("127.0.0.2:9903", true),
            ("[::1]:9903", true),
            ("localhost:9903", true),
            ("LOCALHOST:9903", true),
            ("127.0.0.1", false),
            ("127.0.0.1:9904", false),
            ("127.1:9903", false),
            ("2130706433:9903", false),
            ("0.0.0.0:9903", false),
            ("localhost.evil.example:9903", false),
            ("127.0.0.1.evil.example:9903", false),
            ("evil@127.0.0.1:9903", false),
            ("[::ffff:192.0.2.1]:9903", false),
        ] {
            let authority = Authority::try_from(text);
            let is_here = authority.is_ok_and(|authority| is_here(&authority, 9903));
            assert_eq!(is_here, expected, "{text}");
        }
    }

    #[test]
    fn refusals_are_told_at_once_and_then_once_a_minute() {
        let (refused, mut told) = (Refused::default(), Told::default());
        assert_eq!(told.due(&refused, 1000), None);
        refused.token.fetch_add(2, Relaxed);
        assert!(
            told.due(&refused, 1001)
                .is_some_and(|text| text.contains("2 without"))
        );
        refused.host.fetch_add(1, Relaxed);
        assert_eq!(told.due(&refused, 1060), None);
        let later = told.due(&refused, 1061);
        assert!(later.is_some_and(|text| text.contains("0 without the token, 1 for another host")));
        assert_eq!(told.due(&refused, 9999), None);
    }
}
