//! The access log: one JSON line for an outcome of a request or a connection that was sampled, named as
//! OpenTelemetry names things.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Serialize;
use tidegate_config::Log;

use super::firsts::Firsts;
use super::{Class, Facts, LogWriter, Outcome};
use crate::clock;
use crate::cut::beginning;
use crate::door::DoorReason;
use crate::pass::Id;

/// Characters of a path, query or host that a line holds.
const MAX_TEXT: usize = 512;

/// One line. The rate says how many outcomes of its kind it stands for, so that counts can be
/// rebuilt.
#[derive(Debug, Serialize)]
pub struct Line<'request> {
    time: jiff::Timestamp,
    outcome: &'static str,
    reason: &'static str,
    #[serde(rename = "client.address")]
    client: IpAddr,
    #[serde(rename = "http.request.method")]
    method: &'request str,
    #[serde(rename = "server.address")]
    host: &'request str,
    #[serde(rename = "url.path")]
    path: &'request str,
    #[serde(rename = "url.query", skip_serializing_if = "Option::is_none")]
    query: Option<&'request str>,
    #[serde(rename = "http.response.status_code")]
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'request str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'request str>,
    // Below `http.client`, as `upstream` is a text, and a store cannot have it as a group, too.
    #[serde(
        rename = "http.client.request.time_to_connection",
        skip_serializing_if = "Option::is_none"
    )]
    connected: Option<f64>,
    #[serde(
        rename = "http.client.request.time_to_first_byte",
        skip_serializing_if = "Option::is_none"
    )]
    answered: Option<f64>,
    #[serde(
        rename = "http.client.request.duration",
        skip_serializing_if = "Option::is_none"
    )]
    asked: Option<f64>,
    #[serde(rename = "http.request.body.size")]
    received: u64,
    #[serde(rename = "http.response.body.size")]
    sent: u64,
    #[serde(rename = "http.server.request.duration")]
    duration: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_rate: Option<f64>,
}

/// The line of a connection that was closed at the door. There is no request yet.
#[derive(Debug, Serialize)]
struct ConnectionLine {
    time: jiff::Timestamp,
    #[serde(rename = "event.name")]
    event: &'static str,
    outcome: &'static str,
    reason: &'static str,
    #[serde(rename = "client.address")]
    client: IpAddr,
    #[serde(rename = "network.local.address")]
    listener: IpAddr,
    #[serde(rename = "network.local.port")]
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_rate: Option<f64>,
}

/// Samples outcomes and writes them.
#[derive(Debug)]
pub struct AccessLog {
    writer: LogWriter,
    /// A reload may change it.
    config: ArcSwap<Log>,
    /// The first refused requests of each client, and its first connections that were closed.
    refused: Firsts,
    connections: Firsts,
}

impl AccessLog {
    /// A log as the configuration says.
    pub fn new(writer: LogWriter, config: Log) -> Self {
        AccessLog {
            writer,
            config: ArcSwap::from_pointee(config),
            refused: Firsts::of_clients(),
            connections: Firsts::of_clients(),
        }
    }

    /// Goes on as the configuration says, but for where.
    pub fn configure(&self, log: &Log) {
        self.config.store(Arc::new(log.clone()));
        self.writer.configure(log);
    }

    /// Where the lines go, for its counters.
    pub fn writer(&self) -> &LogWriter {
        &self.writer
    }

    /// Writes one outcome, if it is one of the client's first few refusals or the sample says so. The
    /// first few stand for themselves alone, each other one for as many as its rate says: together
    /// they are as many as there were.
    pub(super) fn request(&self, facts: &Facts) {
        let Log { sample, query, .. } = &**self.config.load();
        let (class, rate) = match facts.outcome {
            Outcome::Forwarded => (Class::Forwarded, sample.forwarded),
            Outcome::Refused(_) => (
                Class::Refused,
                self.rate(&self.refused, facts.client, sample.refused),
            ),
            Outcome::Failed(_) => (Class::Failed, sample.failed),
        };
        if self.is_sampled(class, rate) {
            let line = Line::new(facts, jiff::Timestamp::now());
            let line = Line {
                query: Some(cut(facts.query)).filter(|asked| *query && !asked.is_empty()),
                sample_rate: Some(rate),
                ..line
            };
            self.write(class, &line);
        }
    }

    /// Writes a connection that was closed at the door, as if it was a refused
    /// request.
    pub(super) fn connection(&self, reason: DoorReason, client: IpAddr, listener: SocketAddr) {
        let rate = self.rate(&self.connections, client, self.config.load().sample.refused);
        if self.is_sampled(Class::Connection, rate) {
            let line = ConnectionLine::new(reason, client, listener, jiff::Timestamp::now());
            let line = ConnectionLine {
                sample_rate: Some(rate),
                ..line
            };
            self.write(Class::Connection, &line);
        }
    }

    /// The rate at which this one of a client is sampled.
    fn rate(&self, firsts: &Firsts, client: IpAddr, others: f64) -> f64 {
        match others < 1.0 && firsts.is_of_client(client, clock::unix_seconds_at_tick()) {
            true => 1.0,
            false => others,
        }
    }

    fn is_sampled(&self, class: Class, rate: f64) -> bool {
        let sampled = fastrand::f64() < rate;
        if !sampled {
            self.writer.counts().of(class).sampled_out();
        }
        sampled
    }

    fn write(&self, class: Class, line: &impl Serialize) {
        let mut text = Vec::with_capacity(512);
        if append(&mut text, line) {
            self.writer.line(class, text);
        }
    }
}

fn append(out: &mut Vec<u8>, line: &impl Serialize) -> bool {
    let written = serde_json::to_writer(&mut *out, line).is_ok();
    out.push(b'\n');
    written
}

/// Writes the line of a request that stands for itself alone.
pub(crate) fn write_request(out: &mut Vec<u8>, time: jiff::Timestamp, facts: &Facts) {
    append(out, &Line::new(facts, time));
}

/// As [`write_request`], of a connection that was closed at the door.
pub(crate) fn write_connection(
    out: &mut Vec<u8>,
    time: jiff::Timestamp,
    reason: DoorReason,
    client: IpAddr,
    listener: SocketAddr,
) {
    append(out, &ConnectionLine::new(reason, client, listener, time));
}

impl ConnectionLine {
    fn new(
        reason: DoorReason,
        client: IpAddr,
        listener: SocketAddr,
        time: jiff::Timestamp,
    ) -> Self {
        ConnectionLine {
            time,
            event: "connection",
            outcome: "refused",
            reason: reason.label(),
            client,
            listener: listener.ip(),
            port: listener.port(),
            sample_rate: None,
        }
    }
}

impl<'request> Line<'request> {
    fn new(facts: &Facts<'request>, time: jiff::Timestamp) -> Self {
        let (outcome, reason) = facts.outcome.labels();
        let stages = facts.upstream.map(|asked| asked.stages);
        Line {
            time,
            outcome,
            reason,
            client: facts.client,
            method: cut(facts.method),
            host: cut(facts.host),
            path: cut(facts.path),
            query: None,
            status: facts.status,
            tenant: facts.tenant.map(cut),
            pass: facts.pass,
            upstream: facts.upstream.map(|asked| asked.upstream),
            connected: stages.and_then(|at| at.connected).map(seconds),
            answered: stages.and_then(|at| at.answered).map(seconds),
            // Without a body, or without its end, it was asked until all was over.
            asked: stages.map(|at| seconds(at.ended.unwrap_or(facts.duration))),
            received: facts.received,
            sent: facts.sent,
            duration: seconds(facts.duration),
            sample_rate: None,
        }
    }
}

/// As OpenTelemetry has durations; to the microsecond.
fn seconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e6
}

fn cut(text: &str) -> &str {
    beginning(text, MAX_TEXT)
}

#[cfg(test)]
mod tests {
    use super::super::{Allowance, Asked, Stages};
    use super::*;
    use crate::reason::Reason;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn the_longest_line_passes_the_smallest_budget() {
        let [plain, escaped] = ["m", "\\"].map(|text| text.repeat(10_000));
        let facts = Facts {
            outcome: Outcome::of(Reason::UpstreamUnresolved),
            client: [0xffff; 8].into(),
            known: true,
            method: &plain,
            host: &plain,
            path: &escaped,
            query: &escaped,
            status: 503,
            tenant: Some(&plain),
            pass: None,
            agent: None,
            upstream: Some(Asked {
                upstream: "app",
                stages: Stages {
                    connected: Some(DAY),
                    answered: Some(DAY),
                    ended: Some(DAY),
                },
            }),
            received: u64::MAX,
            sent: u64::MAX,
            duration: DAY,
        };
        let line = Line {
            query: Some(cut(facts.query)),
            sample_rate: Some(0.000_123),
            ..Line::new(&facts, jiff::Timestamp::now())
        };
        let length = serde_json::to_vec(&line).unwrap().len();
        let allowance = Allowance::new(1024);
        assert!(allowance.take(Class::Failed, length), "{length} bytes");
    }
}
