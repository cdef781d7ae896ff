//! Tidegate: an in-path, rate-limiting reverse proxy.
//!
//! # The way of a request
//! accept -> [`head`] -> [`identity`] -> [`verdict`] -> [`forward`] or [`refuse`] -> [`account`].
//! Data moves one way; no stage calls back. [`gateway`] strings the stages together on Pingora's
//! traits, [`gate`] is what they share, and [`server`] builds and wires all of it.
//!
//! # Invariants
//! ARCHITECTURE.md states them; the two that shape most of this code are that a decision on the
//! request path takes no lock, allocates nothing and does no I/O, and that everything from outside is
//! bounded.

#![deny(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod account;
pub mod admin;
pub mod audit;
pub mod build;
pub mod claims;
pub mod cli;
pub mod clock;
pub mod cut;
pub mod descriptors;
pub mod door;
pub mod draining;
pub mod explain;
pub mod feed;
pub mod forward;
pub mod gate;
pub mod gateway;
pub mod hashed;
pub mod head;
pub mod heavy;
pub mod identity;
pub mod in_force;
pub mod journal;
pub mod known;
pub mod learn;
pub mod limits;
pub mod listener;
pub mod lists;
pub mod minutes;
pub mod mode;
pub mod note;
pub mod notify;
pub mod pass;
pub mod policy;
pub mod prefixes;
pub mod processes;
pub mod proxy_protocol;
pub mod pulse;
pub mod reason;
pub mod recent;
pub mod refuse;
pub mod regular;
pub mod reload;
pub mod rolling;
pub mod route;
pub mod server;
pub mod sockets;
pub mod state;
pub mod tail;
pub mod tenants;
pub mod tls;
pub mod top;
pub mod upgrade;
pub mod verdict;
pub mod written;
