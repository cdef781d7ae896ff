//! `tidegate reload`: swap the configuration; print what changed.

use std::fmt::Write;

use hyper::Method;

use super::{Context, Format, output};
use crate::admin::wire::{ReloadRequest, Reloaded};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Reload although most of the known customers or tenants are gone from their files
    #[arg(long)]
    force: bool,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<()> {
    let request = ReloadRequest {
        force: arguments.force,
    };
    let reloaded: Reloaded = context
        .client()
        .send(Method::POST, "/v1/reload", &request)?;
    if context.format == Format::Json {
        return output::json(&reloaded);
    }
    for warning in &reloaded.warnings {
        eprintln!("warning: {warning}");
    }
    let mut text = match reloaded.changes.len() {
        0 => "reloaded; nothing is different\n".to_owned(),
        1 => "reloaded; 1 change:\n".to_owned(),
        count => format!("reloaded; {count} changes:\n"),
    };
    for change in &reloaded.changes {
        writeln!(text, "  {change}")?;
    }
    output::text(&text)
}
