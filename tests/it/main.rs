//! Integration tests: the real binary, over real sockets, as an operator and a client would use it.
//!
//! One binary, so that it is linked once; a module a behaviour. Ports are chosen by the system, files
//! live in a temporary folder, and what can be awaited is awaited: see [`harness`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod harness;

/// Chunked bodies: malformed ones never reach the app whole, good ones end where they end.
mod chunks;
/// Forwarding to an app: bodies, fields, routes, retries.
mod forwarding;
/// Heads that two parsers could read differently are refused; good ones pass.
mod heads;
/// Clients that mean harm leave nothing behind.
mod hostile;
/// What the README shows works as it is written.
mod readme;
