//! `tidegate reopen`: open again in steps, and back at once when the attack is still on.

use std::time::Duration;

use hyper::Method;
use tidegate_config::Share;

use super::mode::{parse_seconds, sentence};
use super::{Context, output};
use crate::admin::wire::{Changed, ReopenRequest};
use crate::mode::Record;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The shares of unknown clients to let in, one after the other; at 100% the mode is normal
    #[arg(
        long,
        value_name = "SHARES",
        value_delimiter = ',',
        default_value = "5%,20%,50%,100%"
    )]
    steps: Vec<Share>,

    /// How long it has to be calm before each step but the first
    #[arg(long, value_name = "DUR", default_value = "2m", value_parser = parse_seconds)]
    every: Duration,

    /// Go no further, and stay where it is
    #[arg(long, conflicts_with_all = ["steps", "every"])]
    stop: bool,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<()> {
    let request = match arguments.stop {
        true => ReopenRequest {
            stop: true,
            ..ReopenRequest::default()
        },
        false => ReopenRequest {
            steps: arguments.steps.iter().map(Share::to_string).collect(),
            every: arguments.every.as_secs(),
            stop: false,
        },
    };
    let changed: Changed<Record> = context
        .client()
        .send(Method::POST, "/v1/reopen", &request)?;
    output::changed(&changed, context, |record| {
        format!("{}\n", sentence(record))
    })
}
