//! `tidegate log`: after the log's file was moved away.

use clap::Subcommand;
use hyper::Method;

use super::{Context, Format, output};
use crate::admin::wire::LogReopened;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Open the file of the access log anew, after logrotate or somebody else has moved it away
    Reopen,
}

pub(super) fn run(Verb::Reopen: Verb, context: &Context) -> anyhow::Result<()> {
    let reopened: LogReopened = context.client().send(Method::POST, "/v1/log/reopen", &())?;
    match (context.format, &reopened.file) {
        (Format::Json, _) => output::json(&reopened),
        (Format::Human, Some(file)) => output::text(&format!("opened anew: {}\n", file.display())),
        (Format::Human, None) => {
            output::text("the log goes to the standard output: there is no file to open\n")
        }
    }
}
