//! An outcome, on its way to who looks on.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use arrayvec::ArrayString;

use crate::account::{self, Asked, Facts, Outcome, Stages};
use crate::cut::cut;
use crate::door::DoorReason;
use crate::pass::Id;

/// An outcome. It holds all that is told of it, longer texts cut.
#[derive(Clone, Debug)]
pub struct Event {
    pub(super) time: jiff::Timestamp,
    pub(super) client: IpAddr,
    pub(super) of: Of,
}

/// What of.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it stands in a slot of a queue, and a box would be an allocation"
)]
pub(super) enum Of {
    Request(Request),
    Connection(DoorReason, SocketAddr),
}

/// A request, as [`Facts`] have it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) outcome: Outcome,
    known: bool,
    method: ArrayString<16>,
    host: ArrayString<64>,
    pub(super) path: ArrayString<256>,
    pub(super) status: u16,
    pub(super) tenant: Option<ArrayString<64>>,
    pass: Option<Id>,
    upstream: Option<(ArrayString<32>, Stages)>,
    received: u64,
    sent: u64,
    duration: Duration,
}

impl Event {
    /// A request that has ended.
    pub fn request(facts: &Facts) -> Self {
        Event {
            time: jiff::Timestamp::now(),
            client: facts.client,
            of: Of::Request(Request {
                outcome: facts.outcome,
                known: facts.known,
                method: cut(facts.method),
                host: cut(facts.host),
                path: cut(facts.path),
                status: facts.status,
                tenant: facts.tenant.map(cut),
                pass: facts.pass,
                upstream: facts
                    .upstream
                    .map(|asked| (cut(asked.upstream), asked.stages)),
                received: facts.received,
                sent: facts.sent,
                duration: facts.duration,
            }),
        }
    }

    /// A connection that was closed at the door of this listener.
    pub fn connection(reason: DoorReason, client: IpAddr, listener: SocketAddr) -> Self {
        Event {
            time: jiff::Timestamp::now(),
            client,
            of: Of::Connection(reason, listener),
        }
    }

    /// Writes it as the access log would, but for the sample rate, which does not apply.
    pub fn write(&self, out: &mut Vec<u8>) {
        match &self.of {
            Of::Request(request) => {
                account::write_request(out, self.time, &request.facts(self.client));
            }
            Of::Connection(reason, listener) => {
                account::write_connection(out, self.time, *reason, self.client, *listener);
            }
        }
    }
}

impl Request {
    fn facts(&self, client: IpAddr) -> Facts<'_> {
        Facts {
            outcome: self.outcome,
            client,
            known: self.known,
            method: &self.method,
            host: &self.host,
            path: &self.path,
            query: "",
            status: self.status,
            tenant: self.tenant.as_deref(),
            pass: self.pass,
            agent: None,
            upstream: self.upstream.as_ref().map(|(upstream, stages)| Asked {
                upstream,
                stages: *stages,
            }),
            received: self.received,
            sent: self.sent,
            duration: self.duration,
        }
    }
}
