//! Forwarding: which server of an upstream, how long it may take, and which fields it sees.

mod budget;
mod checks;
mod discovery;
pub mod fields;
mod health;
mod jitter;
mod local;
mod servers;
mod silence;
mod standing;
mod upstream;
mod watch;

pub use health::{Health, ServerHealth};
pub use local::is_local;
pub use servers::Chosen;
pub use standing::State;
pub use upstream::Upstream;
