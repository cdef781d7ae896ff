//! The load of the flood benchmark that no packaged tool makes. One thread; the figures go to standard
//! output as one line of JSON.
//!
//! ```text
//! flood-load app   port=8000 places=4 ms=20                            an app of limited capacity
//! flood-load users to=127.0.0.1:80 first=127.1.0.1 clients=50 rate=100 seconds=10
//! flood-load flood to=127.0.0.1:80 first=127.2.0.1 clients=4000 rate=10000 seconds=10
//! flood-load drop  to=127.0.0.1:80 seconds=2    connections that are closed at once
//! flood-load walk  to=127.0.0.1:80 clients=1000000 seconds=60          each client once, named by a header
//! ```

mod app;
mod client;
mod drops;
mod figures;
mod flood;
mod options;
mod users;
mod walk;

use anyhow::{Result, bail};
use options::Options;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next().unwrap_or_default();
    let options = Options::parse(arguments)?;
    match verb.as_str() {
        "app" => app::serve(&options).await,
        "users" => users::run(&options).await,
        "flood" => flood::run(&options).await,
        "drop" => drops::run(&options),
        "walk" => walk::run(&options).await,
        _ => bail!("app, users, flood, drop or walk, then options as name=value: not `{verb}`"),
    }
}
