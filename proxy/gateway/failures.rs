//! Pingora's errors in the gate's terms.

use std::io;

use pingora_error::{Error, ErrorSource, ErrorType};

use super::paced::Overdue;
use crate::reason::Reason;

/// Why there is no connection to a server.
pub(super) fn reason_of_connecting(error: &Error) -> Reason {
    match error.etype() {
        ErrorType::ConnectTimedout => Reason::UpstreamTimeout,
        _ => Reason::UpstreamConnect,
    }
}

/// Why a client was waited for no longer.
pub(super) fn reason_of_overdue(overdue: Overdue) -> Reason {
    match overdue {
        Overdue::Receiving => Reason::BodyTimeout,
        Overdue::ReceivingSlowly => Reason::BodyTooSlow,
        Overdue::Sending => Reason::ResponseStalled,
        Overdue::SendingSlowly => Reason::ResponseTooSlow,
    }
}

/// Why a request failed, but for its connection.
pub(super) fn reason_of(error: &Error) -> Reason {
    let io = error.root_cause().downcast_ref::<io::Error>();
    match (error.esource(), error.etype()) {
        (ErrorSource::Downstream, ErrorType::InvalidHTTPHeader) => Reason::Malformed,
        (ErrorSource::Downstream, _) => match io.map(io::Error::kind) {
            Some(io::ErrorKind::InvalidData) => Reason::BodyMalformed,
            Some(io::ErrorKind::FileTooLarge) => Reason::BodyOverrun,
            _ => io
                .and_then(Overdue::of)
                .map_or(Reason::ClientGone, reason_of_overdue),
        },
        (ErrorSource::Upstream, ErrorType::ReadTimedout | ErrorType::WriteTimedout) => {
            Reason::UpstreamTimeout
        }
        (ErrorSource::Upstream, _) => match io.map(io::Error::kind) {
            Some(io::ErrorKind::TimedOut) => Reason::UpstreamTimeout,
            _ => Reason::UpstreamBroken,
        },
        _ => Reason::Internal,
    }
}
