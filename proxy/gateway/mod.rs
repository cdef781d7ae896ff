//! The gateway: the only implementations of Pingora's traits, short, calling the stages.
//!
//! [`ConnectionApp`] reads and judges request heads itself; what may pass goes to Pingora's proxy,
//! whose hooks are in [`Forwarder`], with the same bytes and an [`Exchange`] beside them.

// To look at a connection before the runtime is told of it, only a descriptor can be waited for, and
// that is the caller's to vouch for.
#[allow(unsafe_code)]
mod acceptor;
mod app;
mod arrival;
mod connection;
mod exchange;
mod failures;
mod forwarder;
mod h2;
mod judgement;
mod pace;
mod paced;
// Pingora's streams give their socket as a number alone, and none of their
// options sets how it closes.
#[allow(unsafe_code)]
mod reset;
mod stream;
mod transport;
mod turn;
mod upgrade;

pub use acceptor::Acceptor;
pub use app::ConnectionApp;
pub use exchange::Exchange;
pub use forwarder::Forwarder;
