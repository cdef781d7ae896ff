//! The words of a refusal: for programs as `application/problem+json` (RFC 9457), for people as a
//! small page that tries again by itself.

use std::io::Write;

use http::StatusCode;

use crate::reason::Reason;

/// Bytes that a body can have.
pub(super) const MAX_BODY: usize = 1024;

/// Writes the body into `space` and gives the part that was written.
pub(super) fn body(
    reason: Reason,
    status: StatusCode,
    told: Option<u64>,
    html: bool,
    space: &mut [u8; MAX_BODY],
) -> &[u8] {
    let mut rest = space.as_mut_slice();
    // All texts together are far from the bound; what did not fit would be left out, not overrun.
    let _ = match html {
        true => page(reason, status, told, &mut rest),
        false => problem(reason, status, told, &mut rest),
    };
    let written = MAX_BODY - rest.len();
    space.get(..written).unwrap_or_default()
}

fn problem(
    reason: Reason,
    status: StatusCode,
    told: Option<u64>,
    out: &mut &mut [u8],
) -> std::io::Result<()> {
    out.write_all(b"{\"title\":\"")?;
    out.write_all(status.canonical_reason().unwrap_or_default().as_bytes())?;
    out.write_all(b"\",\"status\":")?;
    out.write_all(status.as_str().as_bytes())?;
    out.write_all(b",\"detail\":\"")?;
    out.write_all(detail(reason).as_bytes())?;
    out.write_all(b"\",\"reason\":\"")?;
    out.write_all(reason.label().as_bytes())?;
    match told {
        Some(seconds) => writeln!(out, "\",\"retry_after\":{seconds}}}"),
        None => out.write_all(b"\"}\n"),
    }
}

fn page(
    reason: Reason,
    status: StatusCode,
    told: Option<u64>,
    out: &mut &mut [u8],
) -> std::io::Result<()> {
    let title = status.canonical_reason().unwrap_or_default();
    out.write_all(
        b"<!doctype html><meta charset=utf-8><meta name=viewport content=\"width=device-width\">",
    )?;
    if let Some(seconds) = told {
        write!(out, "<meta http-equiv=refresh content={seconds}>")?;
    }
    write!(
        out,
        "<title>{title}</title><style>body{{font:18px/1.5 system-ui,sans-serif;max-width:32em;margin:15vh auto;padding:0 1em}}</style><h1>{title}</h1><p>{}.",
        detail(reason)
    )?;
    if let Some(seconds) = told {
        write!(
            out,
            "<p>This page tries again by itself in {seconds} seconds."
        )?;
    }
    out.write_all(b"\n")
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
