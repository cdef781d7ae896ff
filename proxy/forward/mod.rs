//! Forwarding: which server of an upstream, how long it may take, and which fields it sees.

mod discovery;
pub mod fields;
mod upstream;

pub use upstream::{Health, Upstream};
