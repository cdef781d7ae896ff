//! Tidegate's configuration: text to a checked [`Config`].
//!
//! What the user wrote and what the program needs are two things. `raw` has
//! the first: the keys of the file, most of them optional, their texts not yet
//! read. [`Config`] is the second: every default filled in, every text read,
//! every name known to exist. Whoever holds a [`Config`] checks nothing again.
//!
//! The way of a text, and the modules in reading order:
//!
//! 1. `load` reads the file and puts the steps together.
//! 2. `source` is its text and that of the environment variables that override
//!    values, as one, so that every byte has one place; `document` is the tree
//!    of keys and values; `syntax` explains text that is not TOML.
//! 3. `overrides` puts the variables' values into the tree.
//! 4. `shape` compares the tree with the JSON schema of `raw` (`schema`): keys,
//!    types, ranges. `advice` says what to write instead.
//! 5. `raw` is deserialized, and `check` makes the `checked` types of it, with
//!    `literal` to read texts such as `20/s`. `findings` collects what is wrong.
//!
//! No name is looked up, and no file opened but the one that was asked for: a
//! pipeline can check a configuration without being the machine it is for.

#![warn(missing_docs)]
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod advice;
mod check;
mod checked;
mod document;
mod error;
mod findings;
mod literal;
mod load;
mod overrides;
mod raw;
mod schema;
mod shape;
mod share;
mod source;
mod syntax;

use std::time::Duration;

pub use checked::{
    AddressFrom, Admin, AdminTcp, Balance, Certificate, Client, ClientCertificates, Config,
    Connections, Deadlines, Eject, HealthCheck, Ipv6Network, Known, KnownOnly, LONGEST_TENANT,
    Learn, LearnRule, Limit, Listed, Listener, Log, LogFile, Metrics, Mode, Pass, Per,
    ProxyProtocol, Rate, Refusal, Reopen, Rotate, Route, RouteLimit, SHA256, Sample, Server, State,
    Tenant, TenantFrom, Tier, Top, Upstream, default_admin_socket,
};
pub use error::{Error, Place, Problem};
pub use share::Share;

/// A configuration with every key explained. It is valid as it is.
pub const TEMPLATE: &str = include_str!("../tidegate.toml");

/// The smallest configuration.
pub const MINIMAL: &str = include_str!("../minimal.toml");

/// The JSON schema of a configuration file, with descriptions: for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    schema::shared().clone()
}

/// Reads the name of something in the configuration, such as what a tenant is
/// called.
///
/// # Errors
///
/// When it is no name; the message says what would be right.
pub fn parse_name(text: &str) -> Result<String, String> {
    literal::Literal::read(text).map(|literal::Name(name)| name)
}

/// Reads a duration: a whole number and `ms`, `s`, `m`, `h` or `d`, such as
/// `500ms`, `5s`, `30m`, `2h` or `1d`. It may be 0, and is at most ten years.
///
/// # Errors
///
/// Anything else; the message says what would be right.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    literal::duration(text)
}
