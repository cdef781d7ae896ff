//! The words of a refusal: for programs as `application/problem+json` (RFC 9457), for people as a
//! small page that tries again by itself.

use arrayvec::ArrayVec;
use http::StatusCode;

use crate::reason::Reason;

/// Bytes that a body can have.
const MAX_BODY: usize = 1024;

/// A body while it is written.
pub(super) type Body = ArrayVec<u8, MAX_BODY>;

/// Writes the body. All texts together are far from its bound; what did not fit would be left out.
pub(super) fn write(
    reason: Reason,
    status: StatusCode,
    told: Option<u64>,
    html: bool,
    out: &mut Body,
) {
    let mut digits = itoa::Buffer::new();
    let told = told.map(|seconds| digits.format(seconds) as &str);
    match html {
        true => page(reason, status, told, out),
        false => problem(reason, status, told, out),
    }
}

fn put(parts: &[&str], out: &mut Body) {
    for part in parts {
        let _ = out.try_extend_from_slice(part.as_bytes());
    }
}

fn problem(reason: Reason, status: StatusCode, told: Option<&str>, out: &mut Body) {
    let title = status.canonical_reason().unwrap_or_default();
    put(
        &["{\"title\":\"", title, "\",\"status\":", status.as_str()],
        out,
    );
    put(
        &[
            ",\"detail\":\"",
            detail(reason),
            "\",\"reason\":\"",
            reason.label(),
        ],
        out,
    );
    match told {
        Some(seconds) => put(&["\",\"retry_after\":", seconds, "}\n"], out),
        None => put(&["\"}\n"], out),
    }
}

const PAGE: &str =
    "<!doctype html><meta charset=utf-8><meta name=viewport content=\"width=device-width\">";
const STYLE: &str = "<style>body{font:18px/1.5 system-ui,sans-serif;max-width:32em;margin:15vh auto;padding:0 1em}</style>";

fn page(reason: Reason, status: StatusCode, told: Option<&str>, out: &mut Body) {
    let title = status.canonical_reason().unwrap_or_default();
    put(&[PAGE], out);
    if let Some(seconds) = told {
        put(&["<meta http-equiv=refresh content=", seconds, ">"], out);
    }
    put(
        &[
            "<title>",
            title,
            "</title>",
            STYLE,
            "<h1>",
            title,
            "</h1><p>",
            detail(reason),
            ".",
        ],
        out,
    );
    if let Some(seconds) = told {
        put(
            &[
                "<p>This page tries again by itself in ",
                seconds,
                " seconds.",
            ],
            out,
        );
    }
    put(&["\n"], out);
}

/// One sentence without its full stop, for whoever reads it.
fn detail(reason: Reason) -> &'static str {
    match reason {
        Reason::UnknownClient => {
            "This service is under heavy load and serves known customers only for now"
        }
        Reason::Blocked => "Requests from your address are not served for now",
        Reason::PassRate => "Too many requests came with this pass",
        Reason::ClientRate => "Too many requests came from your address",
        Reason::NetworkRate => "Too many requests came from your network",
        Reason::TenantRate => "Too many requests came for this customer",
        Reason::TenantInFlight => "Too many requests of this customer are being served at once",
        Reason::RouteRate => "Too many requests came for this page",
        Reason::RouteInFlight => "Too many requests for this page are being served at once",
        Reason::InFlight => "Too many requests are being served at once",
        Reason::ClientInFlight => "Too many requests from your address are being served at once",
        Reason::NoRoute => "Nothing is served at this host and path",
        Reason::Malformed => "The request is malformed or can be read in more than one way",
        Reason::HeadTooLarge => "The request's header fields are too large",
        Reason::TargetTooLong => "The request's target is too long",
        Reason::Version => "This version of HTTP is not served here; use HTTP/1.1",
        Reason::Method => "This method is not served here",
        Reason::HeadTimeout => "The request's header did not arrive in time",
        Reason::MaxForwards => "The gate itself answers this request",
        Reason::UpstreamUnresolved => "The service behind this gate has no address for now",
        Reason::UpstreamConnect => "The service behind this gate cannot be reached",
        Reason::UpstreamTimeout => "The service behind this gate did not answer in time",
        Reason::UpstreamBroken => "The service behind this gate broke off its answer",
        Reason::ClientGone => "The connection ended before the response was complete",
        Reason::BodyTimeout => "The request's body did not arrive in time",
        Reason::BodyTooSlow => "The request's body arrived too slowly",
        Reason::BodyTooLarge | Reason::BodyOverrun => "The request's body is too large",
        Reason::ResponseStalled | Reason::ResponseTooSlow => "The response was not read in time",
        Reason::BodyMalformed => "The request's body is malformed",
        Reason::Drained => "The gate is shutting down",
        Reason::Internal => "The gate failed",
    }
}
