//! Forwarding: which server of an upstream, how long it may take, and which fields it sees.

mod discovery;
pub mod fields;
mod health;
mod servers;
mod silence;
mod upstream;
mod watch;

pub use health::Health;
pub use servers::Chosen;
pub use upstream::Upstream;
