//! One request's turn on a connection of HTTP/1.1: from a complete head to a reply that is written or
//! an exchange that is begun. Synchronous, so that no guard of the policy lives across an await.

use std::time::Instant;

use bytes::BytesMut;

use super::exchange::Exchange;
use super::judgement::Judge;
use crate::head::{self, Chunks, Framing, Head, NO_FIELDS};
use crate::refuse::{Persistence, Reply};

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
    pub(super) judge: Judge<'connection>,
    /// Everything that was read; the head is its beginning.
    pub(super) buffered: &'connection [u8],
    /// Bytes of the head.
    pub(super) length: usize,
}

impl Asked<'_> {
    /// Judges the request; a reply is written into `out`.
    pub(super) fn take(&self, out: &mut BytesMut) -> Turn {
        let started = Instant::now();
        let mut fields = NO_FIELDS;
        let bytes = self.buffered.get(..self.length).unwrap_or_default();
        let head = match head::parse(bytes, &mut fields) {
            Ok(head) => head,
            Err(error) => {
                let reply = self.judge.refuse_head(error);
                reply.write_http1(Persistence::Close, true, out);
                return Turn::Closing { unread: true };
            }
        };
        let refuse = |reply: &Reply, ends: bool| self.refuse(&head, reply, ends, out);
        match self.judge.judge(&head, started, refuse) {
            Err(turn) => turn,
            Ok(exchange) => Turn::Forward {
                exchange,
                rewritten: head.in_origin_form(bytes),
                framing: head.framing,
            },
        }
    }

    /// Writes the reply. `ends`: the connection is refused with the request.
    fn refuse(&self, head: &Head, reply: &Reply, ends: bool, out: &mut BytesMut) -> Turn {
        let consumed = self.whole_request(head.framing);
        let ends = ends || self.judge.last;
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
                let mut chunks = Chunks::new(u64::MAX);
                let taken = chunks.advance(behind).ok()?;
                chunks.is_done().then_some(taken)?
            }
        };
        (body <= behind.len()).then(|| self.length + body)
    }
}
