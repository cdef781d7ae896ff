//! Many clients over few connections: a trusted proxy names them, as a CDN would.

use std::fmt::Display;
use std::net::Ipv4Addr;

use super::{Connection, Response};

/// The beginning of a `[client]` table: this machine's addresses may name the client.
pub const PROXIED: &str = "[client]\naddress_from = \"x-forwarded-for\"\ntrusted_proxies = [\"127.0.0.0/8\"]\n\
    requests_per_connection = 1_000_000_000\n";

/// The client with this number: addresses for benchmarks (RFC 2544), 131,072 of them.
pub fn client(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from_be_bytes([198, 18, 0, 0]) | number & 0x1_ffff)
}

/// A request that comes from this client, as the proxy says, with more fields: whole lines with their
/// ends.
pub fn get_as(client: impl Display, fields: &str) -> String {
    let host = match fields.starts_with("Host:") {
        true => "",
        false => "Host: test\r\n",
    };
    format!("GET / HTTP/1.1\r\n{host}X-Forwarded-For: {client}\r\n{fields}\r\n")
}

/// So many requests in one write: what the gate answers to them fits into the buffers of a socket.
const AT_ONCE: usize = 100;

impl Connection {
    /// Sends requests without waiting for answers, and gives the answers in their order.
    pub fn pipeline(&mut self, requests: &[String]) -> Vec<Response> {
        let mut responses = Vec::with_capacity(requests.len());
        for some in requests.chunks(AT_ONCE) {
            self.send(some.concat());
            responses.extend(some.iter().map(|_| self.response()));
        }
        responses
    }

    /// As [`Connection::pipeline`], for requests that pass or are refused by a limit: how many passed.
    ///
    /// # Panics
    /// At another answer, and at one that passes after one that was refused.
    pub fn passing(&mut self, requests: &[String], reason: &str) -> usize {
        let responses = self.pipeline(requests);
        let passed = responses.iter().take_while(|answer| answer.status == 200);
        let passed = passed.count();
        for refusal in &responses[passed..] {
            let told = (refusal.status, refusal.reason());
            assert_eq!(
                told,
                (429, reason.to_owned()),
                "behind {passed} that passed"
            );
        }
        passed
    }
}
