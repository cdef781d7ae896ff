//! One request's turn: from a complete head to a reply that is written or an exchange that is
//! begun. Synchronous, so that no guard of the policy lives across an await.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tidegate_config::Mode;

use super::exchange::Exchange;
use crate::account::{Facts, Outcome};
use crate::claims::Permits;
use crate::gate::Gate;
use crate::head::{self, Chunks, Framing, Head, HeadError, MAX_FIELDS};
use crate::identity::{Caller, Identity, identify};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::refuse::{Persistence, Reply, status, wants_html};
use crate::route::Route;
use crate::verdict::Refusal;

/// What the connection does next.
#[derive(Debug)]
pub(super) enum Turn {
    /// The reply is in the buffer: send it, drop these many bytes of the request, and go on.
    Replied { consumed: usize },
    /// The reply is in the buffer: send it and close. `unread`: the client may still be sending.
    Closing { unread: bool },
    /// Hand the request over to the proxy.
    Forward {
        exchange: Box<Exchange>,
        /// The head, where the app is to see another one than was sent.
        rewritten: Option<BytesMut>,
        framing: Framing,
    },
}

/// What a turn knows of its connection.
#[derive(Debug)]
pub(super) struct Asked<'connection> {
    pub(super) gate: &'connection Arc<Gate>,
    pub(super) caller: &'connection Caller,
    /// Everything that was read; the head is its beginning.
    pub(super) buffered: &'connection [u8],
    /// Bytes of the head.
    pub(super) length: usize,
    /// Whether the gate is going down, so that no connection is kept.
    pub(super) draining: bool,
}

impl Asked<'_> {
    /// Judges the request; a reply is written into `out`.
    pub(super) fn take(&self, out: &mut BytesMut) -> Turn {
        let started = Instant::now();
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let bytes = self.buffered.get(..self.length).unwrap_or_default();
        match head::parse(bytes, &mut fields) {
            Ok(head) => self.judge(&head, started, out),
            Err(error) => {
                refuse_head(self.gate, self.caller.address, error, out);
                Turn::Closing { unread: true }
            }
        }
    }

    fn judge(&self, head: &Head, started: Instant, out: &mut BytesMut) -> Turn {
        let policy = self.gate.policy.load();
        let client = policy.client.client(self.caller.address, head);
        let identity = identify(
            &policy,
            &self.gate.limits.hasher,
            client,
            self.caller.certificate.as_deref(),
            head,
        );
        let verdict = self.verdict(&policy, head, &identity);
        match verdict {
            Err(refusal) => self.refuse(&policy, head, &identity, &refusal, started, out),
            Ok((route, permits)) => Turn::Forward {
                rewritten: head
                    .in_origin_form(self.buffered.get(..self.length).unwrap_or_default()),
                framing: head.framing,
                exchange: Box::new(Exchange {
                    gate: self.gate.clone(),
                    upstream: route.upstream.clone(),
                    deadlines: policy.deadlines.clone(),
                    peer: self.caller.address,
                    secure: self.caller.secure,
                    trusted: policy.client.trusts(self.caller.address),
                    client,
                    tenant: identity
                        .tenant
                        .and_then(|tenant| tenant.name)
                        .map(Box::from),
                    websocket: head.websocket,
                    keep_alive: head.keep_alive && !self.draining,
                    started,
                    permits,
                    tried: Vec::new(),
                    server: None,
                    failure: None,
                    accounted: false,
                }),
            },
        }
    }

    /// The verdict as the mode enforces it; what it does not enforce is counted.
    fn verdict<'policy>(
        &self,
        policy: &'policy Policy,
        head: &Head<'policy>,
        identity: &Identity<'policy>,
    ) -> Result<(&'policy Route, Permits), Refusal<'policy>> {
        let mut case = self.gate.case(policy, head, identity);
        // A connection that was open before its peer was blocked serves nobody any more.
        case.request.blocked |= self.is_peer_blocked(identity.client);
        let account = &self.gate.account;
        if case.mode != Mode::KnownOnly && !case.request.blocked && case.request.is_shut_out() {
            account.would_refuse(Mode::KnownOnly, Reason::UnknownClient);
        }
        case.decide().or_else(|refusal| match case.mode {
            Mode::Observe => {
                let route = case.destination()?;
                account.would_refuse(Mode::Normal, refusal.reason);
                Ok((route, Permits::default()))
            }
            Mode::Normal | Mode::KnownOnly => Err(refusal),
        })
    }

    /// Whether an operator shut out who is at the other end. `client`: whose request it is, of whom
    /// the verdict has been told.
    fn is_peer_blocked(&self, client: IpAddr) -> bool {
        self.caller.address != client && self.gate.blocks.contains(self.caller.address)
    }

    /// Whether the connection itself is refused with the request. A trusted proxy's is not, when it
    /// asks for somebody who is blocked: others are served over it.
    fn ends_with(&self, refusal: &Refusal, client: IpAddr) -> bool {
        refusal.reason == Reason::Blocked
            && (self.caller.address == client || self.is_peer_blocked(client))
    }

    fn refuse(
        &self,
        policy: &Policy,
        head: &Head,
        identity: &Identity,
        refusal: &Refusal,
        started: Instant,
        out: &mut BytesMut,
    ) -> Turn {
        let reply = Reply::to_refusal(
            refusal,
            policy.ratelimit_fields,
            wants_html(head.values("accept")),
        );
        let consumed = self.whole_request(head.framing);
        let ends = self.draining || self.ends_with(refusal, identity.client);
        let keep = head.keep_alive && !ends && consumed.is_some();
        let persistence = match keep {
            // Only HTTP/1.0 has to ask for it.
            true if head
                .values("connection")
                .any(|value| value.eq_ignore_ascii_case(b"keep-alive")) =>
            {
                Persistence::KeepAliveHttp10
            }
            true => Persistence::KeepAlive,
            false => Persistence::Close,
        };
        reply.write_http1(persistence, head.method != "HEAD", out);
        self.gate.account.request(&Facts {
            outcome: Outcome::Refused(refusal.reason),
            client: identity.client,
            method: head.method,
            host: head.authority,
            path: head.path,
            status: reply.status().as_u16(),
            tenant: identity.tenant.as_ref().and_then(|tenant| tenant.name),
            upstream: None,
            received: 0,
            sent: 0,
            duration: started.elapsed(),
        });
        match consumed {
            Some(consumed) if keep => Turn::Replied { consumed },
            consumed => Turn::Closing {
                unread: consumed != Some(self.buffered.len()),
            },
        }
    }

    /// The bytes of the head and its body when all of them are here already. A refused request's
    /// body is not waited for: it would cost more than a new connection.
    fn whole_request(&self, framing: Framing) -> Option<usize> {
        let behind = self.buffered.get(self.length..)?;
        let body = match framing {
            Framing::Length(length) => usize::try_from(length).ok()?,
            Framing::Chunked => {
                let mut chunks = Chunks::default();
                let taken = chunks.advance(behind).ok()?;
                chunks.is_done().then_some(taken)?
            }
        };
        (body <= behind.len()).then(|| self.length + body)
    }
}

/// Replies to a head that was not understood and accounts for it.
pub(super) fn refuse_head(gate: &Gate, client: IpAddr, error: HeadError, out: &mut BytesMut) {
    let reason = match error {
        HeadError::Malformed(_) => Reason::Malformed,
        HeadError::TooLarge => Reason::HeadTooLarge,
        HeadError::TargetTooLong => Reason::TargetTooLong,
        HeadError::Version => Reason::Version,
        HeadError::Method => Reason::Method,
    };
    refuse_unread(gate, client, reason, out);
}

/// Replies to a request of which nothing else is known, and accounts for it.
pub(super) fn refuse_unread(gate: &Gate, client: IpAddr, reason: Reason, out: &mut BytesMut) {
    Reply::to_failure(reason, false).write_http1(Persistence::Close, true, out);
    gate.account.request(&Facts {
        outcome: Outcome::of(reason),
        client,
        method: "",
        host: "",
        path: "",
        status: status(reason).as_u16(),
        tenant: None,
        upstream: None,
        received: 0,
        sent: 0,
        duration: Duration::ZERO,
    });
}
