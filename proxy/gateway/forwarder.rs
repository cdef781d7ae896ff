//! The hooks of Pingora's proxy: where a forwarded request goes, what it carries, how it ended.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, HOST, HeaderValue, TRANSFER_ENCODING, USER_AGENT};
use http::{Method, Version};
use pingora_core::modules::http::HttpModules;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use super::exchange::{Ending, Exchange};
use super::failures::{reason_of, reason_of_connecting, reason_of_overdue};
use super::paced::Overdue;
use super::upgrade::Connector;
use crate::door;
use crate::forward::{fields, is_local};
use crate::pass;
use crate::reason::Reason;
use crate::refuse::{Reply, wants_html};
use crate::tenants::Tenants;

/// Servers that one request tries before it gives up: with the connect deadline, a bound on how
/// long a client waits for a dead upstream.
const MAX_SERVERS: usize = 3;

/// The group of connections that serve one request and are not kept.
const NOT_KEPT: u64 = 1;

/// Pingora's hooks. It has no state: all of it is in the request's [`Exchange`].
#[derive(Debug)]
pub struct Forwarder;

type Context = Option<Box<Exchange>>;

/// A request without its exchange cannot come from the gate's connection app.
fn exchange(context: &mut Context) -> Result<&mut Exchange> {
    context
        .as_deref_mut()
        .ok_or_else(|| Error::explain(ErrorType::InternalError, "a request without an exchange"))
}

#[async_trait]
impl ProxyHttp for Forwarder {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Exchange::arrived()
    }

    /// Pingora's default adds a compression module, at the cost of a look at each response.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        context: &mut Context,
    ) -> Result<Box<HttpPeer>> {
        let exchange = exchange(context)?;
        let Some(server) = exchange.choose() else {
            exchange.failure.get_or_insert(Reason::UpstreamUnresolved);
            return Error::e_explain(ErrorType::ConnectNoRoute, "the upstream has no server");
        };
        let mut peer = Box::new(HttpPeer::new(server, false, String::new()));
        let deadlines = &exchange.deadlines;
        let response = match exchange.websocket {
            true => deadlines.upstream_response.max(deadlines.upgraded_idle),
            false => deadlines.upstream_response,
        };
        peer.options.connection_timeout = Some(deadlines.upstream_connect);
        peer.options.total_connection_timeout = Some(deadlines.upstream_connect);
        peer.options.read_timeout = Some(response);
        peer.options.write_timeout = Some(response);
        peer.options.idle_timeout = Some(deadlines.keepalive);
        if exchange.websocket || exchange.repeated {
            // Where one kept connection was closed, the others may be.
            peer.group_key = NOT_KEPT;
            peer.options.custom_l4 = Some(Arc::new(Connector {
                answer: deadlines.upstream_response,
            }));
        }
        Ok(peer)
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        _fd: std::os::fd::RawFd,
        _digest: Option<&pingora_core::protocols::Digest>,
        context: &mut Context,
    ) -> Result<()> {
        // An earlier server's failure is over.
        let exchange = exchange(context)?;
        exchange.failure = None;
        exchange.stages.connected = Some(exchange.started.elapsed());
        // A kept connection says nothing about new ones.
        if let Some(server) = &exchange.server
            && !reused
        {
            server.connected();
        }
        Ok(())
    }

    /// Nothing was sent, so another server may be tried whatever the method.
    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        context: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        if let Some(exchange) = context.as_deref_mut() {
            exchange.failure = Some(reason_of_connecting(&error));
            if let Some(server) = exchange.server.take() {
                if !is_local(error.root_cause()) {
                    server.failed();
                }
                exchange.tried.push(server.address());
            }
            let more = exchange.tried.len() < MAX_SERVERS
                && exchange.upstream.has_another(&exchange.tried)
                && exchange.upstream.take_retry();
            error.set_retry(more);
        }
        error
    }

    /// RFC 9110 section 9.2.2: an idempotent request goes over a new connection when a kept one was
    /// closed without a byte of an answer; once, as the new one is not kept.
    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        context: &mut Context,
        reused: bool,
    ) -> Box<Error> {
        let repeatable = session.req_header().method.is_idempotent()
            && !session.as_ref().retry_buffer_truncated();
        error.retry.decide_reuse(reused);
        let again = error.retry() && repeatable;
        let exchange = context.as_deref_mut().filter(|_| again);
        error.set_retry(exchange.is_some_and(Exchange::repeat));
        error
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        context: &mut Context,
    ) -> Result<()> {
        let exchange = exchange(context)?;
        // RFC 9110 section 15.2: an HTTP/1.0 client knows no interim responses.
        let old = session.req_header().version == Version::HTTP_10;
        session.set_ignore_info_resp(old);
        let hop = fields::Hop {
            peer: exchange.peer,
            trusted: exchange.trusted,
            secure: exchange.secure,
            version: session.req_header().version,
        };
        let confirmable = exchange.confirmable.as_ref();
        // That of now: the tenants that it was judged by are not kept.
        let policy = exchange.gate.policy.load();
        let named = fields::Named {
            tenant: policy.tenants.as_ref().and_then(Tenants::field),
            confirming: confirmable.and_then(|confirmable| confirmable.by.header()),
        };
        if let Some(rules) = &exchange.passes {
            pass::take_out(request, &rules.cookie)?;
        }
        fields::to_upstream(request, &hop, &named)
    }

    fn upstream_response_body_filter(
        &self,
        _session: &mut Session,
        _body: &mut Option<Bytes>,
        is_whole: bool,
        context: &mut Context,
    ) -> Result<Option<Duration>> {
        let exchange = exchange(context)?;
        if is_whole {
            exchange.stages.ended = Some(exchange.started.elapsed());
        }
        Ok(None)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        let exchange = exchange(context)?;
        if response.status == http::StatusCode::SWITCHING_PROTOCOLS {
            // RFC 9110 section 7.8: nobody switches who was not asked to. Pingora would pass it on as
            // an interim response.
            if !exchange.websocket {
                let problem = "the upstream switches protocols unasked";
                return Err(Error::explain(ErrorType::InvalidHTTPHeader, problem).into_up());
            }
            session.set_read_timeout(Some(exchange.deadlines.upgraded_idle));
        }
        // The first of them, which may be an interim one.
        let begun = || exchange.started.elapsed();
        exchange.stages.answered.get_or_insert_with(begun);
        exchange.confirm(session.req_header(), response)?;
        fields::to_client(response);
        // RFC 9112 section 6.1: a client of HTTP/1.0 cannot read chunks. The end of the connection is
        // the end of its body instead.
        let unframed = session.req_header().version == Version::HTTP_10
            && response.remove_header(&TRANSFER_ENCODING).is_some();
        // Pingora has its own reading of the request's `Connection`, and knows of no draining.
        let ends = exchange.gate.draining.load(Relaxed)
            || door::is_shut_out(&exchange.gate, exchange.peer);
        if unframed || ends || !exchange.keep_alive {
            session.set_keepalive(None);
        }
        Ok(())
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut Context,
    ) -> FailToProxy {
        if session.was_upgraded() {
            // What is sent there is no longer HTTP.
            return FailToProxy {
                error_code: 0,
                can_reuse_downstream: false,
            };
        }
        let reason = match context.as_deref_mut() {
            Some(exchange) => *exchange.failure.get_or_insert_with(|| reason_of(error)),
            None => reason_of(error),
        };
        let mut sent = 0;
        if reason != Reason::ClientGone && final_response(session).is_none() {
            sent = send_failure(session, reason).await.unwrap_or(0);
        }
        FailToProxy {
            error_code: sent,
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        let Some(exchange) = context.as_deref_mut() else {
            return;
        };
        if let Some(error) = error {
            match session.was_upgraded() {
                true => end_tunnel(exchange, error),
                false => exchange.failure = exchange.failure.or_else(|| Some(reason_of(error))),
            }
        }
        let request = session.req_header();
        let host = request.headers.get(HOST).map(|host| host.to_str());
        let ending = Ending {
            method: request.method.as_str(),
            host: host.and_then(|host| host.ok()).unwrap_or_default(),
            path: request.uri.path(),
            query: request.uri.query().unwrap_or_default(),
            agent: Some(
                request
                    .headers
                    .get(USER_AGENT)
                    .map_or(&[], |sent| sent.as_bytes()),
            ),
            status: final_response(session).map_or(0, |sent| sent.status.as_u16()),
            received: session.body_bytes_read() as u64,
            sent: session.body_bytes_sent() as u64,
        };
        exchange.end(&ending);
        if exchange.failure.is_some() {
            // Pingora would drop the connection, and with unread bytes in it the system would take
            // back what was sent. The end lingers over them.
            session.downstream_session.shutdown().await;
        }
    }

    /// What Pingora would write here is in the account, sampled and within the log's budget.
    fn suppress_error_log(&self, _: &Session, _: &Context, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Context,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

/// A tunnel has no end but that one side goes, or is silent, or does not read.
fn end_tunnel(exchange: &mut Exchange, error: &Error) {
    if let (ErrorType::ReadTimedout, Some(idle)) = (error.etype(), &exchange.tunnel_idle) {
        idle.store(true, Relaxed);
    }
    let io = error.root_cause().downcast_ref::<io::Error>();
    let overdue = io.and_then(Overdue::of);
    exchange.failure = exchange.failure.or(overdue.map(reason_of_overdue));
}

/// The response that was sent, if it was more than an interim one.
fn final_response(session: &Session) -> Option<&ResponseHeader> {
    let sent = session.response_written();
    let interim = |sent: &ResponseHeader| sent.status.is_informational();
    sent.filter(|sent| !interim(sent) || sent.status == http::StatusCode::SWITCHING_PROTOCOLS)
}

/// Sends the response to a failure and gives its status.
async fn send_failure(session: &mut Session, reason: Reason) -> Result<u16> {
    let accept = session.req_header().headers.get_all(ACCEPT);
    let html = wants_html(accept.iter().map(HeaderValue::as_bytes));
    let (header, body) = Reply::to_failure(reason, html).to_pingora()?;
    let status = header.status.as_u16();
    session.set_keepalive(None);
    session
        .write_response_header(Box::new(header), false)
        .await?;
    if session.req_header().method != Method::HEAD {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(status)
}
